"""Secrets at rest: at every moment at which the power could be cut, no file holds one, in none of nine encodings.

    KIND/TRUTH/POINT       the raw files at one moment of a life; then the terminal starts on them, works off what is
                           owed and ends, and the files are searched again
    KIND/TRUTH/texts       what the engine said in that life: descriptions, errors, tracebacks, the conversation
    KIND/TRUTH/commands    the files at the end of it, and what commands print about them
    control                each secret planted in each encoding is found

A life is one request of one kind with one thing that became of it at the host, a power cut, the recovery, and an
orderly end, at which card data that nobody needs is destroyed. Destroyed means: with the storage key in hand nothing is
left to open. The wrapped keys that were once on the disk are looked for in the raw files, once their records are
concluded.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import PosError, UsageError
from pos_engine.flow.outcomes import Approved
from pos_engine.journal.record import State
from pos_engine.journal.sealing import Sealing
from pos_engine.journal.store import SqliteJournal
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.system import entropy
from pos_engine.values import Amount, Card, Text
from simulators.bench import IDENTITY
from simulators.prove.campaign import Finding, Scale, Shard, Tally
from simulators.prove.canaries import ENCODINGS, sightings
from simulators.prove.floor import CONFIG, JOURNAL, KEYED, WRAPPING_KEY, Floor, Image, Point, keyed, read, write
from simulators.scenario import Scenario, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pos_engine.dialects.base import OriginalRef
    from pos_engine.journal.record import Record
    from pos_engine.terminal import Terminal
    from pos_engine.values import KeyBytes
    from simulators.prove.canaries import Canary

    Order = Callable[[Terminal, OriginalRef | None], object]

TOTAL: Final = Amount.cny("12.34")
PART: Final = Amount.cny("1.25")
REPORT: Final = "paper out"
RECORDS_MAX: Final = 1000
TICKS: Final = 2
BETWEEN_TICKS_S: Final = 3700.0
PIECE: Final = 12
"""Bytes of a wrapped key or a box that are looked for: a part of one is worth finding too."""
PIECES_APART: Final = 4
TITLE: Final = Text("secrets at rest, at every moment of a power cut", "任一断电时刻的静态敏感数据")
STRIDES: Final = {Scale.QUICK: 41, Scale.RELEASE: 1}
LIVES_WITH_COMMANDS: Final = {Scale.QUICK: 60, Scale.RELEASE: 5}
FIRST_WITH_COMMANDS: Final = 36
"""After every how many lives the commands are run, each a process of its own, and a life they are always run after: a
keyed sale that is reversed."""
COMMANDS: Final = (
    ("status", "--json"),
    ("journal", "--json"),
    ("journal", "verify"),
    ("journal", "export"),
    # Nobody answers, so that it fails; what it wanted to send is shown.
    ("sale", "1.00", "-vv", "--json"),
)
MEMORY_DISK: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
"""Where there is one, files are made there: nothing is proven here about durability, and flushing takes long."""
PARTS: Final = 3
COMMAND_TIMEOUT_S: Final = 60.0
KEEPS_CARD: Final = frozenset({Kind.SALE, Kind.VOID, Kind.REFUND})
"""Kinds whose card data may be needed after the outcome: approved ones by a settlement, doubtful ones by a reversal."""
STILL_NEEDED: Final = frozenset({State.APPROVED, State.DOUBTFUL, State.PENDING})


@dataclass(frozen=True, slots=True)
class Life:
    """One request and what becomes of it."""

    kind: str
    truth: str

    @property
    def name(self) -> str:
        """The first two parts of its cases' names."""
        return f"{self.kind}/{self.truth}"


def _voided(terminal: Terminal, original: OriginalRef | None, card: Card | None = None) -> object:
    return terminal.void(_named(original), card=card)


def _refunded(terminal: Terminal, original: OriginalRef | None, card: Card | None = None) -> object:
    return terminal.refund(PART, original=_named(original), card=card)


def _named(original: OriginalRef | None) -> OriginalRef:
    if original is None:
        reason = "the sale that this life acts on was not approved"
        raise AssertionError(reason)
    return original


ORDERS: Final[dict[str, tuple[Kind, Order]]] = {
    "sign-on": (Kind.SIGN_ON, lambda terminal, _original: terminal.sign_on()),
    "sign-off": (Kind.SIGN_OFF, lambda terminal, _original: terminal.sign_off()),
    "echo": (Kind.ECHO, lambda terminal, _original: terminal.echo()),
    "status": (Kind.STATUS, lambda terminal, _original: terminal.upload_status(REPORT)),
    "balance": (Kind.BALANCE, lambda terminal, _original: terminal.balance()),
    "balance-keyed": (Kind.BALANCE, lambda terminal, _original: terminal.balance(card=keyed())),
    "sale": (Kind.SALE, lambda terminal, _original: terminal.sale(TOTAL)),
    "sale-keyed": (Kind.SALE, lambda terminal, _original: terminal.sale(TOTAL, card=keyed())),
    "void": (Kind.VOID, _voided),
    "void-keyed": (Kind.VOID, lambda terminal, original: _voided(terminal, original, keyed())),
    "refund": (Kind.REFUND, _refunded),
    "refund-keyed": (Kind.REFUND, lambda terminal, original: _refunded(terminal, original, keyed())),
    "parameters": (Kind.PARAMETERS, lambda terminal, _original: terminal.download("parameters")),
    "ca-keys": (Kind.CA_KEY, lambda terminal, _original: terminal.download("ca-keys")),
}
"""Every kind of request, by card where there is one; the reversal comes by itself where the answer is lost."""


def _staged(do: str, kind: Kind) -> Scenario:
    rule = f'[[rule]]\nname = "one"\nmatch = {{ kind = "{kind.value}" }}\naction = {{ do = "{do}" }}\n'
    return parse(rule, "truth")


TRUTHS: Final[dict[str, Callable[[Floor, Kind], None]]] = {
    "approved": lambda _floor, _kind: None,
    "answer lost": lambda floor, _kind: floor.link.lose_answer(),
    "declined": lambda floor, kind: floor.host.stage(_staged("decline", kind)),
    "never arrived": lambda floor, _kind: floor.link.lose_request(),
    "forged": lambda floor, kind: floor.host.stage(_staged("wrong_mac", kind)),
}
"""What becomes of the request."""
LIVES: Final = tuple(Life(kind, truth) for kind in ORDERS for truth in TRUTHS)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The campaign."""

    name: str = "secrets"
    title: Text = TITLE

    def lacks(self) -> str:
        """Lack nothing."""
        return ""

    def run(self, shard: Shard) -> Tally:
        """Live the lives, and search the shard's moments of them."""
        tally, number = Tally(), 0
        with _scratch() as scratch:
            if shard.index == 0:
                tally = control(Path(scratch) / "control", shard.seed)
            for index, life in enumerate(LIVES):
                floor = lived(life, Path(scratch) / "life", shard.seed)
                trial = Trial(life, floor, Path(scratch) / "again")
                number += 1
                if shard.takes(number - 1):
                    tally += trial.texts()
                if (index - FIRST_WITH_COMMANDS) % LIVES_WITH_COMMANDS[shard.scale] == 0:
                    number += 1
                    if shard.takes(number - 1):
                        tally += trial.commands()
                for at in range(index % STRIDES[shard.scale], len(floor.points), STRIDES[shard.scale]):
                    number += 1
                    if shard.takes(number - 1):
                        tally += trial.at(floor.points[at], at)
        return tally

    def repeat(self, case: str, seed: int) -> str:
        """Search one moment again and tell what was said until then; masked, as every conversation is."""
        kind, _, rest = case.partition("/")
        truth, _, what = rest.partition("/")
        with _scratch() as scratch:
            if case == "control":
                return _told(control(Path(scratch), seed))
            if kind not in ORDERS or truth not in TRUTHS:
                raise _unknown(case)
            life = Life(kind, truth)
            floor = lived(life, Path(scratch) / "life", seed)
            trial = Trial(life, floor, Path(scratch) / "again")
            if what in {"texts", "commands"}:
                return _told(trial.texts() if what == "texts" else trial.commands())
            if not what.isdecimal() or int(what) >= len(floor.points):
                raise _unknown(case)
            point = floor.points[int(what)]
            tally = trial.at(point, int(what))
            return "\n".join([floor.conversation.text(), point.what, _told(tally)])


def lived(life: Life, folder: Path, seed: int) -> Floor:
    """Live a life to its orderly end; its points begin where its own request begins."""
    write({}, folder)
    floor = Floor(folder, Random(f"{seed} {life.name}"))  # noqa: S311 - a case must be repeatable
    kind, order = ORDERS[life.kind]
    terminal, performer = floor.open(folder)
    original = None
    if kind is not Kind.SIGN_ON:
        terminal.sign_on()
    if kind in {Kind.VOID, Kind.REFUND}:
        sold = terminal.sale(TOTAL, card=keyed() if life.kind.endswith("keyed") else None)
        original = sold.reference if isinstance(sold, Approved) else None
    floor.watching = True
    TRUTHS[life.truth](floor, kind)
    floor.call(lambda: order(terminal, original))
    floor.host.stage(Scenario())
    # What is owed is worked off after a power cut, so that a second one in that recovery is among the moments.
    floor.cut_power(performer)
    with floor.terminal() as terminal:
        for _ in range(TICKS):
            floor.clock.advance(BETWEEN_TICKS_S)
            floor.call(terminal.tick)
        for number in (KEYED.pan.reveal()[:-1] + "X", KEYED.pan.reveal() * 2):
            floor.call(lambda number=number: terminal.sale(TOTAL, card=Card.keyed(number)))  # type: ignore[misc]  # a bound default
        floor.call(lambda: terminal.status(recent=RECORDS_MAX))
    floor.point("the end")
    floor.watching = False
    return floor


@dataclass(slots=True)
class Trial:
    """One life that was lived, and the search of what it left."""

    life: Life
    floor: Floor
    scratch: Path
    clean: set[tuple[int, bytes]] = field(default_factory=set)
    """Contents in which nothing of so many canaries was found: most files stay what they are."""

    def at(self, point: Point, number: int) -> Tally:
        """Search the files of one moment; start on them, work off what is owed, end, and search again."""
        counts = Counter[str]({"moments": 1})
        found = [f"{each}, at the cut" for each in self._hits(point.image)]
        self.floor.restore(point, self.scratch)
        if JOURNAL in point.image:
            found += self._recover(counts)
        # The restart took out new keys and may have entered a PIN again; they are looked for as well.
        found += [f"{each}, after the restart" for each in self._hits(read(self.scratch))]
        return self._tally(str(number), found, counts)

    def texts(self) -> Tally:
        """Search what the engine said, and what is left on the disk at the end of the life."""
        said = "\n".join([*self.floor.texts, self.floor.conversation.text(), self.floor.conversation.text("zh")])
        counts = Counter[str]({"bytes of text": len(said)})
        found = [f"{each}, in what was said" for each in sightings(said.encode(), self.floor.canaries())]
        found += [f"{each}, at the end" for each in self._hits(read(self.floor.folder))]
        found += remains(self.floor.folder, self.floor, counts)
        return self._tally("texts", found, counts)

    def commands(self) -> Tally:
        """Run commands on the files of the life's end, and search what they print and leave."""
        write(read(self.floor.folder), self.scratch)
        counts, found = Counter[str](), list[str]()
        named = ("--config", str(self.scratch / CONFIG))
        decode = ("decode", "-v", self.floor.last_sent.hex())
        for command in [*((*each, *named) for each in COMMANDS), decode]:
            done = subprocess.run(  # noqa: S603 - this interpreter, with arguments of our own
                [sys.executable, "-m", "pos_engine", *command],
                capture_output=True,
                check=False,
                timeout=COMMAND_TIMEOUT_S,
            )
            counts["commands"] += 1
            counts["bytes of output"] += len(done.stdout) + len(done.stderr)
            hits = sightings(done.stdout + done.stderr, self.floor.canaries())
            found += [f"{each}, in what `{command[0]}` prints" for each in hits]
        found += [f"{each}, after the commands" for each in self._hits(read(self.scratch))]
        return self._tally("commands", found, counts)

    def _recover(self, counts: Counter[str]) -> list[str]:
        try:
            with self.floor.terminal(self.scratch) as terminal:
                for _ in range(TICKS):
                    self.floor.clock.advance(BETWEEN_TICKS_S)
                    terminal.tick()
                counts["restarts"] += 1
        except PosError as error:
            return [f"the terminal did not start again: {type(error).__name__}"]
        return remains(self.scratch, self.floor, counts)

    def _hits(self, image: Image) -> list[str]:
        canaries = self.floor.canaries()
        hits = []
        for name, data in image.items():
            if name == WRAPPING_KEY or (len(canaries), data) in self.clean:
                continue
            found = list(sightings(data, canaries))
            if not found:
                self.clean.add((len(canaries), data))
            hits += [f"{name}: {each}" for each in found]
        return hits

    def _tally(self, case: str, found: list[str], counts: Counter[str]) -> Tally:
        findings = tuple(Finding(each, f"{self.life.name}/{case}") for each in found)
        return Tally(1, findings, counts)


def remains(folder: Path, floor: Floor, counts: Counter[str]) -> list[str]:
    """Look for card data of concluded records in the raw files, as somebody does who has the storage key.

    What was sealed once is known: the wrapped key and the box of each record. That both open with the storage key is
    tried first, so that their absence means something.
    """
    store = SoftwareKeyStore.open(folder / "keystore.json", folder / WRAPPING_KEY)
    with closing(store):
        key = store.storage_key()
    records = _records(folder, key)
    needed = {record.number for record in records if _may_rest(record, records)}
    sealing = Sealing(key, f"{IDENTITY.terminal}/{IDENTITY.merchant}", entropy)
    raw = [(name, data) for name, data in read(folder).items() if name.startswith(JOURNAL)]
    wrong = []
    for number, seals in sorted(floor.wrapped.items()):
        for wrapped, box in seals:
            if sealing.unbox(number, wrapped, box) is None:
                wrong.append(f"what was kept of record {number} does not open, so that it is gone would prove nothing")
            places = [name for name, data in raw if _holds(data, wrapped) or _holds(data, box)]
            if number in needed:
                counts["sealed card data: needed, and there" if places else "sealed card data: of another restart"] += 1
            elif places:
                wrong.append(f"{', '.join(places)}: the sealed card data of record {number} is still there")
            else:
                counts["sealed card data: concluded, and gone"] += 1
    return wrong


def _records(folder: Path, key: KeyBytes) -> list[Record]:
    journal = SqliteJournal.open(
        folder / JOURNAL, spec=UNIONPAY.spec, identity=IDENTITY, storage_key=key, entropy=entropy, read_only=True
    )
    with closing(journal):
        return list(journal.recent(RECORDS_MAX))


def _may_rest(record: Record, records: Collection[Record]) -> bool:
    """Tell whether a record may keep its card data under its seal; anything else is to be destroyed."""
    if record.kind is Kind.REVERSAL:
        return record.state is not State.APPROVED
    taken_back = any(
        each.kind is Kind.REVERSAL and each.original == record.number and each.state is State.APPROVED
        for each in records
    )
    return record.kind in KEEPS_CARD and record.state in STILL_NEEDED and not taken_back


def _holds(data: bytes, secret: bytes) -> bool:
    return any(secret[at : at + PIECE] in data for at in range(0, len(secret) - PIECE, PIECES_APART))


def control(folder: Path, seed: int) -> Tally:
    """Plant every secret in every encoding, in a file of zeros and in the middle of a journal; count what is found."""
    floor = lived(Life("sale-keyed", "approved"), folder, seed)
    hosts = {"zeros": bytes(4096), JOURNAL: read(folder)[JOURNAL]}
    counts, missed = Counter[str](), list[Finding]()
    for canary in floor.canaries():
        planted = _planted(canary, hosts)
        found = sum(1 for encoding, data in planted if f"{canary.name} as {encoding}" in set(sightings(data, [canary])))
        counts["control: planted"] += len(planted)
        counts["control: found"] += found
        if found < ENCODINGS * len(hosts) or found < len(planted):
            missed.append(Finding(f"of {len(planted)} planted forms of the {canary.name} {found} are found", "control"))
    return Tally(sum(1 for _ in counts.elements()) // 2, tuple(missed), counts)


def _planted(canary: Canary, hosts: Image) -> list[tuple[str, bytes]]:
    return [
        (encoding, data[: len(data) // 3] + written + data[len(data) // 3 + len(written) :])
        for encoding, written in canary.encodings().items()
        for data in hosts.values()
    ]


def _scratch() -> TemporaryDirectory[str]:
    return TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None)


def _told(tally: Tally) -> str:
    lines = [f"{count} {what}" for what, count in sorted(tally.counts.items())]
    return "\n".join([*lines, *(each.what for each in tally.findings)] or ["nothing was searched"])


def _unknown(case: str) -> UsageError:
    return UsageError(f"no case of secrets is called {case!r}: KIND/TRUTH/POINT, as in sale/answer lost/12")


SECRETS: Final = Secrets()
