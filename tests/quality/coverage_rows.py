"""Branch coverage of the pure rows, 0 to 4: run the fast tests that reach them, and fail below 100 %.

    python -m tests.quality.coverage_rows [folder] [options of pytest]

Which modules these are is said by the table of `test_layers` alone. Left out are tests of the upper rows, of outside
programs, and the slowest ones: what they reach, others do too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.quality.test_layers import PURE_ROWS, row_of
from tests.quality.tree import PACKAGES, ROOT, sources

TESTS: Final = (
    *("tests/unit/test_crypto_*.py", "tests/unit/test_dialects_*.py", "tests/unit/test_flow_*.py"),
    *("tests/unit/test_framing_*.py", "tests/unit/test_session_*.py", "tests/unit/test_unionpay_*.py"),
    *("tests/unit/test_values.py", "tests/unit/test_wire_*.py"),
    *("tests/unit/test_journal_record.py", "tests/unit/test_journal_view.py"),
    *(
        f"tests/unit/test_simulators_{name}.py"
        for name in ("acquirer", "books", "cards", "dialect", "downloads", "issuer")
    ),
    *(
        f"tests/unit/test_simulators_{name}.py"
        for name in ("key_schemes", "ledger", "management", "scenario_*", "transactions")
    ),
    *("tests/unit/test_simulators_voids.py", "tests/property/test_wire_compiled.py", "tests/property/test_wire_tlv.py"),
    *(f"tests/property/test_{name}.py" for name in ("crypto_oracles", "framing_chunking", "unionpay_composites")),
)
SLOW: Final = ("campaign", "last_stan_that_is_left", "no_answer_however_damaged", "ten_thousand_bitmaps")


def modules() -> list[str]:
    """Paths of the modules of the pure rows."""
    return [source.path for source in sources(*PACKAGES) if row_of(source.name) < PURE_ROWS]


def main(folder: Path, *options: str) -> int:
    """Run the tests, then report; the exit code of whichever fails first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = sorted({str(path.relative_to(ROOT)) for pattern in TESTS for path in ROOT.glob(pattern)})
    chosen = " and ".join(f"not {name}" for name in SLOW)
    environment = {**os.environ, "COVERAGE_FILE": str(folder / "data"), "HYPOTHESIS_PROFILE": "quick"}
    for arguments in (
        ["run", "-m", "pytest", "-q", "-k", chosen, *options, *files],
        ["combine", "--quiet"],
        ["report", "--fail-under=100", f"--include={','.join(modules())}"],
    ):
        done = subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=ROOT, env=environment, check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    where, *rest = sys.argv[1:] or ["build/coverage"]
    sys.exit(main(Path(where).resolve(), *rest))
