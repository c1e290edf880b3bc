"""The simulated host with ten thousand connections, 99 in 100 of them slow, and how honest terminals fare among them.

The host is the shipped command in a process of its own; this process is all the terminals. Printed, not asserted: the
promise (99 of 100 answers within a second, 512 MiB) is for a machine that has nothing else to do.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pos_engine.framing.length import LengthFramer
from tests.support.commands import PROGRAM, WAIT_S, environment
from tests.support.host_client import MID, HostClient
from tests.support.slow_clients import Crowd, files_allowed, memory_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONNECTIONS = 10_000
HONEST = 100
OWN_FILES = 200
TURN_S = 4.0
"""Seconds between two bytes of a slow client."""
PACED_S = 6.0
PAUSE_S = 0.5
"""What an honest terminal waits between two sales while it is not in a hurry."""
HURRIED_S = 4.0
ALONE_S = 2.0
MIB = 1024 * 1024
PROMISED_S = 1.0
PROMISED_BYTES = 512 * MIB
KEPT = {True: "kept", False: "NOT KEPT, here and now"}


@contextmanager
def running_host(folder: Path) -> Iterator[tuple[int, tuple[str, int]]]:
    """Start the host with its output in a file; yields process and address."""
    output = folder / "host.ndjson"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*PROGRAM, "acquirer", "--port", "0", "--json"], cwd=folder, env=environment(folder), stdout=file
        )
    try:
        end = time.monotonic() + WAIT_S
        while not (first := output.read_bytes().partition(b"\n")[0]):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        yield process.pid, ("127.0.0.1", json.loads(first)["port"])
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(WAIT_S)


class Honest:
    """A terminal that signs on and sells, and notes how long each answer took."""

    def __init__(self, number: int) -> None:
        """Take the terminal's number."""
        self.client = HostClient(lambda _: None, f"B{number:07d}", MID)
        self.seconds: list[float] = []
        self.failures = 0
        self._framer = LengthFramer()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def connect(self, host: tuple[str, int]) -> None:
        """Connect and sign on."""
        self._reader, self._writer = await asyncio.open_connection(*host)
        answer = await self._ask(self.client.payload(self.client.signing_on(), sealed=False))
        self.client.take(self.client.read(answer).message)

    async def part(self) -> None:
        """Disconnect."""
        self._writer.close()
        await self._writer.wait_closed()

    async def sell(self, until: float, pause_s: float) -> None:
        """Sell until that moment."""
        while time.monotonic() < until:
            answer = self.client.read(await self._ask(self.client.payload(self.client.sale(100))))
            self.failures += answer.message[39] not in {"00", "51", "61"}
            await asyncio.sleep(pause_s)

    async def _ask(self, payload: bytes) -> bytes:
        began = time.perf_counter()
        self._writer.write(self._framer.send(payload))
        while not (frames := self._framer.receive(await self._reader.read(4096), 0.0).frames):
            pass
        self.seconds.append(time.perf_counter() - began)
        return frames[0]


async def sell(terminals: list[Honest], crowd: Crowd | None, seconds: float, pause_s: float) -> list[float]:
    """Let all terminals sell for a while, with the crowd around them; returns how long answers took."""
    for each in terminals:
        each.seconds.clear()
    until = time.monotonic() + seconds
    selling = asyncio.gather(*(each.sell(until, pause_s) for each in terminals))
    step_s = 0.02
    while crowd is not None and not selling.done():
        began = time.monotonic()
        crowd.sweep(step_s / TURN_S)
        await asyncio.sleep(max(0.0, step_s - (time.monotonic() - began)))
    await selling
    return sorted(second for each in terminals for second in each.seconds)


def told(what: str, times: list[float], seconds: float) -> float:
    """Print one line; returns what 99 of 100 answers took at most."""
    p99 = times[int(len(times) * 0.99)]
    print(
        f"{what:44} p50 {statistics.median(times) * 1000:7.1f} ms   p99 {p99 * 1000:7.1f} ms"
        f"   {len(times) / seconds:7.0f} requests/s"
    )
    return p99


async def measure(process: int, host: tuple[str, int], connections: int) -> None:
    """Measure alone, then in the crowd."""
    terminals = [Honest(number) for number in range(HONEST)]
    for each in terminals:
        await each.connect(host)
    empty = memory_of(process)
    told("100 honest terminals alone, two sales a second", await sell(terminals, None, ALONE_S, PAUSE_S), ALONE_S)
    told("the same, in a hurry", await sell(terminals, None, ALONE_S, 0.0), ALONE_S)
    with Crowd(host, connections - HONEST) as crowd:
        p99 = told(f"among {len(crowd)} slow ones", await sell(terminals, crowd, PACED_S, PAUSE_S), PACED_S)
        told("the same, in a hurry", await sell(terminals, crowd, HURRIED_S, 0.0), HURRIED_S)
        most = memory_of(process, "VmHWM")
        print(
            f"the host's memory: {empty / MIB:.0f} MiB before, {memory_of(process) / MIB:.0f} MiB with the crowd, "
            f"{most / MIB:.0f} MiB at most;  refused {crowd.refused}, lost {crowd.lost}, "
            f"unexpected answers {sum(each.failures for each in terminals)}"
        )
        kept = p99 <= PROMISED_S and most <= PROMISED_BYTES
        print(f"promised: 99 of 100 answers within {PROMISED_S:g} s, {PROMISED_BYTES // MIB} MiB: {KEPT[kept]}")
    for each in terminals:
        await each.part()


def test_connections(tmp_path: Path) -> None:
    # One file for each connection at either end, so each process has the limit for itself.
    allowed = files_allowed(CONNECTIONS + OWN_FILES)
    connections = min(CONNECTIONS, allowed - OWN_FILES)
    why = "" if connections == CONNECTIONS else f" (of {CONNECTIONS}: this user may open {allowed} files)"
    print(f"\n{connections} connections{why}, {HONEST} of them honest, {os.cpu_count()} processors for both sides")
    with running_host(tmp_path) as (process, host):
        asyncio.run(measure(process, host, connections))
