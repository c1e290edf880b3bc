"""A shop with one real terminal: its files, a terminal on them, and the books of both ends to be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pos_engine import config, system
from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.flow.plan import owed
from pos_engine.flow.profile import Profile
from pos_engine.journal.record import Record, State
from pos_engine.journal.store import SqliteJournal
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.terminal import Terminal
from pos_engine.values import Identity
from simulators.acquirer import terminal_master_key

if TYPE_CHECKING:
    from pathlib import Path

    from pos_engine.clock import Clock
    from pos_engine.trace import Trace
    from simulators.ledger import Ledger

IDENTITY = Identity("T0000001", "M00000000000001")
CARD = "everyday"
PROFILE = Profile(UNIONPAY, IDENTITY)


class Shop:
    """One terminal's folder."""

    def __init__(self, folder: Path, port: int, *, answer_timeout_s: float = 10.0) -> None:
        self.folder = folder
        settings: dict[str, str | bool | float] = {
            "terminal.id": IDENTITY.terminal,
            "terminal.merchant": IDENTITY.merchant,
            "acquirer.address": f"tcp://127.0.0.1:{port}",
            "acquirer.answer_timeout_s": answer_timeout_s,
            "peripherals.reader": "simulated",
            "peripherals.pin_pad": "simulated",
            "peripherals.card": CARD,
        }
        self.path = folder / "pos-engine.toml"
        self.path.write_text(config.template(settings), encoding="utf-8")
        if not (folder / "keystore.json").exists():
            tmk = terminal_master_key(IDENTITY.terminal)
            SoftwareKeyStore.create(
                folder / "keystore.json", folder / "wrapping.key", tmk=tmk, entropy=system.entropy
            ).close()

    def open(
        self,
        trace: Trace | None = None,
        *,
        port: int | None = None,
        address: str | None = None,
        clock: Clock | None = None,
    ) -> Terminal:
        """Open the terminal; with `port` or `address`, against another address than the folder's."""
        if port is not None:
            address = f"tcp://127.0.0.1:{port}"
        overrides: dict[str, str | bool | float] = {} if address is None else {"acquirer.address": address}
        return Terminal.open(config.load(self.path, overrides=overrides), trace=trace, clock=clock)

    def records(self) -> list[Record]:
        """Read the whole journal, oldest first, as another process would."""
        journal = self._journal()
        try:
            return list(journal.recent(100_000))[::-1]
        finally:
            journal.close()

    def owed(self) -> int:
        """Count what the journal says is owed."""
        journal = self._journal()
        try:
            return sum(1 for _ in owed(journal, PROFILE, system.SystemClock().now()))
        finally:
            journal.close()

    def _journal(self) -> SqliteJournal:
        keystore = SoftwareKeyStore.open(self.folder / "keystore.json", self.folder / "wrapping.key")
        try:
            return SqliteJournal.open(
                self.folder / "journal.db",
                spec=UNIONPAY.spec,
                identity=IDENTITY,
                storage_key=keystore.storage_key(),
                entropy=system.entropy,
                read_only=True,
            )
        finally:
            keystore.close()


def differences(records: list[Record], ledger: Ledger) -> list[str]:
    """Compare, STAN by STAN, what the terminal believes was moved with what the host has booked."""
    believed: dict[tuple[str, str], int] = {}
    for record in records:
        sign = {Kind.SALE: 1, Kind.VOID: -1, Kind.REFUND: -1}.get(record.kind)
        if sign is not None and record.state is State.APPROVED and record.amount is not None:
            believed[record.batch, record.stan] = sign * record.amount.minor
    booked = {
        (batch, stan): ledger.effects_of(IDENTITY.terminal, batch, stan)
        for batch, stan in {(each.key.batch, each.key.stan) for each in ledger.transactions}
    }
    return [
        f"STAN {stan} of batch {batch}: the terminal believes {believed.get((batch, stan), 0)}, the host booked {moved}"
        for batch, stan in sorted(believed.keys() | booked.keys())
        if believed.get((batch, stan), 0) != (moved := booked.get((batch, stan), 0))
    ]
