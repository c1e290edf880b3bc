from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import pytest

from pos_engine import system
from pos_engine.errors import ConfigError, JournalFault
from simulators.acquirer import Acquirer
from simulators.config import Listen, PortSettings
from simulators.ports import Listening, Port, open_ports, serve_ports
from simulators.server import BackgroundServer
from simulators.store import LedgerFile
from tests.support.host_client import MID, TID, HostClient, Line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ROSTER = f'[[terminal]]\nid = "{TID}"\nmerchant = "{MID}"\ntmk = "derived"\n'


def settings(name: str, **more: Path | bool) -> PortSettings:
    return PortSettings(name=name, dialect="unionpay", **more)  # type: ignore[arg-type]  # a test's shorthand


def serving(ports: Sequence[Port], visit: Callable[[tuple[Listening, ...]], None]) -> list[tuple[str, str]]:
    """Serve while somebody visits, in a thread; returns the requests with the names of their ports."""
    heard: list[tuple[str, str]] = []

    async def run() -> None:
        ready: asyncio.Future[tuple[Listening, ...]] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            serve_ports(
                ports, on_event=lambda name, event: heard.append((name, event.what.value)), ready=ready.set_result
            )
        )
        waiting: list[asyncio.Future[Any]] = [task, ready]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        try:
            if ready.done():
                await asyncio.to_thread(visit, ready.result())
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(run())
    return heard


def sell(listening: Listening, stan: str, tid: str = TID) -> str:
    line = Line(listening.addresses[0].port)
    client = HostClient(line.exchange, tid)
    code = client.sign_on()[39]
    code = client.ask(client.sale(1_000, stan=stan)) if code == "00" else code
    line.close()
    return code


def test_every_port_is_a_host_of_its_own_unless_they_share_books(tmp_path: Path) -> None:
    books, roster = tmp_path / "books.db", tmp_path / "roster.toml"
    roster.write_text(ROSTER)
    wanted = [settings("one", ledger=books), settings("two", ledger=books, enrol=roster), settings("three")]
    codes: list[str] = []

    def visit(listening: tuple[Listening, ...]) -> None:
        assert [(each.name, each.dialect, each.addresses[0].host) for each in listening] == [
            (name, "unionpay", "127.0.0.1") for name in ("one", "two", "three")
        ]
        one, two, three = listening
        codes.extend([sell(one, "000100"), sell(two, "000100"), sell(two, "000101", "T0000002"), sell(three, "000100")])

    with open_ports(wanted, entropy=system.entropy) as ports:
        assert ports[0].acquirer.ledger is ports[1].acquirer.ledger
        heard = serving(ports, visit)
    assert codes == ["00", "94", "97", "00"]
    assert heard == [
        *[("one", "signed-on"), ("one", "approved"), ("two", "signed-on"), ("two", "declined")],
        *[("two", "refused"), ("three", "signed-on"), ("three", "approved")],
    ]
    with LedgerFile(books) as file:
        assert file.ledger.effects_of(TID, "000001", "000100") == 1_000


def test_one_busy_port_keeps_all_from_serving() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        hosts = [
            Port("one", Acquirer(entropy=system.entropy)),
            Port("two", Acquirer(entropy=system.entropy), (Listen.on(port=number),)),
        ]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{number}"):
            serving(hosts, lambda _: None)


def test_nobody_needs_to_listen_to_the_ports() -> None:
    async def run() -> None:
        task = asyncio.create_task(serve_ports([Port("one", Acquirer(entropy=system.entropy))]))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


@pytest.mark.parametrize("name", ["ledger", "enrol"])
def test_what_cannot_be_opened_is_told_before_anything_listens(tmp_path: Path, name: str) -> None:
    missing = tmp_path / "no" / "file"
    with (
        pytest.raises((ConfigError, JournalFault), match="no such file"),
        open_ports([settings("kept", ledger=tmp_path / "a.db"), settings("one", **{name: missing})], entropy=bytes),
    ):
        pass
    # What was opened before it was closed again.
    LedgerFile(tmp_path / "a.db").close()


def test_books_that_cannot_be_kept_stop_the_host_before_it_answers(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "books.db")
    host = BackgroundServer(Acquirer(entropy=system.entropy, ledger=file.ledger)).__enter__()
    line = Line(host.port)
    client = HostClient(line.exchange)
    assert client.sign_on()[39] == "00"
    host.call(file.close)
    assert client.send(client.sale(1_000)) is None
    line.close()
    with pytest.raises(JournalFault, match="the file is closed"):
        host.__exit__(None, None, None)
