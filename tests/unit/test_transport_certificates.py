from __future__ import annotations

import ssl
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pos_engine import limits
from pos_engine.errors import ConfigError, NotSent, Trouble
from pos_engine.transport.certificates import Expiry, TlsFiles
from pos_engine.transport.tcp import TcpStream
from pos_engine.transport.tls import TlsStream
from tests.support.echo_host import EchoHost
from tests.support.tls_host import NAME, Heard, Pki, echo_back, host_context, protected, write_client, write_pem

if TYPE_CHECKING:
    from collections.abc import Callable

PLENTY_S: Final = 10.0
DAY: Final = timedelta(days=1)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.made(tmp_path_factory.mktemp("pki"))


def test_new_files_count_from_the_next_connection_on(pki: Pki, tmp_path: Path) -> None:
    other = trustme.CA()
    contexts = {
        "old": host_context(pki.leaf, clients=pki.ca),
        "new": host_context(other.issue_cert(NAME), clients=other),
    }
    ca = write_pem(tmp_path / "ca.pem", pki.ca.cert_pem)
    mine = write_client(tmp_path / "mine.pem", pki.ca.issue_cert("terminal.example"))
    files = TlsFiles(ca, mine)
    assert files.context() is files.context()

    def sells(which: str) -> bool:
        script = protected(contexts[which], Heard(), echo_back)
        with EchoHost(script) as host, closing(TlsStream(TcpStream(*host.address), files, NAME)) as stream:
            try:
                stream.connect(PLENTY_S)
            except NotSent:
                return False
            stream.send(b"request", PLENTY_S)
            return stream.receive(PLENTY_S) == b"request"

    assert (sells("old"), sells("new")) == (True, False)
    write_pem(ca, other.cert_pem)
    assert (sells("old"), sells("new")) == (False, False)
    write_client(mine, other.issue_cert("terminal.example"))
    assert (sells("old"), sells("new")) == (False, True)


@pytest.mark.parametrize("which", ["ca", "certificate"])
def test_a_broken_file_stops_the_connection_before_anything_and_is_named(pki: Pki, which: str, tmp_path: Path) -> None:
    good = {
        "ca": pki.ca.cert_pem.bytes(),
        "certificate": b"".join(blob.bytes() for blob in (*pki.leaf.cert_chain_pems, pki.leaf.private_key_pem)),
    }
    paths = {name: tmp_path / f"{name}.pem" for name in good}
    for name, path in paths.items():
        path.write_bytes(good[name])
        path.chmod(0o600)
    files = TlsFiles(paths["ca"], paths["certificate"])
    files.check()
    with EchoHost(protected(host_context(pki.leaf), Heard(), echo_back)) as host:
        for damaged in (None, good[which][:100]):
            paths[which].unlink(missing_ok=True)
            if damaged is not None:
                paths[which].write_bytes(damaged)
            stream = TlsStream(TcpStream(*host.address), files, NAME)
            with pytest.raises(NotSent) as caught:
                stream.connect(PLENTY_S)
            assert str(paths[which]) in str(caught.value)
            assert caught.value.trouble is Trouble.TLS
            assert host.accepted == 0
        paths[which].write_bytes(good[which])
        paths[which].chmod(0o600)
        with closing(TlsStream(TcpStream(*host.address), files, NAME)) as stream:
            stream.connect(PLENTY_S)


def enciphered(path: Path, leaf: trustme.LeafCert) -> None:
    key = path.with_suffix(".key")
    key.write_bytes(leaf.private_key_pem.bytes())
    done = subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", key, "-passout", "pass:secret"], capture_output=True, check=True
    )
    path.write_bytes(leaf.cert_chain_pems[0].bytes() + done.stdout)


def a_folder(path: Path, _: trustme.LeafCert) -> None:
    path.unlink()
    path.mkdir()


def of_another(path: Path, leaf: trustme.LeafCert) -> None:
    other = trustme.CA().issue_cert(NAME)
    path.write_bytes(leaf.cert_chain_pems[0].bytes() + other.private_key_pem.bytes())


BROKEN: Final[dict[str, tuple[Callable[[Path, trustme.LeafCert], object], str]]] = {
    "missing": (lambda path, _: path.rename(path.with_name("elsewhere")), "no such file"),
    "a folder": (a_folder, "not a regular file"),
    "empty": (lambda path, _: path.write_bytes(b""), "no certificate in it"),
    "too large": (lambda path, _: path.write_bytes(b"x" * (limits.TLS_FILE_BYTES_MAX + 1)), "too large"),
    "open to all": (lambda path, _: path.chmod(0o644), "open to everybody"),
    "without a key": (lambda path, leaf: path.write_bytes(leaf.cert_chain_pems[0].bytes()), "no private key in it"),
    "without a certificate": (lambda path, leaf: path.write_bytes(leaf.private_key_pem.bytes()), "no certificate"),
    "the key of another": (of_another, "not that of its first certificate"),
    "garbled": (
        lambda path, _: path.write_bytes(path.read_bytes().replace(b"M", b"!")),
        "its certificate or its private key cannot be read",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_check_names_the_file_and_says_what_is_wrong(pki: Pki, how: str, tmp_path: Path) -> None:
    path = write_client(tmp_path / "mine.pem", pki.leaf)
    breaks, words = BROKEN[how]
    breaks(path, pki.leaf)
    with pytest.raises(ConfigError) as caught:
        TlsFiles(pki.file, path).check()
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.needs("openssl")
def test_an_enciphered_key_is_refused_and_nobody_is_asked_for_its_password(pki: Pki, tmp_path: Path) -> None:
    path = write_client(tmp_path / "mine.pem", pki.leaf)
    enciphered(path, pki.leaf)
    with pytest.raises(ConfigError, match="its private key is enciphered"):
        TlsFiles(pki.file, path).check()


@pytest.mark.parametrize(
    "text", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"], ids=["empty", "garbled"]
)
def test_a_file_of_authorities_without_any_is_refused(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(text)
    for use in (TlsFiles(path).check, lambda: TlsFiles(path).expiring(datetime.now(UTC))):
        with pytest.raises(ConfigError, match="no certificate can be read from it"):
            use()


def test_certificates_that_end_soon_are_told(pki: Pki, tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    soon = pki.ca.issue_cert(NAME, common_name="terminal 7", not_before=now - DAY, not_after=now + 20 * DAY)
    mine = write_client(tmp_path / "mine.pem", soon)
    files = TlsFiles(pki.file, mine)
    told = Expiry(file=mine, subject="terminal 7", until=now + 20 * DAY, days_left=20)
    assert files.expiring(now) == (told,)
    assert files.expiring(now, within=19 * DAY) == ()
    assert [each.days_left for each in files.expiring(now + 21 * DAY)] == [-1]
    assert TlsFiles().expiring(now) == ()


def test_a_certificate_without_a_common_name_is_told_by_all_of_its_name(pki: Pki, tmp_path: Path) -> None:
    mine = write_client(tmp_path / "mine.pem", pki.ca.issue_cert(NAME))
    (told,) = TlsFiles(None, mine).expiring(datetime.now(UTC), within=365_000 * DAY)
    assert "O=" in told.subject


def altered(path: Path, old: bytes, new: bytes) -> Path:
    """Write a certificate that vouches for itself and ends soon, with some of its bytes exchanged for others."""
    key = ec.generate_private_key(ec.SECP256R1())
    # One letter for every byte that a name in Latin-1 has.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Z_rich")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 0x1F2E, now - DAY, now + 5 * DAY)
    der = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    assert old in der
    path.write_text(ssl.DER_cert_to_PEM_cert(der.replace(old, new)))
    return path


UTF8_NAME: Final = b"\x0c\x06Z_rich"
TELETEX_NAME: Final = b"\x14\x06Z\xfcrich"
VERSION_3: Final = b"\xa0\x03\x02\x01\x02"
VERSION_6: Final = b"\xa0\x03\x02\x01\x05"


def test_a_certificate_whose_name_cannot_be_read_is_told_by_its_number(tmp_path: Path) -> None:
    file = altered(tmp_path / "ca.pem", UTF8_NAME, TELETEX_NAME)
    files = TlsFiles(file)
    files.check()
    (told,) = files.expiring(datetime.now(UTC))
    assert (told.file, told.subject, told.days_left) == (file, "serial number 1F2E", 4)


def test_a_certificate_of_a_version_that_nobody_knows_costs_no_warning_of_others(pki: Pki, tmp_path: Path) -> None:
    file = altered(tmp_path / "ca.pem", VERSION_3, VERSION_6)
    alone = TlsFiles(file)
    alone.context()
    with pytest.raises(ConfigError, match="no certificate can be read from it") as caught:
        alone.check()
    assert caught.value.__context__ is None
    now = datetime.now(UTC)
    soon = pki.ca.issue_cert(NAME, common_name="the next one", not_after=now + 5 * DAY)
    file.write_bytes(file.read_bytes() + soon.cert_chain_pems[0].bytes())
    files = TlsFiles(file)
    files.check()
    assert [each.subject for each in files.expiring(now)] == ["the next one"]


def test_a_system_without_a_store_trusts_nobody_and_says_so_with_the_connection(
    pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    files = TlsFiles()
    files.check()
    with (
        EchoHost(protected(host_context(pki.leaf), Heard(), echo_back)) as host,
        closing(TlsStream(TcpStream(*host.address), files, NAME)) as stream,
        pytest.raises(NotSent) as caught,
    ):
        stream.connect(PLENTY_S)
    assert caught.value.trouble is Trouble.TLS


def test_a_file_that_cannot_be_read_is_named(pki: Pki) -> None:
    # A file of the kernel that looks like any other, and cannot be read from its beginning.
    unreadable = Path("/proc/self/mem")
    for files in (TlsFiles(unreadable), TlsFiles(pki.file, unreadable)):
        with pytest.raises(ConfigError) as caught:
            files.check()
        assert str(caught.value).startswith(f"{unreadable}: ")
    with pytest.raises(ConfigError, match="cannot be read"):
        TlsFiles(unreadable).expiring(datetime.now(UTC))
