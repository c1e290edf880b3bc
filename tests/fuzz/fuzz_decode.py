"""A coverage-guided search for bytes that a reader takes wrongly, too slowly, or with too much memory.

    python -m tests.fuzz.fuzz_decode folder [options of libFuzzer, such as -max_total_time=600]

The kept corpus is written into the folder first, and whatever opens a new path is added there. What is worth keeping
goes into `corpus.txt`, a line of base64 each.

Time is the processor's, and an input counts as slow only if it stays slow when it is read again. Memory is what is
held between inputs, past a warm-up, measured now and then.
"""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from pathlib import Path
from random import Random
from time import process_time
from typing import TYPE_CHECKING

import atheris

with atheris.instrument_imports(include=["pos_engine.wire", "iso8583"]):
    from pos_engine.errors import DecodeError
    from pos_engine.wire import codec
    from pos_engine.wire.message import Message
    from tests.fuzz.decoding import CORPUS, check
    from tests.support.mangling import SPECS, whole_value

if TYPE_CHECKING:
    from pos_engine.wire.spec import MessageSpec

SLOWEST_S = 0.010
"""One reading of one input, in any dialect."""
HELD_BLOCKS_MAX = 2048
"""Blocks of Python's allocator held in addition after the warm-up: 1 MiB, as the largest has 512 bytes."""
WARM_UP = 10_000
MEASURED_EVERY = 10_000

_state = {"executions": 0, "slowest": 0.0, "size": 0, "blocks_after_warm_up": 0, "held": 0}


def _timed(data: bytes, spec: MessageSpec) -> float:
    started = process_time()
    with suppress(DecodeError):
        codec.decode(data, spec)
    return process_time() - started


def _compile_everything() -> None:
    """Have each declared set read and written once, so that what they take is not counted as held."""
    random = Random(0)
    for spec in SPECS:
        for numbers in spec.catalogue:
            fields = {number: whole_value(random, spec.fields[number]) for number in numbers}
            check(codec.encode(Message("0200", fields), spec))


def fuzz_decode(data: bytes) -> None:
    """Read one input, and keep count."""
    check(data)
    _state["executions"] += 1
    if _state["executions"] <= WARM_UP:
        if _state["executions"] == WARM_UP:
            gc.collect()
            _state["blocks_after_warm_up"] = sys.getallocatedblocks()
        return
    for spec in SPECS:
        took = _timed(data, spec)
        if took > _state["slowest"]:
            took = min(took, *(_timed(data, spec) for _ in range(3)))
            assert took <= SLOWEST_S, f"{took * 1000:.1f} ms for {len(data)} bytes"
        if took > _state["slowest"]:
            _state["slowest"], _state["size"] = took, len(data)
    if _state["executions"] % MEASURED_EVERY == 0:
        gc.collect()
        _state["held"] = sys.getallocatedblocks() - _state["blocks_after_warm_up"]
        _report()
        assert _state["held"] <= HELD_BLOCKS_MAX, f"{_state['held']} blocks are held after the warm-up"


def _report() -> None:
    # libFuzzer leaves the process without a goodbye, so the count is given on the way.
    print(
        f"{_state['executions']} executions, slowest {_state['slowest'] * 1000:.2f} ms ({_state['size']} bytes), "
        f"{_state['held']} blocks held after the warm-up",
        file=sys.stderr,
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for place, kept in enumerate(CORPUS):
        (folder / f"kept-{place}").write_bytes(kept)
    _compile_everything()
    atheris.Setup(sys.argv, fuzz_decode)
    atheris.Fuzz()
