"""A shop floor for the search for secrets: one terminal in a folder of its own, as its owner would set it up.

Configuration, keystore, wrapping key and journal are files; line, host and clock are simulated. Cards, PINs and keys
are known here, so that they can be looked for. While the terminal works, the folder's raw bytes are kept at every
moment at which the power could be cut: before and after each effect, and before each statement that reaches the
database.
"""

from __future__ import annotations

import sqlite3
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from pos_engine.assembly import assemble
from pos_engine.clock import ManualClock
from pos_engine.config import load, template
from pos_engine.crypto.pinblock import format0
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import PosError
from pos_engine.framing.length import BE2
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.peripherals.held import HeldCard
from pos_engine.peripherals.simulated import SimulatedPinPad
from pos_engine.terminal import Terminal
from pos_engine.values import Card, Text, Track2
from simulators.acquirer import Acquirer, terminal_master_key
from simulators.acquirer.enrolment import odd_parity
from simulators.bench import IDENTITY, Conversation, MemoryLink
from simulators.cards import SimulatedCard
from simulators.prove.canaries import Canary
from simulators.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from random import Random

    from pos_engine.dialects.base import Packet
    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.performer import Performer
    from simulators.ledger import Snapshot

CONFIG: Final = "pos-engine.toml"
WRAPPING_KEY: Final = "wrapping.key"
"""A key by purpose: this file, and no other, holds one in clear."""
JOURNAL: Final = "journal.db"
PIN_FIELD: Final = 52
PRIVATE: Final = 0o600
SWIPED: Final = SimulatedCard(
    name="swiped",
    title=Text("a card that is swiped", "刷卡"),
    track2=Track2("6229990083170429=49122015739284610427"),
    balance_minor=10_000_000,
    pin="836205174926",
)
KEYED: Final = SimulatedCard(
    name="keyed",
    title=Text("a card whose number is typed in", "手输卡号"),
    track2=Track2("6229990061529384=49122018305517296340"),
    balance_minor=10_000_000,
    pin="836205174926",
)
"""Cards whose PIN and discretionary data, the verification value among it, are long enough not to stand anywhere by
chance: of a PIN of four digits, packed in two bytes, that could not be said."""

Image = dict[str, bytes]
"""The files of a folder, by name."""
READS: Final = (
    "SELECT",
    "PRAGMA TABLE",
    "PRAGMA JOURNAL",
    "PRAGMA SYNC",
    "PRAGMA SECURE",
    "PRAGMA TEMP",
    "PRAGMA CELL",
)
"""How statements begin that change no file."""


@dataclass(frozen=True, slots=True)
class Point:
    """A moment at which the power could be cut: what the disk and the host's books held."""

    what: str
    image: Image = field(repr=False)
    books: Snapshot = field(repr=False)


class Floor:
    """One folder with a terminal, and the world around it. `close` is not needed: the folder is thrown away."""

    def __init__(self, folder: Path, random: Random) -> None:
        """Set everything up; `random` gives the host's working keys and the keystore's own."""
        self.folder = folder
        self.random = random
        self.issued: list[bytes] = []
        self.clock = ManualClock()
        self.host = Acquirer(entropy=self._issue, cards=(SWIPED, KEYED))
        self.conversation = Conversation(self.clock)
        self.link = MemoryLink(self.clock, self.host, framing=BE2, note=self.conversation.note)
        self.points: list[Point] = []
        self.texts: list[str] = []
        """What the engine said of itself: errors, tracebacks, renderings."""
        self.last_sent = b""
        self.pin_blocks: set[str] = set()
        self.wrapped: dict[int, set[tuple[bytes, bytes]]] = {}
        """The sealed card data of each record, as it was once on the disk: its wrapped key and its box."""
        self.watching = False
        self._contents: dict[bytes, bytes] = {}
        folder.mkdir(parents=True, exist_ok=True)
        settings: dict[str, str | bool | float] = {
            "terminal.id": IDENTITY.terminal,
            "terminal.merchant": IDENTITY.merchant,
            # Nobody listens there: what is simulated does not go over a socket, and a command finds a dead line.
            "acquirer.address": "tcp://127.0.0.1:9",
            "acquirer.connect_timeout_s": 1.0,
            "peripherals.reader": "simulated",
            "peripherals.pin_pad": "simulated",
            "peripherals.card": "everyday",
        }
        (folder / CONFIG).write_text(template(settings), encoding="utf-8")
        tmk = terminal_master_key(IDENTITY.terminal)
        SoftwareKeyStore.create(
            folder / "keystore.json", folder / WRAPPING_KEY, tmk=tmk, entropy=random.randbytes
        ).close()

    @contextmanager
    def terminal(self, folder: Path | None = None) -> Iterator[Terminal]:
        """Open the terminal, on this folder or on another image of it, and close it as a program that ends does."""
        terminal, _ = self.open(folder or self.folder)
        try:
            yield terminal
        finally:
            with self._statements():
                terminal.close()

    def open(self, folder: Path) -> tuple[Terminal, Performer]:
        """Open the terminal in a folder."""
        keystore = SoftwareKeyStore.open(folder / "keystore.json", folder / WRAPPING_KEY)
        with self._statements():
            profile, performer = assemble(
                load(folder / CONFIG, environment={}),
                reader=HeldCard(SWIPED.card),
                pin_pad=SimulatedPinPad(keystore, SWIPED.pin),
                trace=self.conversation.listener(IDENTITY.terminal, UNIONPAY, _Watch(self, folder)),
                clock=self.clock,
                stream=self.link.stream,
            )
        return Terminal(profile, performer), performer

    def cut_power(self, performer: Performer) -> None:
        """End a terminal as a power cut does: nothing is tidied up, and the files are what they were."""
        image = read(self.folder)
        performer.routes.close()
        performer.journal.close()
        performer.keystore.close()
        write(image, self.folder)

    def call(self, what: Callable[[], object]) -> object:
        """Make a call and keep what came of it, as a log would have it: the value, or the whole traceback."""
        try:
            outcome = what()
        except PosError as error:
            self.texts += [str(error), repr(error), traceback.format_exc()]
            return error
        self.texts.append(repr(outcome))
        return outcome

    def point(self, what: str) -> None:
        """Keep what the disk holds now."""
        if self.watching:
            # Most files are what they were at the moment before, and need to be kept once.
            image = {name: self._contents.setdefault(data, data) for name, data in read(self.folder).items()}
            self.points.append(Point(f"{len(self.points)}: {what}", image, self.host.ledger.snapshot()))

    def restore(self, point: Point, folder: Path) -> None:
        """Bring the world back to a moment, with the disk's image in another folder and the terminal switched on."""
        write(point.image, folder)
        self.host.stage(Scenario())
        self.host.ledger.restore(point.books)
        self.link.heal()
        self.link.drop_connections()
        self.clock.reboot(f"boot {point.what}")

    def canaries(self) -> list[Canary]:
        """Everything that may be nowhere, as far as it is known by now."""
        store = SoftwareKeyStore.open(self.folder / "keystore.json", self.folder / WRAPPING_KEY)
        found = [
            Canary("master key", terminal_master_key(IDENTITY.terminal).reveal()),
            Canary("storage key", store.storage_key().reveal()),
            Canary("wrapping key", (self.folder / WRAPPING_KEY).read_bytes()),
            *(Canary(f"working key {number}", key) for number, key in enumerate(self.issued)),
            *(Canary("PIN block", bytes.fromhex(block)) for block in sorted(self.pin_blocks)),
        ]
        store.close()
        for card in (SWIPED, KEYED):
            track = card.track2.reveal()
            found += [
                Canary(f"number of the {card.name} card", card.pan.reveal()),
                Canary(f"track of the {card.name} card", track),
                Canary(f"discretionary data of the {card.name} card", track[-13:]),
                Canary(f"PIN block in clear of the {card.name} card", format0(card.pin or "", card.pan)),
            ]
        return [*found, Canary("PIN", SWIPED.pin or "")]

    def note_seals(self, folder: Path) -> None:
        """Keep what the journal has sealed just now, to look for it when it should be gone."""
        database = sqlite3.connect(f"{(folder / JOURNAL).as_uri()}?mode=ro", uri=True)
        try:
            for number, wrapped, box in database.execute("SELECT number, wrapped, box FROM seals"):
                self.wrapped.setdefault(number, set()).add((wrapped, box))
        finally:
            database.close()

    def _issue(self, size: int) -> bytes:
        self.issued.append(odd_parity(self.random.randbytes(size)))
        return self.issued[-1]

    @contextmanager
    def _statements(self) -> Iterator[None]:
        """Let every connection that is opened meanwhile tell of its statements before it carries them out."""
        connect = sqlite3.connect

        def watched(*arguments: str, **options: bool) -> sqlite3.Connection:
            database: sqlite3.Connection = connect(*arguments, **options)  # type: ignore[call-overload]  # passed on
            database.set_trace_callback(self._statement)
            return database

        # The engine has no place for an observer below the journal, and SQLite has one.
        sqlite3.connect = watched  # type: ignore[assignment]  # put back below
        try:
            yield
        finally:
            sqlite3.connect = connect

    def _statement(self, text: str) -> None:
        words = " ".join(text.split()).upper()
        if not words.startswith(READS):
            self.point(f"before the statement {' '.join(words.split()[:3])}")


@dataclass(frozen=True, slots=True)
class _Watch:
    """A `Trace` that keeps a floor's points and what it is shown."""

    floor: Floor
    folder: Path

    def before(self, effect: Effect) -> None:
        self.floor.point(f"before {type(effect).__name__}")
        self.floor.texts.append(repr(effect))

    def after(self, effect: Effect, happened: Happening) -> None:
        self.floor.texts.append(f"{happened!r}")
        self.floor.note_seals(self.folder)
        self.floor.point(f"after {type(effect).__name__}")

    def message(self, direction: Literal["sent", "received"], packet: Packet) -> None:
        self.floor.texts.append(f"{direction} {packet!r} {packet.message!r}")
        if direction == "sent":
            self.floor.last_sent = packet.encode()
        if PIN_FIELD in packet.message:
            self.floor.pin_blocks.add(packet.message[PIN_FIELD])


def keyed() -> Card:
    """The keyed card, as somebody types it in."""
    return Card.keyed(KEYED.pan.reveal(), KEYED.expiry)


def read(folder: Path) -> Image:
    """Read every file of a folder."""
    return {each.name: each.read_bytes() for each in sorted(folder.iterdir()) if each.is_file()}


def write(image: Image, folder: Path) -> None:
    """Make a folder hold an image and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in folder.iterdir():
        each.unlink()
    for name, data in image.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(PRIVATE)
