"""What `acquirer faults` does beside listing: it stands between a terminal and its host, and damages their line.

The line is a TCP connection, a pair of new serial devices, or the way between two that exist. Each fault that strikes
is told as it does; Ctrl-C ends it, as SIGTERM and SIGHUP do.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypedDict

import click

from pos_engine.config.address import BAUD_DEFAULT
from pos_engine.errors import LinkError, UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pos_engine.cli.output import Output
    from simulators.faults import Fault, Passed, Strike

EXAMPLE: Final = (
    "pos-engine acquirer faults\n"
    "pos-engine acquirer faults --json\n"
    "pos-engine acquirer faults --listen tcp://127.0.0.1:9584 --to tcp://127.0.0.1:9583 --fault 'rst to-host at 20'\n"
    "pos-engine acquirer faults --serial --fault 'flip to-host at 17.3' --fault 'drop to-terminal 1%' --seed 7\n"
    "pos-engine acquirer faults --between /dev/ttyUSB0 /dev/ttyUSB1 --fault 'stall to-terminal 2s at 7' --times 3"
)


class LineChoices(TypedDict):
    """What is said of a line."""

    listen: str | None
    to: str | None
    serial: bool
    between: tuple[str, str] | None
    baud: int | None
    fault: tuple[str, ...]
    seed: int
    seconds: float | None
    times: int | None
    expose: bool


class _Proxy(Protocol):
    """What runs."""

    @property
    def passed(self) -> Passed:
        """What has been passed on."""
        ...

    def wait(self) -> None:
        """Wait until it ends by itself."""
        ...


_OPTIONS: Final = (
    click.option(
        "--listen", metavar="ADDRESS", help="Where the terminal connects: tcp://127.0.0.1:9584; port 0 is free."
    ),
    click.option("--to", metavar="ADDRESS", help="Where the host listens: tcp://127.0.0.1:9583."),
    click.option("--serial", is_flag=True, help="Make two serial devices and the line between them."),
    click.option("--between", metavar="DEVICE DEVICE", nargs=2, help="The terminal's and the host's serial device."),
    click.option("--baud", type=int, help=f"Speed of both devices of --between; default {BAUD_DEFAULT}."),
    click.option("--fault", metavar="TEXT", multiple=True, help="What goes wrong, as 'drop to-host 1%'; repeatable."),
    click.option("--seed", type=int, default=0, show_default=True, help="What chance decides follows from it."),
    click.option("--for", "seconds", type=float, metavar="SECONDS", help="Then the line is smooth."),
    click.option("--times", type=click.IntRange(1), help="Each fault strikes so often in all; then it is over."),
    click.option("--expose", is_flag=True, help="Allow an address that other machines can reach."),
)


def line_options(run: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a line."""
    for option in reversed(_OPTIONS):
        run = option(run)
    return run


def is_line_wanted(choices: LineChoices) -> bool:
    """Whether a line shall run; `UsageError` for half of one, more than one, or what is said of none."""
    kinds = [
        choices["listen"] is not None or choices["to"] is not None,
        choices["serial"],
        choices["between"] is not None,
    ]
    if sum(kinds) > 1:
        reason = "one line at a time: --listen with --to, --serial, or --between"
        raise UsageError(reason)
    if kinds[0] and (choices["listen"] is None or choices["to"] is None):
        reason = "--listen and --to belong together"
        raise UsageError(reason)
    if not any(kinds) and (choices["fault"] or choices["seconds"] is not None or choices["times"] is not None):
        reason = "a fault needs a line: --listen with --to, --serial, or --between"
        raise UsageError(reason)
    if not choices["fault"] and (choices["seconds"] is not None or choices["times"] is not None):
        reason = "--for and --times are about a --fault"
        raise UsageError(reason)
    if choices["baud"] is not None and choices["between"] is None:
        reason = "--baud is the speed of the devices of --between"
        raise UsageError(reason)
    return any(kinds)


def run_line(output: Output, choices: LineChoices) -> NoReturn:
    """Run the line until Ctrl-C, or until a device of --between is gone."""
    from pos_engine.cli.signals import ended_in_order

    with ended_in_order(), _line(output, choices) as proxy:
        if not output.as_json:
            output.note(output.say(Text("Ctrl-C ends it", "按 Ctrl-C 结束")))
        proxy.wait()
    reason = "a device of the line is gone"
    raise LinkError(reason)


def rows(output: Output) -> list[tuple[str, str, str, str]]:
    """Return the table of faults: kind, number beside it, for which lines, what it is."""
    from simulators.faults import TABLE, Medium

    named = {
        Medium.CONNECTION: output.say(Text("TCP", "TCP")),
        Medium.SERIAL: output.say(Text("serial", "串口")),
    }
    return [
        (
            row.kind.value,
            row.unit.value if row.unit else "",
            " ".join(named[medium] for medium in Medium if medium in row.media),
            output.say(row.title),
        )
        for row in TABLE.values()
    ]


def rows_json() -> list[dict[str, object]]:
    """Return the table of faults for JSON."""
    from pos_engine.cli.output import text_json
    from simulators.faults import TABLE

    return [
        {
            "fault": row.kind.value,
            "number": row.unit.value if row.unit else None,
            "lines": sorted(medium.name.lower() for medium in row.media),
            "title": text_json(row.title),
        }
        for row in TABLE.values()
    ]


@contextlib.contextmanager
def _line(output: Output, choices: LineChoices) -> Iterator[_Proxy]:
    from simulators.faults import DeviceProxy, PtyProxy, TcpProxy

    faults, seed = _faults(choices), choices["seed"]

    def told(strike: Strike) -> None:
        _tell_strike(output, strike)

    if choices["serial"]:
        with PtyProxy(*faults, seed=seed, on_strike=told) as line, _ending(output, line):
            _tell_devices(output, line.terminal_device, line.host_device)
            yield line
    elif choices["between"] is not None:
        baud = BAUD_DEFAULT if choices["baud"] is None else choices["baud"]
        between = DeviceProxy(*choices["between"], *faults, baud=baud, seed=seed, on_strike=told)
        with between, _ending(output, between):
            _tell_devices(output, *choices["between"])
            yield between
    else:
        host, port = _place(choices["listen"] or "", expose=choices["expose"])
        target = _target(choices["to"] or "")
        proxy = TcpProxy(target, *faults, seed=seed, host=host, port=port, on_strike=told)
        with proxy, _ending(output, proxy):
            _tell_listening(output, proxy.address, target)
            yield proxy


@contextlib.contextmanager
def _ending(output: Output, proxy: _Proxy) -> Iterator[None]:
    """See to it that whoever was told of a line's beginning is told of its end."""
    try:
        yield
    finally:
        _tell_end(output, proxy.passed)


def _faults(choices: LineChoices) -> list[Fault]:
    """Read the faults; what is said of all of them is for those that do not say their own."""
    from simulators.faults import parse_fault

    faults = [parse_fault(text) for text in choices["fault"]]
    return [
        replace(
            each,
            seconds=choices["seconds"] if each.seconds is None else each.seconds,
            times=choices["times"] if each.times is None else each.times,
        )
        for each in faults
    ]


def _place(text: str, *, expose: bool) -> tuple[str, int]:
    from simulators.config import listen_at

    # First of all: what else there could be to say of another scheme does not matter here.
    if text.strip().partition("://")[0] != "tcp":
        reason = "--listen is written tcp://host:port; what is in the bytes is no matter to a line"
        raise UsageError(reason)
    address = listen_at(text).address
    if not expose and not _is_loopback(address.host):
        reason = "other machines could reach that address, and the line leads on to the host: say --expose"
        raise UsageError(reason)
    return address.host, address.port


def _target(text: str) -> tuple[str, int]:
    from pos_engine.config.address import parse_address

    address = parse_address(text)
    if not address.host:
        reason = "--to is an address of the network; for serial devices there is --between"
        raise UsageError(reason)
    return address.host, address.port


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tell_listening(output: Output, address: tuple[str, int], target: tuple[str, int]) -> None:
    if output.as_json:
        output.json({"event": "listening", "host": address[0], "port": address[1], "to": _shown(target)})
        return
    listens, leads = Text("the line listens on", "线路监听于"), Text("and leads to", "通往")
    output.line(f"{output.say(listens)} {_shown(address)} {output.say(leads)} {_shown(target)}")


def _tell_devices(output: Output, terminal: str, host: str) -> None:
    if output.as_json:
        output.json({"event": "devices", "terminal": terminal, "host": host})
        return
    output.line(f"{output.say(Text('for the terminal', '终端一侧'))}  {terminal}")
    output.line(f"{output.say(Text('for the host', '主机一侧'))}  {host}")


def _tell_strike(output: Output, strike: Strike) -> None:
    if output.as_json:
        about = {"connection": strike.connection, "offset": strike.offset, "direction": strike.fault.direction.value}
        output.json({"event": "struck", "kind": strike.fault.kind.value, **about, "fault": str(strike.fault)})
        return
    where = Text(
        f"connection {strike.connection}, after {strike.offset} bytes",
        f"第 {strike.connection} 个连接，已过 {strike.offset} 字节",
    )
    output.line(f"{strike.fault.kind.value} {strike.fault.direction.value}  {output.say(where)}")


def _tell_end(output: Output, passed: Passed) -> None:
    count = passed.struck
    if output.as_json:
        about = {"to_host": passed.to_host, "to_terminal": passed.to_terminal, "connections": passed.connections}
        output.json({"event": "ended", **about, "strikes": count})
        return
    done = Text(
        f"{passed.connections} connections, {passed.to_host} bytes to the host, {passed.to_terminal} to the terminal, "
        f"{count} faults struck",
        f"共 {passed.connections} 个连接，发往主机 {passed.to_host} 字节，发往终端 {passed.to_terminal} 字节，"
        f"故障发生 {count} 次",
    )
    output.line(output.say(done))
