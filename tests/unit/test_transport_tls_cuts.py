from __future__ import annotations

import ssl
from contextlib import closing
from typing import Final

import pytest

from pos_engine.errors import LinkError, NoAnswer, NotSent
from pos_engine.transport.tcp import TcpStream
from pos_engine.transport.tls import TlsFiles, TlsStream
from simulators.faults import TcpProxy
from tests.support.echo_host import EchoHost
from tests.support.tls_host import NAME, Direction, Fault, Heard, Pki, Wire, echo_back, host_context, protected

PLENTY_S: Final = 10.0
BOTH_VERSIONS: Final = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
REQUEST: Final = b"\x00\x0a0123456789"
SIGNATURE_BYTES: Final = 8
"""By so many the lengths of two signatures with the same key may differ."""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.made(tmp_path_factory.mktemp("pki"))


def outcome_on(wire: Wire, files: TlsFiles) -> type[LinkError] | None:
    """Try one exchange; return how it failed, having checked that the failure tells the truth."""
    stream = TlsStream(wire, files, NAME, monotonic=lambda: 0.0)
    failure: type[LinkError] | None = None
    try:
        stream.connect(PLENTY_S)
        stream.send(REQUEST, PLENTY_S)
        assert stream.receive(PLENTY_S) == REQUEST
    except LinkError as error:
        failure = type(error)
    stream.close()
    assert wire.closed
    assert failure is not NotSent or not wire.heard.data
    return failure


@pytest.mark.parametrize("version", BOTH_VERSIONS, ids=str)
@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("fault", Fault)
def test_a_link_cut_at_any_byte_tells_the_truth(
    pki: Pki, version: ssl.TLSVersion, direction: Direction, fault: Fault
) -> None:
    context, files = host_context(pki.leaf, version=version), TlsFiles(pki.file)
    whole = Wire(context)
    stream = TlsStream(whole, files, NAME, monotonic=lambda: 0.0)
    stream.connect(PLENTY_S)
    at_rest = dict(whole.passed)
    stream.send(REQUEST, PLENTY_S)
    assert stream.receive(PLENTY_S) == REQUEST
    seen = {cut: outcome_on(Wire(context, direction, fault, cut), files) for cut in range(whole.passed[direction] + 1)}
    # With its first ticket a host of TLS 1.3 has agreed, and another one follows; signatures differ by a few bytes.
    is_sure = direction is Direction.TO_HOST or version is ssl.TLSVersion.TLSv1_2
    handshake = range(at_rest[direction] - SIGNATURE_BYTES if is_sure else at_rest[direction] // 2)
    assert {seen[cut] for cut in handshake} == {NotSent}
    exchange = range(at_rest[direction] + SIGNATURE_BYTES, whole.passed[direction] - SIGNATURE_BYTES)
    assert {seen[cut] for cut in exchange} == {NoAnswer}
    assert set(seen.values()) <= {NotSent, NoAnswer, None}


@pytest.mark.parametrize("fault", ["fin", "rst"])
@pytest.mark.parametrize("direction", ["to-host", "to-terminal"])
def test_a_real_link_cut_anywhere_tells_the_truth(pki: Pki, direction: str, fault: str) -> None:
    files, context = TlsFiles(pki.file), host_context(pki.leaf)
    for after in (0, 1, 5, 6, *range(149, 1500, 149)):
        heard, failure = Heard(), None
        with (
            EchoHost(protected(context, heard, echo_back)) as host,
            TcpProxy(host.address, f"{fault} {direction} at {after}") as proxy,
            closing(TlsStream(TcpStream(*proxy.address), files, NAME)) as stream,
        ):
            try:
                stream.connect(PLENTY_S)
                stream.send(REQUEST, PLENTY_S)
                stream.receive(PLENTY_S)
            except LinkError as error:
                failure = type(error)
        assert not (failure is NotSent and heard.data)
        assert failure is not None or heard.data == REQUEST


@pytest.mark.parametrize("accepted", range(32))
def test_only_while_no_byte_of_the_record_was_taken_is_it_not_sent(pki: Pki, accepted: int) -> None:
    wire = Wire(host_context(pki.leaf))
    stream = TlsStream(wire, TlsFiles(pki.file), NAME)
    stream.connect(PLENTY_S)
    wire.accepts = accepted
    with pytest.raises(LinkError) as caught:
        stream.send(REQUEST, PLENTY_S)
    assert type(caught.value) is (NoAnswer if accepted else NotSent)
    wire.accepts = None
    # A record that was cut in two must never be followed by another one.
    with pytest.raises(NotSent, match="failed before"):
        stream.send(REQUEST, PLENTY_S)
    stream.close()
    assert wire.heard.data == b""


def test_once_one_of_several_records_is_out_the_request_is_in_doubt(pki: Pki) -> None:
    wire = Wire(host_context(pki.leaf))
    stream = TlsStream(wire, TlsFiles(pki.file), NAME)
    stream.connect(PLENTY_S)
    wire.accepts = 16_384 + 22
    with pytest.raises(NoAnswer):
        stream.send(b"x" * 20_000, PLENTY_S)
    assert len(wire.heard.data) == 16_384
