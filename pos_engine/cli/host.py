"""Start: `acquirer` runs the simulated host, `acquirer cards` lists what it can be asked with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

import click

from pos_engine.cli import line_faults
from pos_engine.cli.border import command, group
from pos_engine.cli.exits import Exit
from pos_engine.errors import UsageError
from pos_engine.values import Amount, Text

if TYPE_CHECKING:
    from pos_engine.cli.output import Output
    from simulators.acquirer import Event
    from simulators.config import Listen, PortSettings
    from simulators.ports import Listening

DEFAULT_PORT: Final = 9583
"""Where `acquirer` listens, and what the configuration's default address names."""

_PATH: Final = click.Path(path_type=Path)


class _Choices(TypedDict):
    """What is said of the one host that runs without a configuration."""

    listen: tuple[str, ...]
    serial: tuple[str, ...]
    certificate: Path | None
    client_ca: Path | None
    framing: str | None
    ledger: Path | None
    scenario: Path | None
    enrol: Path | None
    key_scheme: str | None


@group(
    "acquirer",
    example="pos-engine acquirer\n"
    "pos-engine acquirer --port 0 --json\n"
    "pos-engine acquirer --ledger books.db\n"
    "pos-engine acquirer --scenario slow\n"
    "pos-engine acquirer --key-scheme sm4\n"
    "pos-engine acquirer --listen tls://127.0.0.1:9584 --certificate host.pem\n"
    "pos-engine acquirer --listen tcp://127.0.0.1:9583 --listen serial:///dev/ttyS1?baud=115200\n"
    "pos-engine acquirer --serial /dev/ttyS1\n"
    "pos-engine acquirer cards",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"Where to listen; default {DEFAULT_PORT}, 0 takes a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on with --port.")
@click.option(
    "--listen",
    metavar="ADDRESS",
    multiple=True,
    help="tcp://, tls:// or https:// with host:port, or serial:///dev/NAME; several make one host.",
)
@click.option("--serial", metavar="DEVICE", multiple=True, help="Listen to a serial line: --listen serial://DEVICE.")
@click.option("--certificate", metavar="FILE", type=_PATH, help="For tls and https: the host's chain and key, in PEM.")
@click.option("--client-ca", metavar="FILE", type=_PATH, help="Let in only terminals with a certificate of this CA.")
@click.option("--framing", metavar="NAME", help="Where a message ends; default be2, on a serial line stx.")
@click.option("--expose", is_flag=True, help="Allow an address that other machines can reach; the keys are published.")
@click.option("--ledger", metavar="FILE", type=_PATH, help="Keep the books in a file; default in memory.")
@click.option(
    "--scenario", metavar="FILE", type=_PATH, help="What to do on purpose, a TOML file or a name `faults` lists."
)
@click.option("--enrol", metavar="FILE", type=_PATH, help="Serve only the terminals of a TOML file; default any.")
@click.option(
    "--key-scheme", metavar="NAME", help="sm4 (unverified): serve terminals with keys for SM4; default all others."
)
@click.option("--config", metavar="FILE", type=_PATH, help="Open the ports of a TOML file, each a host of its own.")
def acquirer(
    output: Output,
    *,
    port: int | None,
    host: str,
    expose: bool,
    config: Path | None,
    **choices: Unpack[_Choices],
) -> Exit:
    """Run the simulated acquirer: a host with test cards and a ledger, on this machine.

    Without a scenario the last three digits of an amount choose what it does, such as 951 for a decline; `acquirer
    cards` lists them and the cards, `acquirer faults` what a scenario can do. It runs until Ctrl-C.
    """
    import asyncio

    from pos_engine.system import entropy
    from simulators.config import load_ports
    from simulators.ports import open_ports, serve_ports
    from simulators.server import ask_for_files

    if not expose:
        _refuse_exposed(host)
    if config is not None and (port is not None or any(choices.values())):
        reason = f"--config says for each port what --port and {', '.join(map(_option, sorted(choices)))} would"
        raise UsageError(reason)
    settings = load_ports(config, host=host) if config is not None else (_one_port(port, host, choices),)
    if not expose:
        for each in settings:
            for place in each.listen:
                _refuse_exposed(place.address.host)
    named = config is not None

    def ready(listening: tuple[Listening, ...]) -> None:
        _tell_ready(output, listening, named=named)

    def told(name: str, event: Event) -> None:
        if output.as_json:
            output.json({"event": "request", **({"port": name} if named else {}), **event.as_dict()})
        else:
            output.line((f"{name}  " if named else "") + _event_line(event))

    ask_for_files()
    with open_ports(settings, entropy=entropy) as ports:
        asyncio.run(serve_ports(ports, on_event=told, ready=ready))
    return Exit.DONE


def _one_port(port: int | None, host: str, choices: _Choices) -> PortSettings:
    from pos_engine.dialects.registry import dialect_of
    from pos_engine.dialects.unionpay.schemes import USUAL
    from simulators.config import PortSettings

    scheme = choices["key_scheme"] or USUAL
    return PortSettings(
        name="acquirer",
        listen=_places(port, host, choices),
        dialect=dialect_of("unionpay", scheme).name,
        key_scheme=scheme,
        ledger=choices["ledger"],
        scenario=choices["scenario"],
        enrol=choices["enrol"],
    )


def _places(port: int | None, host: str, choices: _Choices) -> tuple[Listen, ...]:
    from pos_engine.framing.registry import parse
    from simulators.config import Listen, listen_at

    framing, certificate, client_ca = choices["framing"], choices["certificate"], choices["client_ca"]
    if framing is not None:
        parse(framing)
    places = [
        listen_at(text, framing=framing, certificate=certificate, client_ca=client_ca)
        for text in (*choices["listen"], *(f"serial://{device}" for device in choices["serial"]))
    ]
    if port is not None or not places:
        places.insert(0, Listen.on(host, DEFAULT_PORT if port is None else port, framing))
    if (certificate or client_ca) and (certificate is None or not any(each.address.is_protected for each in places)):
        reason = "--certificate, and --client-ca with it, are for --listen at tls:// or https://"
        raise UsageError(reason)
    return tuple(places)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _refuse_exposed(host: str) -> None:
    """Refuse an address that is not this machine's own; a serial line has none."""
    if host and not _is_loopback(host):
        reason = "other machines could reach that address, and the simulator's keys are published: say --expose"
        raise UsageError(reason)


def _tell_ready(output: Output, listening: tuple[Listening, ...], *, named: bool) -> None:
    """Tell each port's addresses; where there may be several, a last line says that these were all."""
    places = [(each, address) for each in listening for address in each.addresses]
    for each, address in places:
        about = {"name": each.name, "dialect": each.dialect} if named else {}
        if output.as_json:
            where = {"host": address.host, "port": address.port} if address.host else {"device": address.path}
            output.json({"event": "listening", **about, "address": str(address), **where})
        else:
            says = output.say(Text("the simulated acquirer listens on", "模拟收单主机监听于"))
            text = address.place if address.scheme == "tcp" else str(address)
            output.line(f"{says} {text}{f' ({each.name}, {each.dialect})' if named else ''}")
    if (named or len(places) > 1) and output.as_json:
        output.json({"event": "ready", "ports": len(places)})
    if not output.as_json:
        output.note(output.say(Text("Ctrl-C ends it", "按 Ctrl-C 结束")))


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _event_line(event: Event) -> str:
    amount = str(Amount(event.amount_minor)) if event.amount_minor is not None else ""
    facts = (
        event.kind or event.mti,
        amount,
        f"STAN {event.stan}" if event.stan else "",
        f"terminal {event.terminal}" if event.terminal else "",
        f"card {event.card}" if event.card else "",
    )
    fate = {"silent": "not answered", "close": "not answered, link closed"}.get(event.fate.value, "")
    result = " ".join(filter(None, (event.what.value, event.code)))
    unexpected = f"not as rule {event.rule} expects: {', '.join(event.failed)}" if event.failed else ""
    ends = ", ".join(filter(None, (result, event.note, unexpected, fate)))
    return f"{event.at:%H:%M:%S}  {'  '.join(filter(None, facts))}  {ends}"


@command("cards", example="pos-engine acquirer cards\npos-engine acquirer cards --json")
def cards(output: Output) -> Exit:
    """List the test cards, and the amounts that make the host do something on purpose.

    A card's name goes into `sale --card NAME`. An amount ends in the digits of a trigger: 9.51, 19.51 and 109.51 are
    all declined with 51.
    """
    from simulators.cards import CARDS
    from simulators.scenario import AMOUNTS

    if output.as_json:
        from pos_engine.cli.output import text_json

        listed = [
            {"name": card.name, "card": card.pan.masked, "title": text_json(card.title)} for card in CARDS.values()
        ]
        triggers = [{"digits": rule.name, "title": text_json(rule.title)} for rule in AMOUNTS.rules]
        output.json({"cards": listed, "triggers": triggers})
        return Exit.DONE
    name, number, title = Text("name", "名称"), Text("card", "卡号"), Text("what it is", "说明")
    output.table(
        [output.say(name), output.say(number), output.say(title)],
        [(card.name, card.pan.masked, output.say(card.title)) for card in CARDS.values()],
    )
    output.line("")
    output.table(
        [output.say(Text("amounts ending in", "金额尾数")), output.say(Text("what the host does", "主机行为"))],
        [(f"{rule.name[0]}.{rule.name[1:]}", output.say(rule.title)) for rule in AMOUNTS.rules],
    )
    return Exit.DONE


@command("faults", example=line_faults.EXAMPLE)
@line_faults.line_options
def faults(output: Output, **line: Unpack[line_faults.LineChoices]) -> Exit:
    """List what a scenario can make the host do, and what can go wrong on a line; or run a line that goes wrong.

    A scenario's name or file goes into `acquirer --scenario`; each file shows how its actions are written. A line runs
    between terminal and host until Ctrl-C; a --fault is written KIND to-host|to-terminal [NUMBER] [at BYTE | 1%]
    [connection N] [times N | connections N | for 10s].
    """
    if line_faults.is_line_wanted(line):
        line_faults.run_line(output, line)
    from simulators.scenario import ACTIONS
    from simulators.scenario_files import read_scenario, ready_made

    scenarios = [(name, str(path), read_scenario(path).title) for name, path in ready_made().items()]
    if output.as_json:
        from pos_engine.cli.output import text_json

        actions = [
            {"do": row.do.value, "takes": sorted(row.takes), "title": text_json(row.title)} for row in ACTIONS.values()
        ]
        ready = [{"name": name, "file": path, "title": text_json(title)} for name, path, title in scenarios if title]
        output.json({"actions": actions, "scenarios": ready, "line_faults": line_faults.rows_json()})
        return Exit.DONE
    output.table(
        [output.say(Text("action", "动作")), output.say(Text("takes", "参数")), output.say(Text("what it is", "说明"))],
        [(row.do.value, " ".join(sorted(row.takes)), output.say(row.title)) for row in ACTIONS.values()],
    )
    output.line("")
    output.table(
        [output.say(each) for each in (Text("scenario", "场景"), Text("what it is", "说明"), Text("file", "文件"))],
        [(name, output.say(title), path) for name, path, title in scenarios if title],
    )
    output.line("")
    heads = (Text("line fault", "线路故障"), Text("number", "数值"), Text("line", "线路"), Text("what it is", "说明"))
    output.table([output.say(each) for each in heads], line_faults.rows(output))
    return Exit.DONE


acquirer.add_command(cards)
acquirer.add_command(faults)
