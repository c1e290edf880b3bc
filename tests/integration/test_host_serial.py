"""A serial line on the host's side: acknowledged, noisy, held up, unplugged and found again."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import ConfigError
from pos_engine.framing.line import ACK, EOT
from pos_engine.framing.registry import new_framer
from pos_engine.system import entropy
from simulators.acquirer import Acquirer, Event, What
from simulators.scenario import parse
from simulators.server import BackgroundServer, house
from simulators.server.tty import UNSENT_BYTES_MAX
from tests.support.host_client import Bench, HostClient
from tests.support.host_roads import WAIT_S, Cable, Road, connected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ECHO = Bench().client().payload(Bench().client().echo(), sealed=False)


@pytest.fixture(name="cable")
def _cable(tmp_path: Path) -> Iterator[Cable]:
    cable = Cable(tmp_path / "line")
    yield cable
    cable.unplug()


@pytest.mark.parametrize("framing", ["stx", "stx+binary", "be2"])
def test_a_terminal_sells_over_a_serial_line(cable: Cable, framing: str) -> None:
    near = cable.plug()
    with BackgroundServer(listen=f"serial://{cable.path}?baud=115200&framing={framing}") as host:
        client = HostClient(Road.by_line(near, framing).exchange)
        assert client.sign_on()[39] == "00"
        assert [client.ask(client.sale(amount)) for amount in (1_000, 2_000)] == ["00", "00"]
        assert host.address == f"serial://{cable.path}"


def silent_host(action: str) -> Acquirer:
    scenario = parse(f'[[rule]]\nname = "r"\nmatch = {{ kind = "sale" }}\naction = {action}', "f.toml")
    return Acquirer(entropy=entropy, scenario=scenario)


@pytest.mark.parametrize("framing", ["stx", "be2"])
def test_a_line_is_never_hung_up(cable: Cable, framing: str) -> None:
    near = cable.plug()
    with BackgroundServer(silent_host('{ do = "close" }'), listen=f"serial://{cable.path}?framing={framing}") as host:
        road = Road.by_line(near, framing)
        client = HostClient(road.exchange)
        client.sign_on()
        road.send(client.payload(client.sale(1_000)))
        assert client.send(client.echo(), sealed=False) is not None
        assert [event.what for event in host.events][1:] == [What.APPROVED, What.ECHOED]


def test_the_host_acknowledges_a_request_and_repeats_its_answer_until_that_is_acknowledged(cable: Cable) -> None:
    near = cable.plug()
    with BackgroundServer(listen=f"serial://{cable.path}") as host:
        client = HostClient(lambda _: None)
        os.write(near, new_framer("stx").send(client.payload(client.echo(), sealed=False)))
        heard = b""
        while heard.count(b"\x02\x00") < 2:
            assert select.select([near], [], [], WAIT_S)[0]
            heard += os.read(near, 4096)
        # The host has opened the line too, and says so in front of its first frame, not of its repetition.
        said, answer, again = heard.partition(b"\x02\x00")[0], *heard[2:].split(b"\x02\x00")[1:]
        assert said == bytes([ACK, EOT])
        assert answer.startswith(again)
        assert len(host.events) == 1


def test_noise_on_a_line_is_forgotten_once_it_is_quiet(cable: Cable) -> None:
    near = cable.plug()
    with BackgroundServer(listen=f"serial://{cable.path}?baud=115200&framing=be2") as host:
        client = HostClient(Road.by_line(near, "be2").exchange)
        for noise in (b"\xff\xff" + os.urandom(300), b"\x01\x00" + bytes(10)):
            os.write(near, noise)
            # A terminal asks until it is heard: the host is deaf until the line was quiet, or the half frame old.
            code = None
            while code != "00":
                road = Road.by_line(near, "be2")
                road.send(client.payload(client.signing_on(), sealed=False))
                answer = road.receive(0.6)
                code = None if answer is None else client.read(answer).message[39]
        assert host.events


def test_a_line_that_takes_nothing_loses_what_is_too_much_and_works_again(cable: Cable) -> None:
    near = cable.plug()
    with BackgroundServer(listen=f"serial://{cable.path}?baud=115200&framing=be2") as host:
        asked, framed = 0, new_framer("be2").send(ECHO)
        while asked * len(framed) < 4 * UNSENT_BYTES_MAX:
            asked += os.write(near, framed) // len(framed)
            while len(host.events) < asked:
                time.sleep(0.001)
        heard = b""
        while select.select([near], [], [], 0.3)[0]:
            heard += os.read(near, 4096)
        assert UNSENT_BYTES_MAX // 2 < len(heard) < 2 * UNSENT_BYTES_MAX
        assert HostClient(Road.by_line(near, "be2").exchange).sign_on()[39] == "00"


def test_a_line_is_lost_while_an_answer_is_on_its_way_and_found_without_it(cable: Cable) -> None:
    near = cable.plug()
    gone = threading.Event()

    def pull(_: Event) -> None:
        if not gone.is_set():
            cable.unplug()
            gone.set()

    with BackgroundServer(listen=f"serial://{cable.path}", on_event=pull):
        os.write(near, new_framer("stx").send(ECHO))
        assert gone.wait(WAIT_S)
        # It stays away for longer than the host's first look.
        time.sleep(0.7)
        assert HostClient(Road.by_line(cable.plug()).exchange).sign_on()[39] == "00"


def test_a_door_of_a_line_is_shut_and_opened_again(cable: Cable) -> None:
    near = cable.plug()
    with BackgroundServer(listen=f"serial://{cable.path}") as host:
        assert HostClient(Road.by_line(near).exchange).sign_on()[39] == "00"
        host.shut()
        near = cable.plug()
        host.open()
        assert HostClient(Road.by_line(near).exchange).sign_on()[39] == "00"
        host.shut()
        cable.unplug()


def test_a_line_waits_for_room_like_everybody(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
    near = cable.plug()
    monkeypatch.setattr(house, "connections_max", lambda: 1)
    with BackgroundServer(listen=("tcp://127.0.0.1:0", f"serial://{cable.path}")) as host:
        with connected(host.address) as line:
            # Who comes last is let in, and who has said nothing gives way to him.
            assert HostClient(Road.over(line).exchange).sign_on()[39] == "00"
        # The host looks at the line again, and a terminal repeats what was not acknowledged.
        assert HostClient(Road.by_line(near).exchange, "T0000002").sign_on()[39] == "00"


def test_a_line_that_is_unplugged_is_found_again(cable: Cable) -> None:
    near = cable.plug()
    with BackgroundServer(listen=f"serial://{cable.path}") as host:
        client = HostClient(Road.by_line(near).exchange)
        assert client.sign_on()[39] == "00"
        os.write(near, b"\x02\x01")
        cable.unplug()
        near = cable.plug()
        # Another one: the same request would be taken for a repetition, were the EOT in front of it lost meanwhile.
        again = HostClient(Road.by_line(near).exchange, "T0000002")
        # What is sent before the host has found the line is lost, so a terminal repeats it.
        assert again.sign_on()[39] == "00"
        assert {event.what for event in host.events} == {What.SIGNED_ON}


def test_a_line_that_is_not_there_from_the_start_is_a_configuration_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"cannot listen on serial:///.*nowhere: no such file or directory") as caught,
        BackgroundServer(listen=f"serial://{tmp_path}/nowhere"),
    ):
        pass
    assert caught.value.__context__ is None
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot listen on"), BackgroundServer(listen=f"serial://{tmp_path}/file"):
        pass


@pytest.mark.parametrize(
    "settings",
    ["baud=115200&parity=E&bits=8&stop=2", "baud=1200&flow=hardware", "parity=O", "baud=921600"],
)
def test_a_line_may_be_set_in_any_way(cable: Cable, settings: str) -> None:
    cable.plug()
    with BackgroundServer(listen=f"serial://{cable.path}?{settings}") as host:
        assert host.address == f"serial://{cable.path}"
