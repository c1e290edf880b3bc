"""The bench: one clock, one line, one host, and terminals that are opened, cut off and opened again on them.

A terminal here is the real one, assembled by `pos_engine.assembly`; only clock, line, keys and, unless there is a
folder, the journal are the bench's. The seed decides the working keys and whatever a test draws from `random`.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from pos_engine.assembly import assemble
from pos_engine.clock import ManualClock
from pos_engine.config import settle
from pos_engine.dialects.registry import dialect_of
from pos_engine.dialects.unionpay.schemes import SCHEMES, USUAL
from pos_engine.framing.length import FRAMINGS
from pos_engine.journal.memory import MemoryJournal
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.terminal import Terminal
from pos_engine.values import Identity, KeyBytes
from simulators.acquirer import Acquirer, terminal_master_key
from simulators.bench.books import Books
from simulators.bench.conversation import Conversation
from simulators.bench.memory_link import MemoryLink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.config import Config
    from pos_engine.config.keys import Value
    from pos_engine.journal.view import Journal, JournalView
    from pos_engine.performer import Performer
    from pos_engine.peripherals.base import CardReader, PinPad, Supervisor
    from pos_engine.trace import Trace

IDENTITY: Final = Identity("T0000001", "M00000000000001")
"""The terminal of a bench, unless another is named."""
DIALECT: Final = "unionpay"
CARD: Final = "everyday"
"""The card in a simulated reader, unless another is named."""
STORAGE_KEY_BYTES: Final = 32
ADDRESS: Final = "acquirer.address"


class Bench:
    """Everything one simulation needs. `close` releases every terminal that is still open."""

    def __init__(
        self,
        *,
        seed: int | str = 0,
        clock: ManualClock | None = None,
        acquirer: Acquirer | None = None,
        folder: Path | None = None,
        key_scheme: str = USUAL,
    ) -> None:
        """Set the bench up; with a `folder`, journals are files in it, else they are in memory.

        `key_scheme` is that of its terminals, unless their settings name another of the same cipher; its host serves
        all of that cipher.
        """
        self._dialect = dialect_of(DIALECT, key_scheme)
        self.random = Random(seed)  # noqa: S311 - a simulation must be repeatable; nothing here is worth a secret
        self.clock = clock or ManualClock()
        self.acquirer = acquirer or Acquirer(entropy=self.random.randbytes, dialect=self._dialect)
        self.conversation = Conversation(self.clock)
        self.link = MemoryLink(self.clock, self.acquirer, framing=FRAMINGS["be2"], note=self.conversation.note)
        self.books = Books(lambda: self.acquirer.ledger)
        self._folder = folder
        self._storage_key = self.random.randbytes(STORAGE_KEY_BYTES)
        self._journals: dict[str, MemoryJournal] = {}
        self._open: dict[Terminal, Performer] = {}

    def open(
        self,
        settings: Mapping[str, Value] | None = None,
        *,
        reader: CardReader | None = None,
        pin_pad: PinPad | None = None,
        supervisor: Supervisor | None = None,
        trace: Trace | None = None,
    ) -> Terminal:
        """Open a terminal; a second time, on the journal the first one left.

        `settings` are keys of a configuration: {"terminal.id": "T0000002", "limits.day": "500.00"}. Without devices of
        its own it has the simulated card "everyday" and its PIN. With an "acquirer.address" it goes over a real socket
        and the machine's own clock. Raises what `Terminal.open` raises.
        """
        config = self._config(settings or {})
        dialect = dialect_of(config.dialect, config.key_scheme)
        is_simulated = ADDRESS not in (settings or {})
        parts = assemble(
            config,
            reader=reader,
            pin_pad=pin_pad,
            supervisor=supervisor,
            trace=self.conversation.listener(config.terminal_id, dialect, trace),
            clock=self.clock if is_simulated else None,
            keystore=self.keystore(config.terminal_id),
            journal=self._journal(config),
            stream=self.link.stream if is_simulated else None,
        )
        terminal = Terminal(*parts)
        self._open[terminal] = parts[1]
        return terminal

    def keystore(self, terminal: str = IDENTITY.terminal) -> SoftwareKeyStore:
        """Return a store with a terminal's keys, as the secure part of its PIN pad would hold them."""
        scheme = self._dialect.scheme or SCHEMES[USUAL]
        master = terminal_master_key(terminal, scheme.algorithm)
        return SoftwareKeyStore(master, KeyBytes(self._storage_key), algorithm=scheme.algorithm)

    def journal(self, terminal: Terminal) -> JournalView:
        """Return the journal of a terminal that is open, for reading."""
        return self._open[terminal].journal

    def cut_power(self, terminal: Terminal) -> None:
        """End a terminal as a power cut does: nothing is said, done or tidied up; the journal is what it was."""
        performer = self._open.pop(terminal)
        performer.routes.close()
        performer.journal.close()
        performer.keystore.close()

    def close(self) -> None:
        """Close every terminal that is still open."""
        for terminal in self._open:
            terminal.close()
        self._open.clear()

    def _config(self, settings: Mapping[str, Value]) -> Config:
        usual: dict[str, Value] = {
            "terminal.id": IDENTITY.terminal,
            "terminal.merchant": IDENTITY.merchant,
            "peripherals.reader": "simulated",
            "peripherals.pin_pad": "simulated",
            "peripherals.card": CARD,
            "acquirer.key_scheme": self._dialect.scheme.name if self._dialect.scheme is not None else USUAL,
        }
        usual["storage.journal"] = f"{settings.get('terminal.id', IDENTITY.terminal)}.db"
        return settle(usual | dict(settings), folder=self._folder or Path())

    def _journal(self, config: Config) -> Journal | None:
        if self._folder is not None:
            return None
        spec = dialect_of(config.dialect, config.key_scheme).spec
        return self._journals.setdefault(config.terminal_id, MemoryJournal(spec))
