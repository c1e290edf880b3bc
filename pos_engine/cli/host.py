"""Start: `acquirer` runs the simulated host, `acquirer cards` lists what it can be asked with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command, group
from pos_engine.cli.exits import Exit
from pos_engine.errors import UsageError
from pos_engine.values import Amount, Text

if TYPE_CHECKING:
    from pos_engine.cli.output import Output
    from simulators.acquirer import Event
    from simulators.config import PortSettings
    from simulators.ports import Listening

DEFAULT_PORT: Final = 9583
"""Where `acquirer` listens, and what the configuration's default address names."""

_PATH: Final = click.Path(path_type=Path)


@group(
    "acquirer",
    example="pos-engine acquirer\n"
    "pos-engine acquirer --port 0 --json\n"
    "pos-engine acquirer --ledger books.db\n"
    "pos-engine acquirer --scenario slow\n"
    "pos-engine acquirer --key-scheme sm4\n"
    "pos-engine acquirer cards",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"Where to listen; default {DEFAULT_PORT}, 0 takes a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
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
    ledger: Path | None,
    scenario: Path | None,
    enrol: Path | None,
    key_scheme: str | None,
    config: Path | None,
) -> Exit:
    """Run the simulated acquirer: a host with test cards and a ledger, on this machine.

    Without a scenario the last three digits of an amount choose what it does, such as 951 for a decline; `acquirer
    cards` lists them and the cards, `acquirer faults` what a scenario can do. It runs until Ctrl-C.
    """
    import asyncio

    from pos_engine.system import entropy
    from simulators.config import load_ports
    from simulators.ports import open_ports, serve_ports

    if not expose and not _is_loopback(host):
        reason = "other machines could reach that address, and the simulator's keys are published: say --expose"
        raise UsageError(reason)
    if config is not None and any(each is not None for each in (port, ledger, scenario, enrol, key_scheme)):
        reason = "--config says for each port what --port, --ledger, --scenario, --enrol and --key-scheme would"
        raise UsageError(reason)
    named = config is not None

    def ready(listening: tuple[Listening, ...]) -> None:
        _tell_ready(output, listening, named=named)

    def told(name: str, event: Event) -> None:
        if output.as_json:
            output.json({"event": "request", **({"port": name} if named else {}), **event.as_dict()})
        else:
            output.line((f"{name}  " if named else "") + _event_line(event))

    settings = load_ports(config) if config is not None else (_one_port(port, ledger, scenario, enrol, key_scheme),)
    with open_ports(settings, entropy=entropy) as ports:
        asyncio.run(serve_ports(ports, host=host, on_event=told, ready=ready))
    return Exit.DONE


def _one_port(
    port: int | None, ledger: Path | None, scenario: Path | None, enrol: Path | None, key_scheme: str | None
) -> PortSettings:
    from pos_engine.dialects.registry import dialect_of
    from pos_engine.dialects.unionpay.schemes import USUAL
    from simulators.config import PortSettings

    scheme = key_scheme or USUAL
    return PortSettings(
        name="acquirer",
        port=DEFAULT_PORT if port is None else port,
        dialect=dialect_of("unionpay", scheme).name,
        key_scheme=scheme,
        ledger=ledger,
        scenario=scenario,
        enrol=enrol,
    )


def _tell_ready(output: Output, listening: tuple[Listening, ...], *, named: bool) -> None:
    """Tell each port's address; where there may be several, a last line says that these were all."""
    for each in listening:
        about = {"name": each.name, "dialect": each.dialect} if named else {}
        address = f"{f'[{each.host}]' if ':' in each.host else each.host}:{each.number}"
        if output.as_json:
            output.json({"event": "listening", **about, "host": each.host, "port": each.number})
        else:
            says = output.say(Text("the simulated acquirer listens on", "模拟收单主机监听于"))
            output.line(f"{says} {address}{f' ({each.name}, {each.dialect})' if named else ''}")
    if named and output.as_json:
        output.json({"event": "ready", "ports": len(listening)})
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


@command("faults", example="pos-engine acquirer faults\npos-engine acquirer faults --json")
def faults(output: Output) -> Exit:
    """List what a scenario can make the host do, and the scenarios that come with it.

    A scenario's name or file goes into `acquirer --scenario`; each file shows how its actions are written.
    """
    from simulators.faults import read_scenario, ready_made
    from simulators.scenario import ACTIONS

    scenarios = [(name, str(path), read_scenario(path).title) for name, path in ready_made().items()]
    if output.as_json:
        from pos_engine.cli.output import text_json

        actions = [
            {"do": row.do.value, "takes": sorted(row.takes), "title": text_json(row.title)} for row in ACTIONS.values()
        ]
        ready = [{"name": name, "file": path, "title": text_json(title)} for name, path, title in scenarios if title]
        output.json({"actions": actions, "scenarios": ready})
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
    return Exit.DONE


acquirer.add_command(cards)
acquirer.add_command(faults)
