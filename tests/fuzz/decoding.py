"""What must hold of any bytes that somebody sends, said once for the fuzzer and for the replay of its corpus."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Final

from pos_engine.errors import DecodeError
from pos_engine.wire import codec, lenient, reference
from tests.support.mangling import SPECS, outcome

CORPUS: Final = tuple(
    b64decode(line) for line in Path(__file__).with_name("corpus.txt").read_text(encoding="ascii").splitlines()
)
"""Inputs worth reading again: a line each, in base64, so that a change can be reviewed."""


def check(data: bytes) -> None:
    """Read bytes in every dialect, by every reader; the first byte is not special, so that captures fit as they are."""
    for spec in SPECS:
        fast = outcome(lambda spec=spec: codec.decode(data, spec))  # type: ignore[misc]  # bound now
        slow = outcome(lambda spec=spec: reference.decode(data, spec))  # type: ignore[misc]  # bound now
        assert fast == slow, f"{spec.name}: the codecs differ"
        reading = lenient.read(data, spec)
        try:
            message = codec.decode(data, spec)
        except DecodeError:
            assert reading.error is not None or reading.notes, f"{spec.name}: refused, but the walker found nothing odd"
            continue
        assert codec.encode(message, spec) == data, f"{spec.name}: accepted, but not written back"
        assert reading.message == message, f"{spec.name}: the walker reads something else"
        assert reading.error is None, f"{spec.name}: accepted, but the walker fails"
        assert not reading.notes, f"{spec.name}: accepted, but the walker finds something odd"
