from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from pos_engine.framing.stx import StxFramer
from tests.fuzz.line import check_line

FRAME = StxFramer().send(b"theirs")
PIECES = st.binary(max_size=20) | st.sampled_from([b"\x02", b"\x03", b"\x04", b"\x05", b"\x06", b"\x15", FRAME])


@given(st.lists(st.tuples(st.integers(0, 7), PIECES), max_size=40))
def test_whatever_comes_in_and_whenever(pieces: list[tuple[int, bytes]]) -> None:
    check_line(b"".join(bytes([kind << 5 | len(piece)]) + piece for kind, piece in pieces if piece))


def test_random_bytes() -> None:
    random = Random(2)
    for _ in range(500):
        check_line(random.randbytes(random.randrange(400)))
