"""OpenSSL's own server as an oracle: nothing of its side was written here."""

from __future__ import annotations

import subprocess
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from pos_engine import limits
from pos_engine.errors import NotSent
from pos_engine.transport.tcp import TcpStream
from pos_engine.transport.tls import TlsFiles, TlsStream
from tests.support.tls_host import NAME, Pki, write_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import trustme

PLENTY_S: Final = 10.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a host take its time for its first word, for a machine that has much to do."""
    monkeypatch.setattr(limits, "TLS_FIRST_WORD_S", (PLENTY_S, PLENTY_S))


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


@contextmanager
def s_server(tmp_path: Path, leaf: trustme.LeafCert, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run OpenSSL's own server on a free port."""
    certificate = write_client(tmp_path / "host.pem", leaf)
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-cert", str(certificate), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if line.startswith(b"ACCEPT"):
                break
        try:
            yield server, int(line.strip().rpartition(b":")[2])
        finally:
            server.kill()


@pytest.mark.needs("openssl")
def test_openssl_s_own_server_answers_and_its_new_keys_are_not_staleness(pki: Pki, tmp_path: Path) -> None:
    with s_server(tmp_path, pki.leaf, "-tls1_3") as (server, port):
        assert server.stdin is not None
        assert server.stdout is not None
        inner = TcpStream("127.0.0.1", port)
        with closing(TlsStream(inner, TlsFiles(pki.file), NAME)) as stream:
            stream.connect(PLENTY_S)
            assert not stream.stale()
            server.stdin.write(b"K\n")
            server.stdin.flush()
            assert becomes(inner.stale)
            assert not stream.stale()
            assert not inner.stale()
            stream.send(b"request\n", PLENTY_S)
            assert any(line == b"request\n" for line in server.stdout)
            server.stdin.write(b"answer\n")
            server.stdin.flush()
            assert stream.receive(PLENTY_S) == b"answer\n"


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_s_own_server_without_a_client_certificate_hears_nothing(
    pki: Pki, tmp_path: Path, version: str
) -> None:
    options = (version, "-Verify", "1", "-verify_return_error", "-CAfile", str(pki.file))
    with s_server(tmp_path, pki.leaf, *options) as (server, port):
        assert server.stdout is not None
        with closing(TlsStream(TcpStream("127.0.0.1", port), TlsFiles(pki.file), NAME)) as stream:
            with pytest.raises(NotSent, match="wants a client certificate"):
                stream.connect(PLENTY_S)
            with pytest.raises(NotSent):
                stream.send(b"request\n", PLENTY_S)
        assert b"request" not in server.stdout.read()
