"""The real clock, entropy and hardening, on the machine the tests run on."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pos_engine import system
from pos_engine.system import SystemClock, entropy

if TYPE_CHECKING:
    from pos_engine.clock import Clock

ROOT = Path(__file__).parents[2]


def test_instants_of_one_boot_follow_each_other() -> None:
    clock: Clock = SystemClock()
    instants = [clock.now() for _ in range(100)]
    assert [instant.elapsed_s for instant in instants] == sorted(instant.elapsed_s for instant in instants)
    assert len({instant.boot for instant in instants}) == 1
    assert all((later.since(instants[0]) or 0) >= 0 for later in instants)


def test_two_clocks_of_one_boot_agree_which_it_is() -> None:
    if not system.BOOT_ID_PATH.exists():
        pytest.skip("this kernel has no boot id")
    first, second = SystemClock().now(), SystemClock().now()
    assert second.since(first) is not None
    assert first.boot == system.BOOT_ID_PATH.read_text().strip()


def test_elapsed_seconds_are_those_since_the_boot() -> None:
    number = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    before, now, after = time.clock_gettime(number), SystemClock().now().elapsed_s, time.clock_gettime(number)
    assert before <= now <= after


def test_the_wall_clock_knows_its_time_zone() -> None:
    wall = SystemClock().now().wall
    assert wall.utcoffset() is not None
    assert abs(wall - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xff", b"not a boot id\n", b"0" * 36])
def test_without_a_boot_id_every_clock_is_a_boot_of_its_own(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "boot_id"
    if content is not None:
        path.write_bytes(content)
    first, second = SystemClock(path).now(), SystemClock(path).now()
    assert first.boot.startswith("process-")
    assert second.since(first) is None


def test_a_boot_id_is_read_from_where_it_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "boot_id"
    path.write_text("01234567-89ab-cdef-0123-456789abcdef\n")
    assert SystemClock(path).now().boot == "01234567-89ab-cdef-0123-456789abcdef"


@pytest.mark.parametrize("size", [0, 1, 12, 32])
def test_entropy_has_the_size_asked_for(size: int) -> None:
    assert len(entropy(size)) == size


def test_entropy_does_not_repeat() -> None:
    assert len({entropy(16) for _ in range(100)}) == 100


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_hardened_process_leaves_no_core_and_no_view_of_its_memory() -> None:
    script = """
import ctypes, resource
from pos_engine.system import harden_process
harden_process()
harden_process()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "(0, 0) 0"


def test_hardening_does_without_what_a_system_lacks() -> None:
    script = """
import ctypes, sys
sys.modules["resource"] = None
def absent(*_, **__): raise OSError
ctypes.CDLL = absent
from pos_engine.system import harden_process
harden_process()
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_importing_the_module_hardens_nothing() -> None:
    script = "import ctypes; import pos_engine.system; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ("1" if sys.platform == "linux" else done.stdout.strip())
