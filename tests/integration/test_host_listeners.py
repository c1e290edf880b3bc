"""Every road to the simulated host: TLS, the HTTPS tunnel, a serial line, other framings, several doors of one host."""

from __future__ import annotations

import http.client
import socket
import ssl
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import ConfigError, UsageError
from pos_engine.framing.registry import new_framer
from pos_engine.system import entropy
from simulators.acquirer import Acquirer, What
from simulators.scenario import parse
from simulators.server import BackgroundServer, tunnel
from tests.support.authority import Authority
from tests.support.host_client import TID, Bench, HostClient, Line
from tests.support.host_roads import TYPE, WAIT_S, Cable, Road, connected, port_of, posting, trusting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


ACK = 0x06


@pytest.fixture(name="authority", scope="module")
def _authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def silent_host(action: str) -> Acquirer:
    scenario = parse(f'[[rule]]\nname = "r"\nmatch = {{ kind = "sale" }}\naction = {action}', "f.toml")
    return Acquirer(entropy=entropy, scenario=scenario)


@pytest.fixture(name="cable")
def _cable(tmp_path: Path) -> Iterator[Cable]:
    cable = Cable(tmp_path / "line")
    yield cable
    cable.unplug()


# TCP and TLS.


@pytest.mark.parametrize("framing", ["le2", "bcd2", "ascii4+self", "hex4-tpdu", "stx", "stx+binary"])
def test_a_terminal_sells_with_any_framing(framing: str) -> None:
    with BackgroundServer(listen=f"tcp://127.0.0.1:0?framing={framing}") as host, connected(host.address) as line:
        client = HostClient(Road.over(line, framing).exchange)
        assert client.sign_on()[39] == "00"
        assert client.ask(client.sale(1_000)) == "00"


def test_a_serial_line_behind_a_converter_speaks_as_a_serial_line_does() -> None:
    with BackgroundServer(listen="socket://127.0.0.1:0") as host, connected(host.address) as line:
        assert HostClient(Road.over(line, "stx").exchange).sign_on()[39] == "00"


def test_a_terminal_sells_over_tls(authority: Authority) -> None:
    with (
        BackgroundServer(listen="tls://127.0.0.1:0", certificate=authority.issue("host")) as host,
        trusting(authority).wrap_socket(connected(host.address), server_hostname="127.0.0.1") as line,
    ):
        client = HostClient(Road.over(line).exchange)
        assert client.sign_on()[39] == "00"
        assert client.ask(client.sale(1_000)) == "00"
        assert host.address.startswith("tls://127.0.0.1:")


def test_old_tls_is_refused(authority: Authority) -> None:
    context = trusting(authority)
    context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with BackgroundServer(listen="tls://127.0.0.1:0", certificate=authority.issue("host")) as host:
        line = connected(host.address)
        with pytest.raises(ssl.SSLError), line:
            context.wrap_socket(line, server_hostname="127.0.0.1")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_with_a_ca_of_clients_only_its_certificates_get_in(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    stranger = Authority(tmp_path, "Other CA")
    contexts = [trusting(authority), trusting(authority, stranger.issue("stranger"))]
    with BackgroundServer(
        listen="tls://127.0.0.1:0", certificate=authority.issue("host"), client_ca=authority.ca
    ) as host:
        for context in contexts:
            context.minimum_version = context.maximum_version = version
            # With TLS 1.2 the handshake fails, with 1.3 the first answer.
            with (
                pytest.raises(ssl.SSLError),
                context.wrap_socket(connected(host.address), server_hostname="127.0.0.1") as line,
            ):
                assert line.recv(1)
        known = trusting(authority, authority.issue("terminal"))
        known.minimum_version = known.maximum_version = version
        with known.wrap_socket(connected(host.address), server_hostname="127.0.0.1") as line:
            assert HostClient(Road.over(line).exchange).sign_on()[39] == "00"
        assert [event.what for event in host.events] == [What.SIGNED_ON]


def test_tls_files_that_cannot_be_are_named_without_what_they_hold(authority: Authority, tmp_path: Path) -> None:
    garbage, certificate = tmp_path / "garbage.pem", authority.issue("host")
    garbage.write_text("0123456789ABCDEF")
    sealed = authority.issue("sealed", password=b"secret")
    wrong = [
        (tmp_path / "missing.pem", None, r"missing\.pem: cannot be read: no such file"),
        (garbage, None, r"garbage\.pem: does not hold a certificate and its key in PEM"),
        (authority.ca, None, r"test-ca\.pem: does not hold a certificate and its key in PEM"),
        (sealed, None, r"sealed\.pem: does not hold a certificate and its key in PEM"),
        (certificate, garbage, r"garbage\.pem: does not hold certificates in PEM"),
        (certificate, tmp_path / "missing.pem", r"missing\.pem: cannot be read: no such file"),
    ]
    for own, ca, why in wrong:
        with (
            pytest.raises(ConfigError, match=why) as caught,
            BackgroundServer(listen="tls://127.0.0.1:0", certificate=own, client_ca=ca),
        ):
            pass
        assert caught.value.__context__ is None
    with pytest.raises(UsageError, match="tls needs a certificate"):
        BackgroundServer(listen="tls://127.0.0.1:0")


# The tunnel.


@pytest.fixture(name="gateway")
def _gateway(authority: Authority) -> Iterator[BackgroundServer]:
    with BackgroundServer(listen="https://127.0.0.1:0/mjc/pay", certificate=authority.issue("host")) as host:
        yield host


@pytest.fixture(name="https")
def _https(gateway: BackgroundServer, authority: Authority) -> Iterator[http.client.HTTPSConnection]:
    made = http.client.HTTPSConnection(
        "127.0.0.1", port_of(gateway.address), timeout=WAIT_S, context=trusting(authority)
    )
    with closing(made):
        yield made


def test_a_terminal_sells_through_the_tunnel_on_one_connection(
    gateway: BackgroundServer, https: http.client.HTTPSConnection
) -> None:
    client = HostClient(posting(https))
    assert client.sign_on()[39] == "00"
    used = https.sock
    assert [client.ask(client.sale(amount)) for amount in (1_000, 2_000, 3_000)] == ["00"] * 3
    assert https.sock is used
    assert len(gateway.events) == 4


ECHO = new_framer("be2").send(Bench().client().payload(Bench().client().echo(), sealed=False))


@pytest.mark.parametrize(
    ("method", "kind", "body", "status"),
    [
        ("GET", TYPE, b"", 405),
        ("PUT", TYPE, ECHO, 405),
        ("POST", "text/plain", ECHO, 415),
        ("POST", "", ECHO, 415),
        ("POST", TYPE, b"", 400),
        ("POST", TYPE, ECHO[:-1], 400),
        ("POST", TYPE, ECHO + b"\x00", 400),
        ("POST", TYPE, ECHO * 2, 400),
        ("POST", TYPE, ECHO + b"\x00\x00", 400),
        ("POST", TYPE, b"\x00\x00", 400),
        ("POST", TYPE, bytes(tunnel.BODY_BYTES_MAX + 1), 413),
        ("POST", "X-iso-tpdu/X-AUTH; charset=x", ECHO, 200),
    ],
)
def test_what_is_wrong_with_a_request_is_said_in_http(
    https: http.client.HTTPSConnection, method: str, kind: str, body: bytes, status: int
) -> None:
    https.request(method, "/any/path", body, {"Content-Type": kind} if kind else {})
    response = https.getresponse()
    assert response.status == status
    assert (response.headers["Connection"] == "close") == (status != 200)
    assert (response.headers["Allow"] == "POST") == (status == 405)


def test_a_body_in_chunks_is_a_body_and_too_many_of_them_are_too_many(https: http.client.HTTPSConnection) -> None:
    headers = {"Content-Type": TYPE}
    https.request("POST", "/", iter([ECHO[:3], ECHO[3:]]), headers, encode_chunked=True)
    assert https.getresponse().status == 200
    https.close()
    https.request("POST", "/", iter([bytes(1500)] * 2), headers, encode_chunked=True)
    assert https.getresponse().status == 413


def raw(https: http.client.HTTPSConnection, request: bytes) -> bytes:
    """Send bytes and return what comes until the host closes."""
    https.connect()
    assert https.sock is not None
    https.sock.sendall(request)
    return b"".join(iter(lambda: https.sock.recv(4096), b""))


def test_a_terminal_may_wait_for_leave_to_send_its_body_and_end_the_connection(
    https: http.client.HTTPSConnection,
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n"
    https.connect()
    https.sock.sendall(head % (TYPE.encode(), len(ECHO), b"Expect: 100-continue\r\nConnection: close\r\n"))
    assert https.sock.recv(4096).startswith(b"HTTP/1.1 100 ")
    https.sock.sendall(ECHO)
    rest = b"".join(iter(lambda: https.sock.recv(4096), b""))
    assert rest.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x00\x05hello there", b"400"),
        (b"POST / HTTP/1.1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", b"41"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", b"501"),
        (b"POST / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 20_000, b"431"),
        (b"A" * 100_000, b"431"),
    ],
)
def test_what_is_no_http_is_refused_and_the_next_connection_served(
    https: http.client.HTTPSConnection, request_: bytes, status: bytes
) -> None:
    try:
        answer = raw(https, request_)
    except OSError:
        # The host closed while more was on its way.
        answer = b"HTTP/1.1 " + status
    assert answer.startswith(b"HTTP/1.1 " + status)
    https.close()
    assert HostClient(posting(https)).sign_on()[39] == "00"


def test_requests_sent_ahead_are_answered_in_turn(
    gateway: BackgroundServer, https: http.client.HTTPSConnection
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n"
    ahead = (head % (TYPE.encode(), len(ECHO), b"") + ECHO) * 4
    last = head % (TYPE.encode(), len(ECHO), b"Connection: close\r\n") + ECHO
    assert raw(https, ahead + last).count(b"HTTP/1.1 200") == 5
    assert len(gateway.events) == 5


def test_where_the_host_keeps_silent_so_does_the_response(authority: Authority) -> None:
    with (
        BackgroundServer(
            silent_host('{ do = "drop" }'), listen="https://127.0.0.1:0", certificate=authority.issue("host")
        ) as host,
        closing(
            http.client.HTTPSConnection("127.0.0.1", port_of(host.address), timeout=0.3, context=trusting(authority))
        ) as connection,
    ):
        client = HostClient(posting(connection))
        client.sign_on()
        with pytest.raises(TimeoutError):
            client.ask(client.sale(1_000))
        connection.close()
        assert client.send(client.echo(), sealed=False) is not None


def test_the_scenario_can_close_the_tunnels_connection_and_answers_come_once(authority: Authority) -> None:
    files = {"listen": "https://127.0.0.1:0", "certificate": authority.issue("host")}
    for action, ends in (('{ do = "close" }', True), ('{ do = "duplicate", copies = 3 }', False)):
        with (
            BackgroundServer(silent_host(action), **files) as host,  # type: ignore[arg-type]  # a test's shorthand
            closing(
                http.client.HTTPSConnection(
                    "127.0.0.1", port_of(host.address), timeout=WAIT_S, context=trusting(authority)
                )
            ) as connection,
        ):
            client = HostClient(posting(connection))
            client.sign_on()
            if ends:
                with pytest.raises(http.client.RemoteDisconnected):
                    client.ask(client.sale(1_000))
            else:
                assert client.ask(client.sale(1_000)) == "00"
            assert client.send(client.echo(), sealed=False) is not None


# Several doors.


def test_several_doors_lead_to_one_host(authority: Authority, cable: Cable) -> None:
    near = cable.plug()
    doors = ("tcp://127.0.0.1:0", "tcp://127.0.0.1:0", f"serial://{cable.path}", "tls://127.0.0.1:0")
    with BackgroundServer(listen=doors, certificate=authority.issue("host")) as host:
        first, second = (Line(port_of(address)) for address in host.addresses[:2])
        roads = [first.exchange, second.exchange, Road.by_line(near).exchange]

        def newest(payload: bytes) -> bytes | None:
            return roads[0](payload)

        one = HostClient(newest)
        one.sign_on()
        sale = one.sale(1_000)
        assert one.ask(sale) == "00"
        # The same session goes on through another door.
        del roads[0]
        assert one.ask(one.reversal(sale)) == "00"
        del roads[0]
        assert one.ask(one.sale(2_000)) == "00"
        assert host.ledger().effects_of(TID, "000001", sale[11]) == 0
        for each in (first, second):
            each.close()


def test_a_door_that_is_shut_cuts_its_own_connections_and_can_be_opened_again() -> None:
    with BackgroundServer(listen=("tcp://127.0.0.1:0", "tcp://127.0.0.1:0")) as host:
        first, second = (Line(port_of(address)) for address in host.addresses)
        one, two = HostClient(first.exchange), HostClient(second.exchange, "T0000002")
        one.sign_on()
        two.sign_on()
        host.shut(0)
        # The cut is there when the call returns, and not a little later.
        first.socket.setblocking(False)  # noqa: FBT003 - that is the function's name for it
        assert first.socket.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            Line(port_of(host.addresses[0]))
        assert two.ask(two.sale(1_000)) == "00"
        host.open(0)
        again = Line(port_of(host.addresses[0]))
        one = HostClient(again.exchange)
        assert one.sign_on()[39] == "00"
        for each in (first, second, again):
            each.close()


def test_a_door_that_cannot_be_opened_shuts_those_that_were() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
        free.close()
        places = (f"tcp://127.0.0.1:{number}", f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ConfigError, match="Address already in use"), BackgroundServer(listen=places):
            pass
        with pytest.raises(ConnectionRefusedError):
            Line(number)


# What is no request.


@pytest.mark.parametrize("mti", ["0210", "0410", "0810", "0230", "0990"])
def test_what_is_no_request_is_not_answered_on_any_road(mti: str) -> None:
    with BackgroundServer() as host:
        line = Line(host.port)
        client = HostClient(line.exchange)
        client.sign_on()
        message = client.sale(1_000)
        line.send(client.payload(type(message)(mti, dict(message))))
        # The next answer on the same link is the next request's.
        assert client.ask(client.sale(2_000)) == "00"
        assert [event.what for event in host.events] == [What.SIGNED_ON, What.UNREADABLE, What.APPROVED]
        line.close()
