from __future__ import annotations

import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from pos_engine import limits
from pos_engine.errors import NoAnswer, NotSent, Trouble
from pos_engine.transport.tcp import TcpStream
from pos_engine.transport.tls import TlsFiles, TlsStream
from tests.support.echo_host import EchoHost, reset
from tests.support.tls_host import (
    NAME,
    Heard,
    Pki,
    connecting,
    echo_back,
    host_context,
    protected,
    write_client,
    write_pem,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLENTY_S: Final = 10.0
BOTH_VERSIONS: Final = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
REQUEST: Final = b"\x00\x0a0123456789"
DAY: Final = timedelta(days=1)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.made(tmp_path_factory.mktemp("pki"))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> tuple[float, float]:
    """Let a host take its time for its first word, for a machine that has much to do; return what is usual."""
    usual = limits.TLS_FIRST_WORD_S
    monkeypatch.setattr(limits, "TLS_FIRST_WORD_S", (PLENTY_S, PLENTY_S))
    return usual


def refused(context: ssl.SSLContext, files: TlsFiles, name: str = NAME) -> tuple[NotSent, Heard]:
    """Connect to a host that cannot be had; whatever the reason, it must not have heard a byte."""
    heard = Heard()
    with connecting(protected(context, heard), files, name) as (stream, host):
        with pytest.raises(NotSent) as caught:
            stream.connect(PLENTY_S)
        with pytest.raises(NotSent):
            stream.send(REQUEST, PLENTY_S)
        assert stream.stale()
        stream.close()
        host.wait_for_end()
    assert heard.data == b""
    assert caught.value.__context__ is None
    assert str(caught.value).startswith(stream.peer)
    return caught.value, heard


@pytest.mark.parametrize("version", BOTH_VERSIONS, ids=str)
@pytest.mark.parametrize("name", [NAME, f"{NAME}.", "127.0.0.1"])
def test_bytes_travel_both_ways_under_a_good_certificate(pki: Pki, version: ssl.TLSVersion, name: str) -> None:
    heard = Heard()
    context = host_context(pki.leaf, version=version)
    with connecting(protected(context, heard, echo_back), TlsFiles(pki.file, None), name) as (stream, _):
        assert stream.stale()
        stream.connect(PLENTY_S)
        assert not stream.stale()
        assert not stream.is_line
        for _round in range(3):
            stream.send(REQUEST, PLENTY_S)
            assert stream.receive(PLENTY_S) == REQUEST
            assert not stream.stale()
    assert heard.data == REQUEST * 3


def test_a_host_that_gives_no_tickets_costs_a_short_wait_and_is_good(
    pki: Pki, patience: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TLS_FIRST_WORD_S", patience)
    context = host_context(pki.leaf, version=ssl.TLSVersion.TLSv1_3)
    context.num_tickets = 0
    with connecting(protected(context, Heard(), echo_back), TlsFiles(pki.file)) as (stream, _):
        stream.connect(PLENTY_S)
        stream.send(REQUEST, PLENTY_S)
        assert stream.receive(PLENTY_S) == REQUEST


def test_the_system_s_store_counts_where_nothing_is_pinned(
    pki: Pki, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    error, _ = refused(host_context(pki.leaf), TlsFiles())
    assert error.trouble is Trouble.TLS
    store = write_pem(tmp_path / "store.pem", pki.ca.cert_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(store))
    files = TlsFiles()
    with connecting(protected(host_context(pki.leaf), Heard(), echo_back), files) as (stream, _):
        stream.connect(PLENTY_S)
    write_pem(store, trustme.CA().cert_pem)
    error, _ = refused(host_context(pki.leaf), files)
    assert error.trouble is Trouble.TLS


def test_a_pinned_file_is_the_only_thing_trusted(pki: Pki, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = write_pem(tmp_path / "other.pem", trustme.CA().cert_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.file))
    error, heard = refused(host_context(pki.leaf), TlsFiles(other))
    assert "not issued by anybody who is trusted here" in str(error) or "not trusted here" in str(error)
    assert error.trouble is Trouble.TLS
    assert heard.refusals == ["TLSV1_ALERT_UNKNOWN_CA"]


def test_the_host_s_own_certificate_may_be_pinned(pki: Pki, tmp_path: Path) -> None:
    own = write_pem(tmp_path / "own.pem", pki.leaf.cert_chain_pems[0])
    with connecting(protected(host_context(pki.leaf), Heard(), echo_back), TlsFiles(own)) as (stream, _):
        stream.connect(PLENTY_S)
    error, _ = refused(host_context(pki.ca.issue_cert(NAME)), TlsFiles(own))
    assert error.trouble is Trouble.TLS


@pytest.mark.parametrize(("name", "words"), [("elsewhere.example", "another name"), ("127.0.0.2", "another address")])
def test_a_certificate_for_somebody_else_is_refused(pki: Pki, name: str, words: str) -> None:
    error, _ = refused(host_context(pki.leaf), TlsFiles(pki.file), name)
    assert words in str(error)
    assert error.trouble is Trouble.TLS


@pytest.mark.parametrize(
    ("begins", "ends", "words"), [(-30, -1, "has expired"), (1, 30, "not valid yet")], ids=["expired", "not-yet"]
)
def test_a_certificate_at_the_wrong_date_is_a_matter_of_the_clock(pki: Pki, begins: int, ends: int, words: str) -> None:
    now = datetime.now(UTC)
    leaf = pki.ca.issue_cert(NAME, not_before=now + begins * DAY, not_after=now + ends * DAY)
    error, _ = refused(host_context(leaf), TlsFiles(pki.file))
    assert words in str(error)
    assert error.trouble is Trouble.CLOCK


@pytest.mark.parametrize("version", BOTH_VERSIONS, ids=str)
def test_a_host_that_wants_a_client_certificate_refuses_before_anything_is_sent(
    pki: Pki, version: ssl.TLSVersion
) -> None:
    error, heard = refused(host_context(pki.leaf, clients=pki.ca, version=version), TlsFiles(pki.file))
    assert "wants a client certificate" in str(error)
    assert error.trouble is Trouble.TLS
    assert heard.refusals == ["PEER_DID_NOT_RETURN_A_CERTIFICATE"]


@pytest.mark.parametrize("version", BOTH_VERSIONS, ids=str)
def test_a_client_certificate_of_another_authority_is_refused_before_anything_is_sent(
    pki: Pki, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    mine = write_client(tmp_path / "mine.pem", trustme.CA().issue_cert("terminal.example"))
    error, heard = refused(host_context(pki.leaf, clients=pki.ca, version=version), TlsFiles(pki.file, mine))
    assert "does not trust who issued our client certificate" in str(error)
    assert heard.refusals == ["CERTIFICATE_VERIFY_FAILED"]


@pytest.mark.parametrize("version", BOTH_VERSIONS, ids=str)
def test_an_expired_client_certificate_is_refused_before_anything_is_sent(
    pki: Pki, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    leaf = pki.ca.issue_cert("terminal.example", not_before=now - 2 * DAY, not_after=now - DAY)
    mine = write_client(tmp_path / "mine.pem", leaf)
    error, _ = refused(host_context(pki.leaf, clients=pki.ca, version=version), TlsFiles(pki.file, mine))
    assert "our client certificate has expired" in str(error)


@pytest.mark.parametrize("version", BOTH_VERSIONS, ids=str)
def test_a_good_client_certificate_is_shown(pki: Pki, version: ssl.TLSVersion, tmp_path: Path) -> None:
    mine = write_client(tmp_path / "mine.pem", pki.ca.issue_cert("terminal.example"))
    heard = Heard()
    context = host_context(pki.leaf, clients=pki.ca, version=version)
    with connecting(protected(context, heard, echo_back), TlsFiles(pki.file, mine)) as (stream, _):
        stream.connect(PLENTY_S)
        stream.send(REQUEST, PLENTY_S)
        assert stream.receive(PLENTY_S) == REQUEST
    assert heard.clients != [""]


def refusing_when_told(context: ssl.SSLContext, heard: Heard, told: threading.Event) -> Callable[[socket.socket], None]:
    """Make a script that keeps its refusal to itself for a while."""

    def script(connection: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        host = context.wrap_bio(incoming, outgoing, server_side=True)
        while data := connection.recv(10_000):
            incoming.write(data)
            try:
                host.do_handshake()
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
            except ssl.SSLError as error:
                heard.refusals.append(error.reason or "")
                assert told.wait(PLENTY_S)
                connection.sendall(outgoing.read())
                return

    return script


def test_a_refusal_later_than_anybody_waits_for_is_doubt(
    pki: Pki, patience: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TLS_FIRST_WORD_S", patience)
    heard, told = Heard(), threading.Event()
    context = host_context(pki.leaf, clients=pki.ca, version=ssl.TLSVersion.TLSv1_3)
    with connecting(refusing_when_told(context, heard, told), TlsFiles(pki.file)) as (stream, _):
        stream.connect(PLENTY_S)
        stream.send(REQUEST, PLENTY_S)
        told.set()
        with pytest.raises(NoAnswer) as caught:
            stream.receive(PLENTY_S)
    assert caught.value.trouble in {Trouble.TLS, Trouble.RESET}
    assert heard.refusals == ["PEER_DID_NOT_RETURN_A_CERTIFICATE"]


def test_a_host_of_tls_1_1_is_too_old(pki: Pki) -> None:
    context = host_context(pki.leaf, version=ssl.TLSVersion.TLSv1_1)
    context.set_ciphers("ALL:@SECLEVEL=0")
    error, _ = refused(context, TlsFiles(pki.file))
    assert "no version of TLS from 1.2 on" in str(error)
    assert error.trouble is Trouble.TLS


def plain_answer(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.recv(10_000)


def hear_and_reset(connection: socket.socket) -> None:
    connection.recv(1)
    reset(connection)


def silent(connection: socket.socket) -> None:
    while connection.recv(10_000):
        pass


@pytest.mark.parametrize(
    ("script", "words", "trouble"),
    [
        (plain_answer, "does not speak TLS", Trouble.TLS),
        (lambda connection: connection.recv(10_000), "closed by the other side in the TLS handshake", Trouble.CLOSED),
        (hear_and_reset, "reset by the other side", Trouble.RESET),
    ],
    ids=["plain", "closes", "resets"],
)
def test_what_is_no_tls_host_is_not_sent(
    pki: Pki, script: Callable[[socket.socket], None], words: str, trouble: Trouble
) -> None:
    with connecting(script, TlsFiles(pki.file)) as (stream, _), pytest.raises(NotSent, match=words) as caught:
        stream.connect(PLENTY_S)
    assert caught.value.trouble is trouble


def test_a_host_that_refuses_the_connection_is_said_in_the_inner_stream_s_words(pki: Pki) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    stream = TlsStream(TcpStream(*address), TlsFiles(pki.file), NAME)
    with pytest.raises(NotSent, match="connection refused") as caught:
        stream.connect(PLENTY_S)
    assert caught.value.trouble is Trouble.REFUSED
    stream.close()


def dribble(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    """Make a script that does everything right, one byte every few milliseconds."""

    def script(connection: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        host = context.wrap_bio(incoming, outgoing, server_side=True)
        while data := connection.recv(10_000):
            incoming.write(data)
            try:
                host.do_handshake()
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    connection.sendall(bytes([byte]))
                    threading.Event().wait(0.005)

    return script


@pytest.mark.parametrize("how", ["silent", "dribbling"])
def test_a_handshake_ends_at_the_deadline(pki: Pki, how: str) -> None:
    script = silent if how == "silent" else dribble(host_context(pki.leaf))
    with connecting(script, TlsFiles(pki.file)) as (stream, _):
        begun = time.monotonic()
        with pytest.raises(NotSent) as caught:
            stream.connect(0.2)
        assert time.monotonic() - begun < 0.2 + 1.0
    assert caught.value.trouble is Trouble.NO_CONNECTION


def test_a_handshake_without_an_end_is_given_up(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TLS_HANDSHAKE_BYTES_MAX", 500)
    error, _ = refused(host_context(pki.leaf), TlsFiles(pki.file))
    assert "has no end" in str(error)


@pytest.mark.parametrize("name", ["", ".", "a" * 300, "münchen" * 20])
def test_a_name_that_is_none_is_not_sent(pki: Pki, name: str) -> None:
    with EchoHost() as host:
        stream = TlsStream(TcpStream(*host.address), TlsFiles(pki.file), name)
        with pytest.raises(NotSent) as caught:
            stream.connect(PLENTY_S)
        assert caught.value.trouble is Trouble.NAME
        assert host.accepted == 0


def test_a_host_that_ends_right_after_the_handshake_is_not_sent(pki: Pki) -> None:
    context = host_context(pki.leaf, version=ssl.TLSVersion.TLSv1_3)
    context.num_tickets = 0
    ends: list[Callable[[ssl.SSLSocket, Heard], None]] = [lambda connection, _: connection.close(), end_at_once]
    for end in ends:
        with connecting(protected(context, Heard(), end), TlsFiles(pki.file)) as (stream, _):
            with pytest.raises(NotSent, match="closed by the other side") as caught:
                stream.connect(PLENTY_S)
            assert caught.value.trouble is Trouble.CLOSED


def end_at_once(connection: ssl.SSLSocket, _: Heard) -> None:
    connection.unwrap()


def test_the_end_of_the_host_s_certificate_is_told(pki: Pki) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    leaf = pki.ca.issue_cert(NAME, not_before=now - DAY, not_after=now + 20 * DAY)
    ends: list[datetime | None] = []
    host = protected(host_context(leaf), Heard(), echo_back)
    with connecting(host, TlsFiles(pki.file), shown=ends.append) as (stream, _):
        stream.connect(PLENTY_S)
        assert ends == [now + 20 * DAY]


@pytest.mark.parametrize("version", BOTH_VERSIONS, ids=str)
def test_a_host_whose_certificate_python_cannot_read_is_good_and_its_end_is_not_known(
    version: ssl.TLSVersion, tmp_path: Path
) -> None:
    """OpenSSL verifies it; what fails is turning a mail address in Latin-1 into text."""
    names = der_names((0x82, NAME.encode()), (0x81, b"kass\xe9@pos.example"))
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, now - DAY, now + DAY)
    certificate = made.add_extension(
        x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, names), critical=False
    ).sign(key, hashes.SHA256())
    ca = tmp_path / "ca.pem"
    ca.write_bytes(certificate.public_bytes(Encoding.PEM))
    chain = tmp_path / "host.pem"
    chain.write_bytes(ca.read_bytes() + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.minimum_version = context.maximum_version = version
    ends: list[datetime | None] = []
    with connecting(protected(context, Heard(), echo_back), TlsFiles(ca), shown=ends.append) as (stream, _):
        stream.connect(PLENTY_S)
        assert ends == [None]
        stream.send(REQUEST, PLENTY_S)
        assert stream.receive(PLENTY_S) == REQUEST


def der_names(*names: tuple[int, bytes]) -> bytes:
    """Return a certificate's list of other names, by tag, in DER; whatever stands in it."""
    body = b"".join(bytes([tag, len(said)]) + said for tag, said in names)
    return bytes([0x30, len(body)]) + body
