"""The whole proof at its quick scale: nothing is found, and no less is tried than the documents say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `(\w+)` \| [^|]+ \| (\d+) \| (\d+) \|$", re.MULTILINE)


def documented() -> dict[str, int]:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    return {name: int(quick) for name, quick, _ in ROW.findall(text.partition("## The proof")[2])}


@pytest.mark.timeout(1200)
def test_the_proof_finds_nothing_and_tries_no_less_than_the_documents_say() -> None:
    command = [sys.executable, "-m", "pos_engine", "prove", "--quick", "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    reports: list[dict[str, Any]] = json.loads(done.stdout)["campaigns"]
    assert [violation for report in reports for violation in report["violations"]] == []
    lacking = {report["campaign"]: report["lacks"] for report in reports if report["lacks"]}
    if os.environ.get("POS_ENGINE_REQUIRE_ALL"):
        assert lacking == {}
    tried = {report["campaign"]: report["cases"] for report in reports}
    assert tried.keys() == documented().keys()
    assert {name: tried[name] for name in tried.keys() - lacking.keys()} == {
        name: max(tried[name], least) for name, least in documented().items() if name not in lacking
    }
