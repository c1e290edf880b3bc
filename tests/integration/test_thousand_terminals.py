"""A thousand terminals on one host process at once: what each was told is what the books say, to the cent.

All connections are open before the first sale. Each terminal signs on and sells; one in four voids, one refunds a part,
one reverses, one sells again; then all ask for a balance and sign off. The books are read from the host's file once it
has ended. Figures are printed (`pytest -rP` shows them), and nothing is asserted about time.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pos_engine.framing.length import LengthFramer
from simulators.ledger import Key, Standing
from simulators.store import LedgerFile
from tests.support.commands import PROGRAM, environment
from tests.support.host_client import MID, HostClient

if TYPE_CHECKING:
    from pos_engine.wire.message import Message

TERMINALS = 1_000
DESCRIPTORS = 4_096
LIMIT_S = 110.0


class Terminal:
    """One terminal on a connection of its own, and what it believes was moved under each of its trace numbers."""

    def __init__(self, number: int, barrier: asyncio.Barrier) -> None:
        self.number = number
        self.client = HostClient(_unused, f"T{number:07d}")
        self.believed: dict[Key, int] = {}
        self.codes: list[str] = []
        self._barrier = barrier
        self._framer = LengthFramer()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def run(self, port: int) -> None:
        """Connect, wait until all have, and work through a short day."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await self._barrier.wait()
            await self._work()
        finally:
            self._writer.close()
            await self._writer.wait_closed()

    async def _work(self) -> None:
        self.client.take(await self._ask(self.client.signing_on(), sealed=False))
        amount = 100 + self.number % 700
        sale = self.client.sale(amount)
        answer = await self._ask(sale)
        self._believe(sale, amount)
        original = self.client.original(sale, answer)
        match self.number % 4:
            case 0:
                void = self.client.void(amount, original)
                await self._ask(void)
                self._believe(void, -amount)
            case 1:
                refund = self.client.refund(amount // 2, original)
                await self._ask(refund)
                self._believe(refund, -(amount // 2))
            case 2:
                await self._ask(self.client.reversal(sale))
                self._believe(sale, 0)
            case _:
                again = self.client.sale(amount + 1)
                await self._ask(again)
                self._believe(again, amount + 1)
        await self._ask(self.client.balance())
        await self._ask(self.client.sign_off(), sealed=False)

    def _believe(self, request: Message, moved_minor: int) -> None:
        self.believed[Key(self.client.identity.terminal, self.client.batch, request[11])] = moved_minor

    async def _ask(self, request: Message, *, sealed: bool = True) -> Message:
        self._writer.write(self._framer.send(self.client.payload(request, sealed=sealed)))
        frames: tuple[bytes, ...] = ()
        while not frames:
            data = await self._reader.read(4096)
            assert data, "the host closed the link"
            frames = tuple(self._framer.receive(data, 0.0).frames)
        (frame,) = frames
        packet = self.client.read(frame)
        assert 64 not in packet.message or self.client.proves(packet)
        self.codes.append(packet.message[39])
        return packet.message


def _unused(_payload: bytes) -> bytes | None:
    raise AssertionError


async def host(folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *[*PROGRAM, "acquirer", "--port", "0", "--json", "--ledger", str(folder / "books.db")],
        cwd=folder,
        env=environment(folder),
        stdout=asyncio.subprocess.PIPE,
    )


async def events_of(process: asyncio.subprocess.Process) -> Counter[str]:
    """Read the host's events until it ends, so that its pipe never fills."""
    assert process.stdout is not None
    return Counter([json.loads(line)["what"] async for line in process.stdout])


async def day(folder: Path, figures: dict[str, int]) -> tuple[list[Terminal], Counter[str]]:
    process = await host(folder)
    assert process.stdout is not None
    port = json.loads(await process.stdout.readline())["port"]
    events = asyncio.create_task(events_of(process))
    barrier = asyncio.Barrier(TERMINALS)
    terminals = [Terminal(number, barrier) for number in range(TERMINALS)]
    try:
        began = time.monotonic()
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*(terminal.run(port) for terminal in terminals))
        took_s = time.monotonic() - began
        figures["requests_per_s"] = round(sum(len(terminal.codes) for terminal in terminals) / took_s)
        figures["host_peak_rss_kib"] = peak_kib(process.pid)
        process.send_signal(signal.SIGINT)
        told = await events
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return terminals, told


def peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def enough_descriptors() -> bool:
    """Ask for more descriptors where there are too few; the host inherits them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
    return hard >= DESCRIPTORS


def test_what_a_thousand_terminals_were_told_is_what_the_books_say(tmp_path: Path) -> None:
    if not enough_descriptors():
        pytest.skip("this system allows too few open files")
    figures: dict[str, int] = {}
    terminals, events = asyncio.run(day(tmp_path, figures))
    sys.stdout.write(f"{json.dumps(figures)}\n")
    assert [terminal.number for terminal in terminals if set(terminal.codes) != {"00"}] == []
    believed = {key: moved for terminal in terminals for key, moved in terminal.believed.items()}
    with LedgerFile(tmp_path / "books.db") as file:
        ledger = file.ledger
        booked = {each.key: ledger.effects_of(*each.key) for each in ledger.transactions}
        assert {key for key in believed | booked if believed.get(key) != booked.get(key)} == set()
        assert sum(ledger.balances().values()) == 0
        standing = Counter(each.standing for each in ledger.transactions)
        for terminal in terminals:
            totals = ledger.totals(terminal.client.identity.terminal, "000001")
            assert totals.debit.amount_minor - totals.credit.amount_minor == sum(terminal.believed.values())
        assert {each.merchant for each in ledger.transactions} == {MID}
    assert standing == {Standing.APPROVED: TERMINALS * 3 // 2, Standing.REVERSED: TERMINALS // 4}
    requests = sum(len(terminal.codes) for terminal in terminals)
    assert requests == sum(events.values()) == TERMINALS * 5
    assert (events["signed-on"], events["signed-off"]) == (TERMINALS, TERMINALS)
    assert figures["host_peak_rss_kib"] < 512 * 1024
