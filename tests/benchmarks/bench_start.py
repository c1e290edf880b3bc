"""How long a fresh interpreter takes until the package, and then the command line, is imported.

Nothing here fails for being slow: machines differ, and this one may be busy. Compare the lines of one run.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from time import perf_counter

from tests.quality.tree import ROOT

RUNS = 9
PROGRAMS = ("pass", "import pos_engine", "import pos_engine.cli")


def _seconds(program: str) -> float:
    started = perf_counter()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    return perf_counter() - started


def test_start() -> None:
    # In turns, so that a slow moment of the machine meets every program alike.
    rounds = [[_seconds(program) for program in PROGRAMS] for _ in range(RUNS)]
    print(f"\nmedian of {RUNS} fresh interpreters")
    for program, samples in zip(PROGRAMS, zip(*rounds, strict=True), strict=True):
        print(f"{statistics.median(samples) * 1000:8.1f} ms  {program}")
