"""Where `acquirer` listens: doors of every kind, from options and from a file."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.authority import Authority
from tests.support.commands import PROGRAM, Shop, environment, running_host
from tests.support.host_client import TID, HostClient
from tests.support.host_roads import Cable, Road, connected, trusting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(name="authority", scope="module")
def _authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(name="cable")
def _cable(tmp_path: Path) -> Iterator[Cable]:
    cable = Cable(tmp_path / "line")
    yield cable
    cable.unplug()


def test_the_command_listens_everywhere_and_tells_where(authority: Authority, cable: Cable, tmp_path: Path) -> None:
    near = cable.plug()
    places = ("--listen", "tls://127.0.0.1:0", "--serial", str(cable.path), "--framing", "stx+binary")
    with running_host(tmp_path, *places, "--certificate", str(authority.issue("host"))) as (process, first):
        assert process.stdout is not None
        tls, line, ready = (json.loads(process.stdout.readline()) for _ in range(3))
        assert first["address"] == f"tcp://127.0.0.1:{first['port']}"
        assert tls["address"] == f"tls://127.0.0.1:{tls['port']}"
        assert (line["address"], line["device"]) == (f"serial://{cable.path}", str(cable.path))
        assert (ready["event"], ready["ports"]) == ("ready", 3)
        assert HostClient(Road.by_line(near, "stx+binary").exchange).sign_on()[39] == "00"
        with trusting(authority).wrap_socket(connected(tls["address"]), server_hostname="127.0.0.1") as secured:
            assert HostClient(Road.over(secured, "stx+binary").exchange).sign_on()[39] == "00"


def test_a_file_of_ports_opens_doors_of_every_kind(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "host.toml").write_text(
        '[[port]]\nname = "shop"\nlisten = ["https://127.0.0.1:0", "tcp://127.0.0.1:0?framing=bcd2"]\n'
        f'certificate = "{authority.issue("host")}"\n[[port]]\nname = "plain"\nport = 0\n'
    )
    command = [*PROGRAM, "acquirer", "--config", "host.toml", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        tunnel_, bcd, plain, ready = (json.loads(process.stdout.readline()) for _ in range(4))
        assert [each["name"] for each in (tunnel_, bcd, plain)] == ["shop", "shop", "plain"]
        assert tunnel_["address"] == f"https://127.0.0.1:{tunnel_['port']}/"
        assert ready["ports"] == 3
        with connected(bcd["address"]) as line:
            assert HostClient(Road.over(line, "bcd2").exchange).sign_on()[39] == "00"
        process.kill()


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--listen", "tcp://192.0.2.1:1"], 2, "say --expose"),
        (["--config", "host.toml"], 2, "say --expose"),
        (
            ["--config", "host.toml", "--serial", "/dev/ttyS1"],
            2,
            "--config says for each port what --port and --certificate",
        ),
        (["--listen", "nowhere"], 2, "an address is written tcp://"),
        (["--listen", "tls://127.0.0.1:0"], 2, "tls needs a certificate"),
        (["--certificate", "host.pem"], 2, "are for --listen at tls:// or https://"),
        (["--client-ca", "ca.pem", "--listen", "tcp://127.0.0.1:0"], 2, "are for --listen at tls:// or https://"),
        (["--framing", "nobody"], 2, "a framing is one of"),
        (["--serial", "/nowhere"], 6, "cannot listen on serial:///nowhere: no such file or directory"),
        (["--serial", "/dev/null"], 6, "cannot listen on serial:///dev/null: this is no serial device"),
        (["--listen", "tls://127.0.0.1:0", "--certificate", "no.pem"], 6, "no.pem: cannot be read: no such file"),
    ],
)
def test_where_the_command_cannot_listen_is_one_line(tmp_path: Path, arguments: list[str], code: int, why: str) -> None:
    (tmp_path / "host.toml").write_text('[[port]]\nname = "shop"\nlisten = "tcp://192.0.2.1:1"\n')
    done = Shop(tmp_path, TID).run("acquirer", *arguments)
    assert (done.code, done.out) == (code, "")
    assert why in done.error()
