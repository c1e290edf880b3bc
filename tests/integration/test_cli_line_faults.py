"""`acquirer faults`: a line with faults between a terminal and its host, run as its users run it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from simulators.faults import PtyProxy
from tests.support.commands import PROGRAM, WAIT_S, Done, Shop, environment, new_shop, running_host
from tests.support.echo_host import EchoHost, frame, read_frame

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="shop")
def _shop(tmp_path: Path) -> Shop:
    return new_shop(tmp_path, 9583)


@contextlib.contextmanager
def running_line(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [*PROGRAM, "acquirer", "faults", "--json", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def interrupted(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """End a line as Ctrl-C does; returns what it told."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, "Traceback" in err) == (130, False)
    return [json.loads(line) for line in out.splitlines()]


def test_a_sale_over_a_line_that_breaks_is_in_doubt_and_then_reversed(tmp_path: Path) -> None:
    with running_host(tmp_path) as (_, host):
        to = f"tcp://127.0.0.1:{host['port']}"
        shop = new_shop(tmp_path, host["port"])
        shop.initialise()
        assert shop.run("sign-on").code == 0
        faults = ("--fault", "rst to-terminal at 20", "--times", "1")
        with running_line(tmp_path, "--listen", "tcp://127.0.0.1:0", "--to", to, *faults) as (process, first):
            assert (first["event"], first["host"], first["to"]) == ("listening", "127.0.0.1", to.removeprefix("tcp://"))
            address = f"acquirer.address=tcp://127.0.0.1:{first['port']}"
            assert shop.run("sale", "12.34", "--set", address).code == 4
            assert shop.run("sale", "1.66", "--set", address).code == 0
            told = interrupted(process)
    assert told[0] == {
        "schema": 1,
        "event": "struck",
        "kind": "rst",
        "direction": "to-terminal",
        "connection": 1,
        "offset": 20,
        "fault": "rst to-terminal at 20 times 1",
    }
    assert [each["event"] for each in told] == ["struck", "ended"]
    assert (told[1]["strikes"], told[1]["connections"] >= 2) == (1, True)


def test_a_line_is_told_in_words_too(tmp_path: Path) -> None:
    with EchoHost() as host:
        to = f"tcp://127.0.0.1:{host.address[1]}"
        command = ["acquirer", "faults", "--listen", "tcp://127.0.0.1:0", "--to", to, "--fault", "flip to-host at 2.0"]
        process = subprocess.Popen(
            [*PROGRAM, *command, "--lang", "zh"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            ready = process.stdout.readline()
            assert ready.startswith("线路监听于 127.0.0.1:")
            port = int(ready.split()[1].rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), WAIT_S) as connection:
                connection.sendall(frame(b"hello"))
                assert read_frame(connection) == b"iello"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=WAIT_S)
    assert out.splitlines()[0] == "flip to-host  第 1 个连接，已过 2 字节"
    assert out.splitlines()[1].startswith("共 1 个连接，发往主机 7 字节，发往终端 7 字节")
    assert "Ctrl-C" in err


def test_two_serial_devices_are_made_and_taken_away_again(tmp_path: Path) -> None:
    with running_line(tmp_path, "--serial", "--fault", "double to-host at 1", "--seed", "7") as (process, first):
        assert first["event"] == "devices"
        ends = [os.open(first[name], os.O_RDWR | os.O_NOCTTY) for name in ("terminal", "host")]
        os.write(ends[0], b"abc")
        came = b""
        while len(came) < 4:
            came += os.read(ends[1], 10)
        for end in ends:
            os.close(end)
        told = interrupted(process)
    assert came == b"abbc"
    assert [each["event"] for each in told] == ["struck", "ended"]
    assert not Path(first["terminal"]).parent.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_line_that_is_told_to_end_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with running_line(tmp_path, "--serial") as (process, first):
        process.send_signal(number)
        out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, err) == (130, "")
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["ended"]
    assert not Path(first["terminal"]).parent.exists()


def test_a_line_that_shall_outlive_its_terminal_does(tmp_path: Path) -> None:
    with contextlib.ExitStack() as running:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            # What is ignored is inherited, as from nohup.
            process, first = running.enter_context(running_line(tmp_path, "--serial"))
        finally:
            signal.signal(signal.SIGHUP, before)
        process.send_signal(signal.SIGHUP)
        assert [each["event"] for each in interrupted(process)] == ["ended"]
        assert not Path(first["terminal"]).parent.exists()


def test_a_line_ends_when_nobody_reads_any_more_what_it_tells(tmp_path: Path) -> None:
    with EchoHost() as host:
        to = f"tcp://127.0.0.1:{host.address[1]}"
        places = ("--listen", "tcp://127.0.0.1:0", "--to", to, "--fault", "flip to-host at 3")
        with running_line(tmp_path, *places) as (process, first):
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            with socket.create_connection(("127.0.0.1", first["port"]), WAIT_S) as connection:
                connection.sendall(frame(b"hello"))
                assert process.wait(WAIT_S) == 1
            assert process.stderr.read() == ""


def test_a_line_between_two_devices_ends_when_one_of_them_is_gone(tmp_path: Path) -> None:
    with PtyProxy() as near, PtyProxy() as far:
        devices = (near.host_device, far.terminal_device)
        with running_line(tmp_path, "--between", *devices, "--baud", "115200") as (process, first):
            assert (first["terminal"], first["host"]) == devices
            with (
                Path(near.terminal_device).open("r+b", buffering=0) as end,
                Path(far.host_device).open("r+b", buffering=0) as other,
            ):
                end.write(b"abc")
                assert other.read(3)
            far.unplug()
            _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 5
    assert "a device of the line is gone" in err


def test_a_port_that_is_taken_and_a_device_that_is_not_there_are_said(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = f"tcp://127.0.0.1:{port}"
        done = shop.run("acquirer", "faults", "--listen", listen, "--to", "tcp://127.0.0.1:9583")
        assert (done.code, done.error()) == (6, f"127.0.0.1:{port}: address already in use")
    listen = "tcp://no-such-host.invalid:0"
    done = shop.run("acquirer", "faults", "--listen", listen, "--to", "tcp://127.0.0.1:9583", "--expose")
    assert (done.code, done.error()) == (6, "no-such-host.invalid:0: there is no such host")
    done = shop.run("acquirer", "faults", "--between", "no-such-device", "/dev/null")
    assert (done.code, done.error()) == (2, "no-such-device: no such file or directory")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--fault", "drop to-host 1%"), "a fault needs a line: --listen with --to, --serial, or --between"),
        (("--listen", "tcp://127.0.0.1:0"), "--listen and --to belong together"),
        (("--serial", "--between", "a", "b"), "one line at a time: --listen with --to, --serial, or --between"),
        (("--serial", "--fault", "rst to-host at 1"), "rst is not for a serial line"),
        (("--serial", "--fault", "explode to-host"), "a fault begins with its kind, not 'explode'"),
        (("--serial", "--fault", "drop to-host 1%", "--for", "-1"), "for is from 0.001 to 86400"),
        (("--between", "a", "b", "--fault", "unplug to-host at 1"), "unplug is not for devices that exist"),
        (("--listen", "tcp://0.0.0.0:0", "--to", "tcp://127.0.0.1:9583"), "say --expose"),
        (("--listen", "serial:///dev/ttyS0", "--to", "tcp://127.0.0.1:9583"), "--listen is written tcp://host:port"),
        (("--listen", "tls://127.0.0.1:0", "--to", "tls://127.0.0.1:9583"), "--listen is written tcp://host:port"),
        (("--listen", "9584", "--to", "tcp://127.0.0.1:9583"), "--listen is written tcp://host:port"),
        (("--serial", "--for", "-1"), "--for and --times are about a --fault"),
        (("--serial", "--times", "3"), "--for and --times are about a --fault"),
        (("--serial", "--baud", "1200"), "--baud is the speed of the devices of --between"),
        (("--baud", "1200"), "--baud is the speed of the devices of --between"),
        (("--between", "/dev/null", "/dev/null", "--baud", "0"), "0 is no speed of a serial line"),
        (("--listen", "tcp://127.0.0.1:0", "--to", "serial:///dev/ttyS0"), "--to is an address of the network"),
    ],
)
def test_what_cannot_be_a_line_is_refused(shop: Shop, arguments: tuple[str, ...], reason: str) -> None:
    done = shop.run("acquirer", "faults", *arguments)
    assert done.code == 2
    assert reason in done.error()


def test_the_faults_of_a_line_are_listed_beside_those_of_a_host(shop: Shop) -> None:
    listed = shop.run("acquirer", "faults", "--json").json()
    flip = next(each for each in listed["line_faults"] if each["fault"] == "flip")
    assert flip["lines"] == ["connection", "serial"]
    assert flip["title"]["zh"]
    assert {each["fault"]: each["number"] for each in listed["line_faults"]}["throttle"] == "960B/s"
    text: Done = shop.run("acquirer", "faults", "--lang", "zh")
    assert "线路故障" in text.out
    assert "half-open" in text.out
