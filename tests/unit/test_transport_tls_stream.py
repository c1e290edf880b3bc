from __future__ import annotations

import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine import limits
from pos_engine.errors import NoAnswer, NotSent, Trouble
from pos_engine.transport.base import Silence
from pos_engine.transport.memory import memory_pair
from pos_engine.transport.tls import TlsFiles, TlsStream
from tests.support.tls_host import NAME, Heard, Pki, Wire, connecting, host_context, protected, record

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

PLENTY_S: Final = 10.0
REQUEST: Final = b"\x00\x0a0123456789"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.made(tmp_path_factory.mktemp("pki"))


def becomes(true: Callable[[], bool]) -> bool:
    """Give the kernel a moment to carry bytes from one end of the loopback to the other."""
    end = time.monotonic() + PLENTY_S
    while not true():
        if time.monotonic() > end:
            return False
        threading.Event().wait(0.001)
    return True


def test_an_interrupt_before_a_request_is_handed_over_keeps_it_here_also_when_closing(pki: Pki) -> None:
    moments = count()
    interrupted_at: set[int] = set()

    def monotonic() -> float:
        if next(moments) in interrupted_at:
            raise KeyboardInterrupt
        return 0.0

    wire = Wire(host_context(pki.leaf))
    stream = TlsStream(wire, TlsFiles(pki.file), NAME, monotonic=monotonic)
    stream.connect(PLENTY_S)
    passed = dict(wire.passed)
    # The clock is asked at the beginning of a call, and again between enciphering and handing over.
    interrupted_at.add(next(moments) + 2)
    with pytest.raises(KeyboardInterrupt):
        stream.send(REQUEST, PLENTY_S)
    stream.close()
    assert wire.passed == passed
    assert wire.heard.data == b""


def test_an_end_without_tls_s_own_end_is_no_end(pki: Pki) -> None:
    with connecting(protected(host_context(pki.leaf), Heard(), one_answer), TlsFiles(pki.file)) as (stream, _):
        stream.connect(PLENTY_S)
        stream.send(REQUEST, PLENTY_S)
        assert stream.receive(PLENTY_S) == REQUEST
        with pytest.raises(NoAnswer, match="cut off") as caught:
            stream.receive(PLENTY_S)
        assert caught.value.trouble is Trouble.CLOSED
        assert stream.stale()
        with pytest.raises(NotSent):
            stream.send(REQUEST, PLENTY_S)


def one_answer(connection: ssl.SSLSocket, heard: Heard) -> None:
    data = connection.recv(100)
    heard.data += data
    connection.sendall(data)


def answer_and_end(connection: ssl.SSLSocket, heard: Heard) -> None:
    one_answer(connection, heard)
    connection.unwrap()


def test_tls_s_own_end_comes_after_the_last_bytes_and_stays(pki: Pki) -> None:
    with connecting(protected(host_context(pki.leaf), Heard(), answer_and_end), TlsFiles(pki.file)) as (stream, _):
        stream.connect(PLENTY_S)
        stream.send(REQUEST, PLENTY_S)
        assert stream.receive(PLENTY_S) == REQUEST
        assert becomes(stream.stale)
        assert stream.receive(PLENTY_S) == b""
        assert stream.receive(PLENTY_S) == b""
        with pytest.raises(NotSent, match="closed by the other side"):
            stream.send(REQUEST, PLENTY_S)


def test_our_end_is_tls_s_own_too(pki: Pki) -> None:
    heard, ended = Heard(), threading.Event()

    def until_the_end(connection: ssl.SSLSocket, heard: Heard) -> None:
        # Without TLS's own end this would raise.
        record(connection, heard)
        ended.set()

    with connecting(protected(host_context(pki.leaf), heard, until_the_end), TlsFiles(pki.file)) as (stream, host):
        stream.connect(PLENTY_S)
        stream.close()
        stream.close()
        host.wait_for_end()
        assert stream.stale()
        with pytest.raises(NoAnswer, match="not connected"):
            stream.receive(PLENTY_S)
    assert ended.is_set()
    assert heard.refusals == []


def test_unasked_bytes_make_it_stale_and_are_not_lost(pki: Pki) -> None:
    go = threading.Event()

    def unasked(connection: ssl.SSLSocket, heard: Heard) -> None:
        assert go.wait(PLENTY_S)
        connection.sendall(b"!")
        record(connection, heard)

    with connecting(protected(host_context(pki.leaf), Heard(), unasked), TlsFiles(pki.file)) as (stream, _):
        stream.connect(PLENTY_S)
        for timeout_s in (0.01, 0.0, -1.0):
            with pytest.raises(Silence) as caught:
                stream.receive(timeout_s)
            assert caught.value.__context__ is None
        assert not stream.stale()
        go.set()
        assert becomes(stream.stale)
        assert stream.stale()
        assert stream.receive(0) == b"!"
        assert not stream.stale()


def test_a_host_that_speaks_first_is_stale_at_once(pki: Pki) -> None:
    def eager(connection: ssl.SSLSocket, heard: Heard) -> None:
        connection.sendall(b"welcome")
        record(connection, heard)

    context = host_context(pki.leaf)
    context.num_tickets = 0
    with connecting(protected(context, Heard(), eager), TlsFiles(pki.file)) as (stream, _):
        stream.connect(PLENTY_S)
        assert becomes(stream.stale)
        assert stream.receive(0) == b"welcome"


def test_half_a_record_is_stale_because_its_rest_might_pass_for_an_answer(pki: Pki) -> None:
    wire = Wire(host_context(pki.leaf))
    stream = TlsStream(wire, TlsFiles(pki.file), NAME)
    stream.connect(PLENTY_S)
    assert wire.host is not None
    wire.host.write(b"unasked")
    wire.run_host()
    rest = bytes(wire.to_client[7:])
    del wire.to_client[7:]
    assert stream.stale()
    with pytest.raises(Silence):
        stream.receive(0)
    wire.to_client += rest
    assert stream.receive(0) == b"unasked"


def test_a_look_without_waiting_ends_although_bytes_keep_coming(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(host_context(pki.leaf))
    stream = TlsStream(wire, TlsFiles(pki.file), NAME)
    stream.connect(PLENTY_S)
    assert not stream.stale()
    assert wire.host is not None
    wire.host.write(b"x" * 1000)
    wire.run_host()
    monkeypatch.setattr(limits, "RECEIVE_BYTES_MAX", 10)
    with pytest.raises(Silence):
        stream.receive(0)
    assert wire.to_client
    assert stream.stale()
    assert stream.receive(PLENTY_S) == b"x" * 10


def test_a_flood_of_unasked_bytes_is_taken_in_pieces_of_a_bounded_size(pki: Pki) -> None:
    wire = Wire(host_context(pki.leaf))
    stream = TlsStream(wire, TlsFiles(pki.file), NAME)
    stream.connect(PLENTY_S)
    assert wire.host is not None
    for _ in range(64):
        wire.host.write(b"x" * 16_384)
    wire.run_host()
    assert stream.stale()
    taken = 0
    while taken < 64 * 16_384:
        piece = stream.receive(0)
        assert 0 < len(piece) <= limits.RECEIVE_BYTES_MAX
        taken += len(piece)


@pytest.mark.parametrize("bit", [0, 5 * 8, 12 * 8 + 3])
def test_a_flipped_bit_is_no_answer(pki: Pki, bit: int) -> None:
    wire = Wire(host_context(pki.leaf))
    stream = TlsStream(wire, TlsFiles(pki.file), NAME)
    stream.connect(PLENTY_S)
    assert not stream.stale()
    stream.send(REQUEST, PLENTY_S)
    wire.to_client[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NoAnswer, match="TLS failed") as caught:
        stream.receive(PLENTY_S)
    assert caught.value.trouble is Trouble.TLS
    assert stream.stale()


HEADS: Final = [
    b"",
    b"\x15\x03\x03\x00\x02",
    b"\x16\x03\x03\x00\x40\x02",
    b"\x17\x03\x03\x00\x13",
    b"\x17\x03\x03\xff\xff",
]
"""The beginnings of an alert, a handshake, an enciphered record, and one that is too long."""


@given(head=st.sampled_from(HEADS), noise=st.binary(max_size=100))
def test_whatever_answers_a_handshake_nothing_is_sent(pki: Pki, head: bytes, noise: bytes) -> None:
    inner, host = memory_pair()
    stream = TlsStream(inner, TlsFiles(pki.file), NAME)
    host.send(head + noise, PLENTY_S)
    with pytest.raises(NotSent) as caught:
        stream.connect(PLENTY_S)
    assert caught.value.__context__ is None
    assert stream.stale()


@given(head=st.sampled_from(HEADS), noise=st.binary(max_size=100), looks=st.booleans())
def test_whatever_comes_after_the_handshake_is_no_answer(pki: Pki, head: bytes, noise: bytes, *, looks: bool) -> None:
    wire = Wire(host_context(pki.leaf))
    stream = TlsStream(wire, TlsFiles(pki.file), NAME)
    stream.connect(PLENTY_S)
    assert not stream.stale()
    wire.to_client += head + noise
    if looks:
        assert stream.stale() is bool(head + noise)
    with pytest.raises(NoAnswer) as caught:
        stream.receive(0)
    assert caught.value.__context__ is None
    stream.close()
    assert wire.heard.data == b""


def test_a_handshake_for_which_no_time_is_left_is_not_sent(pki: Pki) -> None:
    moments = count()
    wire = Wire(host_context(pki.leaf))
    stream = TlsStream(wire, TlsFiles(pki.file), NAME, monotonic=lambda: float(next(moments)))
    with pytest.raises(NotSent, match="took too long") as caught:
        stream.connect(3.0)
    assert caught.value.trouble is Trouble.NO_CONNECTION
    assert wire.closed
