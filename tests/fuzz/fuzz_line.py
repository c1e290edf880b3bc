"""A coverage-guided search for bytes and pauses that a serial line's framer takes wrongly.

python -m tests.fuzz.fuzz_line folder [options of libFuzzer, such as -max_total_time=600]
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pos_engine.framing"]):
    from tests.fuzz.line import check_line

if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    atheris.Setup(sys.argv, check_line)
    atheris.Fuzz()
