"""Fixtures for tests of whatever embeds a `Terminal`: a host, a line that fails on demand, a clock that a test moves.

    key_scheme        the keys of terminals and host, "3des" unless it is overridden
    manual_clock      the time of everything else; a wait costs nothing
    acquirer          the simulated host, in memory
    terminal          a terminal that is signed on, with a simulated card and its PIN
    open_terminal     opens terminals with other settings and devices, or the same one again
    memory_link       the line between them: `lose_answer`, `delay`, `cut_after`, ...
    scenario          gives the host a scenario: TOML, rules, or the name of a ready-made one
    ledger            the host's books; `ledger.differences(terminal)` compares them with the journal
    acquirer_address  the same host on a free loopback port
    tcp_line          a TCP line to that port, which fails on demand
    serial_pair       two serial devices and the line between them, which fails on demand

The report of a failed test shows the conversation, decoded and masked. Until a fixture is used, pytest loads nothing of
the engine: imports stand where they are needed.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from typing import Protocol

    from pos_engine.clock import ManualClock
    from pos_engine.config.keys import Value
    from pos_engine.peripherals.base import CardReader, PinPad, Supervisor
    from pos_engine.terminal import Terminal
    from pos_engine.trace import Trace
    from simulators.acquirer import Acquirer
    from simulators.bench import Bench, Books, MemoryLink
    from simulators.faults import PtyProxy, TcpProxy
    from simulators.scenario import Play, Rule, Scenario

    class Worker(Protocol):
        """What pytest-xdist calls a node."""

        config: pytest.Config
        workerinput: dict[str, object]

    class OpenTerminal(Protocol):
        """What `open_terminal` is: `Bench.open`, and a sign-on unless that is not wanted."""

        def __call__(
            self,
            settings: Mapping[str, Value] | None = None,
            *,
            reader: CardReader | None = None,
            pin_pad: PinPad | None = None,
            supervisor: Supervisor | None = None,
            trace: Trace | None = None,
            sign_on: bool = True,
        ) -> Terminal:
            """Open a terminal."""
            ...

    PlayScenario = Callable[["str | Path | Scenario | Rule | Iterable[Rule]"], Play]
    """What `scenario` is: it makes the host play from now on, and returns what comes of it."""

JOURNALS: Final = ("memory", "file")
SEED_BITS: Final = 32
BENCH: Final = pytest.StashKey["Bench"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the seed and the kind of journal."""
    group = parser.getgroup("pos_engine")
    group.addoption(
        "--pos-seed", type=int, metavar="N", help="seed of working keys and random choices; without it a new one"
    )
    parser.addini("pos_journal", "where terminals keep their journal: memory (default), or file", default=JOURNALS[0])


def pytest_configure(config: pytest.Config) -> None:
    """Settle the seed: the one that was asked for, else the one that all workers get, else a new one."""
    if config.getini("pos_journal") not in JOURNALS:
        reason = f"pos_journal is {' or '.join(JOURNALS)}"
        raise pytest.UsageError(reason)
    if config.option.pos_seed is None:
        given = getattr(config, "workerinput", {}).get("pos_seed")
        config.option.pos_seed = secrets.randbits(SEED_BITS) if given is None else given


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Worker) -> None:
    """Tell a worker process of pytest-xdist the seed."""
    node.workerinput["pos_seed"] = node.config.option.pos_seed


def pytest_report_header(config: pytest.Config) -> str:
    """Say how to repeat this run."""
    return f"pos_engine: --pos-seed {config.option.pos_seed}, journal in {config.getini('pos_journal')}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the conversation to the report of a test that failed."""
    report = yield
    bench = item.stash.get(BENCH, None)
    if report.failed and bench is not None:
        title = f"pos_engine conversation (--pos-seed {item.config.option.pos_seed})"
        report.sections.append((title, bench.conversation.text() or "nothing was said"))
    return report


@pytest.fixture
def manual_clock() -> ManualClock:
    """The clock of terminals, line and host: noon UTC on 2026-01-01 until a test moves it, or somebody waits."""
    from pos_engine.clock import ManualClock  # noqa: PLC0415 - loaded by the tests that use it

    return ManualClock()


@pytest.fixture
def key_scheme() -> str:
    """The key scheme of terminals and host; override this fixture to test with another one, such as "sm4"."""
    return "3des"


@pytest.fixture
def pos_bench(request: pytest.FixtureRequest, manual_clock: ManualClock, key_scheme: str) -> Iterator[Bench]:
    """The bench that everything else here stands on (`simulators.bench`); most tests need only its parts."""
    from simulators.bench import Bench  # noqa: PLC0415 - loaded by the tests that use it

    # A test's keys depend on the seed and its name alone, not on which tests run before it.
    seed = f"{request.config.option.pos_seed} {request.node.nodeid}"
    in_files = request.config.getini("pos_journal") != JOURNALS[0]
    folder = request.getfixturevalue("tmp_path") if in_files else None
    bench = Bench(seed=seed, clock=manual_clock, folder=folder, key_scheme=key_scheme)
    request.node.stash[BENCH] = bench
    yield bench
    bench.close()


@pytest.fixture
def acquirer(pos_bench: Bench) -> Acquirer:
    """The simulated host, which `terminal` talks to."""
    return pos_bench.acquirer


@pytest.fixture
def memory_link(pos_bench: Bench) -> MemoryLink:
    """The line between terminals and host, and what may go wrong on it."""
    return pos_bench.link


@pytest.fixture
def ledger(pos_bench: Bench) -> Books:
    """The host's books, for reading; `differences(terminal)` compares them with the terminal's journal."""
    return pos_bench.books


@pytest.fixture
def open_terminal(pos_bench: Bench) -> OpenTerminal:
    """Open a terminal with settings and devices of its own, signed on; a second time, on the same journal."""

    def opened(
        settings: Mapping[str, Value] | None = None,
        *,
        reader: CardReader | None = None,
        pin_pad: PinPad | None = None,
        supervisor: Supervisor | None = None,
        trace: Trace | None = None,
        sign_on: bool = True,
    ) -> Terminal:
        terminal = pos_bench.open(settings, reader=reader, pin_pad=pin_pad, supervisor=supervisor, trace=trace)
        if sign_on:
            terminal.sign_on()
        return terminal

    return opened


@pytest.fixture
def terminal(open_terminal: OpenTerminal) -> Terminal:
    """A terminal that is signed on, with a card of 100,000 yuan in its reader and the right PIN."""
    return open_terminal()


@pytest.fixture
def scenario(pos_bench: Bench) -> Iterator[PlayScenario]:
    """Give the host a scenario in place of the one it plays; what it expected in vain fails the test at the end."""
    from simulators.scenario import Play  # noqa: PLC0415 - loaded by the tests that use it

    plays: list[Play] = []

    def play(what: str | Path | Scenario | Rule | Iterable[Rule]) -> Play:
        plays.append(Play(_scenario_of(what)))
        pos_bench.acquirer.play = plays[-1]
        return plays[-1]

    yield play
    failures = [str(failure) for each in plays for failure in each.failures()]
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


@pytest.fixture
def acquirer_address(pos_bench: Bench) -> Iterator[str]:
    """The address of a free loopback port where the same host listens, for another process or a terminal over TCP."""
    from simulators.server import BackgroundServer  # noqa: PLC0415 - loaded by the tests that use it

    with BackgroundServer(pos_bench.acquirer) as server:
        yield f"tcp://{server.host}:{server.port}"


@pytest.fixture
def tcp_line(request: pytest.FixtureRequest, acquirer_address: str) -> Iterator[TcpProxy]:
    """A line to `acquirer_address` that is smooth until `fail("rst to-terminal at 20")`; a terminal uses its `url`."""
    from simulators.faults import TcpProxy  # noqa: PLC0415 - loaded by the tests that use it

    host, _, port = acquirer_address.removeprefix("tcp://").rpartition(":")
    with TcpProxy((host, int(port)), seed=request.config.option.pos_seed) as proxy:
        yield proxy


@pytest.fixture
def serial_pair(request: pytest.FixtureRequest) -> Iterator[PtyProxy]:
    """Two devices, `terminal_device` and `host_device`, and a line that is smooth until `fail("drop to-host 1%")`."""
    from simulators.faults import PtyProxy  # noqa: PLC0415 - loaded by the tests that use it

    with PtyProxy(seed=request.config.option.pos_seed) as proxy:
        yield proxy


def _scenario_of(what: str | Path | Scenario | Rule | Iterable[Rule]) -> Scenario:
    from simulators.scenario import Rule, Scenario, parse  # noqa: PLC0415 - loaded by the tests that use it
    from simulators.scenario_files import read_scenario  # noqa: PLC0415 - the same

    match what:
        case Scenario():
            return what
        case Rule():
            return Scenario((what,))
        case str() if "=" in what:
            return parse(what, "scenario")
        case str() | Path():
            return read_scenario(what)
        case _:
            return Scenario(tuple(what))
