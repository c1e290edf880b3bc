"""From a configuration to a terminal's parts: the only place that knows keystore, journal, link and devices alike."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pos_engine import limits
from pos_engine.config.address import parse_address
from pos_engine.crypto.pinblock import FORMATS
from pos_engine.dialects.registry import dialect_of
from pos_engine.errors import ConfigError, PosError, UsageError
from pos_engine.flow.profile import Profile, SaleLimits
from pos_engine.framing.tpdu import Tpdu
from pos_engine.journal.restore import restore
from pos_engine.journal.store import SqliteJournal
from pos_engine.keystore.software import SoftwareKeyStore
from pos_engine.keystore.wrapping import wrapping_key
from pos_engine.performer import Performer
from pos_engine.roads import Builder
from pos_engine.routes import Route, Routes
from pos_engine.session.contingency import Act, Contingency
from pos_engine.session.policy import BusyHours, Policy
from pos_engine.system import SystemClock, entropy
from pos_engine.trace import NoTrace
from pos_engine.values import Amount, Identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pos_engine.clock import Clock
    from pos_engine.config import Config
    from pos_engine.dialects.base import Dialect
    from pos_engine.journal.restore import Restored
    from pos_engine.journal.view import Journal
    from pos_engine.keystore.base import KeyStore
    from pos_engine.peripherals.base import CardReader, PinPad, Supervisor
    from pos_engine.trace import Trace
    from pos_engine.transport.base import Stream
    from pos_engine.transport.certificates import TlsFiles
    from simulators.cards import SimulatedCard


def assemble(
    config: Config,
    *,
    reader: CardReader | None = None,
    pin_pad: PinPad | None = None,
    supervisor: Supervisor | None = None,
    trace: Trace | None = None,
    clock: Clock | None = None,
    keystore: KeyStore | None = None,
    journal: Journal | None = None,
    stream: Callable[[], Stream] | None = None,
    read_only: bool = False,
) -> tuple[Profile, Performer]:
    """Open everything a terminal needs, except what is given: that is used instead, and closed with the terminal.

    `stream` makes a new connection each time it is called. Raises `ConfigError`, `KeyFault`, `JournalFault`; then
    nothing stays open.
    """
    dialect = dialect_of(config.dialect, config.key_scheme)
    profile = _profile(config, dialect)
    clock = clock or SystemClock()
    keystore = keystore or _keystore(config)
    try:
        _check_algorithm(config, keystore)
        # The journal comes last: it holds a lock, which nothing that fails later may leave behind.
        routes, tpdu = _routes(config, clock, stream), _tpdu(config, dialect)
        reader, pin_pad = reader or _reader(config), pin_pad or _pin_pad(config, keystore)
        journal = journal or _journal(config, keystore, read_only=read_only)
    except PosError:
        keystore.close()
        raise
    performer = Performer(
        dialect=dialect,
        journal=journal,
        routes=routes,
        keystore=keystore,
        reader=reader,
        pin_pad=pin_pad,
        supervisor=supervisor,
        clock=clock,
        tpdu=tpdu,
        header=config.header or dialect.header_default or None,
        trace=trace or NoTrace(),
    )
    return profile, performer


def read_journal(config: Config, keystore: KeyStore | None = None) -> SqliteJournal:
    """Open and verify a terminal's journal for reading, beside whatever else uses it.

    A keystore that is given stays open. Raises `ConfigError`, `KeyFault`, `JournalFault`.
    """
    opened = keystore or _keystore(config)
    try:
        return _journal(config, opened, read_only=True)
    finally:
        if keystore is None:
            opened.close()


def restore_journal(config: Config, backup: Path | None, *, after_stan: str | None) -> Restored:
    """Put a backup in the place of a terminal's journal, as `pos_engine.journal.restore` does.

    Without a backup the journal is restored from itself. Raises `ConfigError`, `KeyFault`, `JournalFault`,
    `UsageError`.
    """
    keystore = _keystore(config)
    try:
        return restore(
            backup,
            config.journal,
            spec=dialect_of(config.dialect, config.key_scheme).spec,
            identity=Identity(config.terminal_id, config.merchant_id),
            storage_key=keystore.storage_key(),
            entropy=entropy,
            now=SystemClock().now(),
            mark_path=config.mark,
            after_stan=after_stan,
        )
    finally:
        keystore.close()


def rehearse(config: Config) -> tuple[tuple[str, str], ...]:
    """Open and close what a configuration names, journal and link excepted; raises `ConfigError` or `KeyFault`.

    Returns the keys that the keystore holds, each as a name and its check value.
    """
    keystore = _keystore(config)
    try:
        _check_algorithm(config, keystore)
        _reader(config)
        _pin_pad(config, keystore)
        if any(each.is_protected for each in config.addresses):
            tls_files(config).check()
        return keystore.describe()
    finally:
        keystore.close()


def _keystore(config: Config) -> SoftwareKeyStore:
    return SoftwareKeyStore.open(config.keystore, wrapping_key(config.wrapping_key))


def _check_algorithm(config: Config, keystore: KeyStore) -> None:
    """Refuse a master key for another cipher than the acquirer's key scheme has."""
    scheme = dialect_of(config.dialect, config.key_scheme).scheme
    if scheme is not None and keystore.algorithm is not scheme.algorithm:
        place = config.origins.get("acquirer.key_scheme", "configuration")
        reason = (
            f"{place}: acquirer.key_scheme: {scheme.name} takes a master key for {scheme.algorithm.value}, "
            f"and the keystore's is for {keystore.algorithm.value}"
        )
        raise ConfigError(reason)


def _journal(config: Config, keystore: KeyStore, *, read_only: bool) -> SqliteJournal:
    return SqliteJournal.open(
        config.journal,
        spec=dialect_of(config.dialect, config.key_scheme).spec,
        identity=Identity(config.terminal_id, config.merchant_id),
        storage_key=keystore.storage_key(),
        entropy=entropy,
        read_only=read_only,
        mark_path=config.mark,
    )


def _profile(config: Config, dialect: Dialect) -> Profile:
    """Take from a configuration what decisions depend on."""
    most = config.sign_on_exchanges_max
    return Profile(
        dialect=dialect,
        identity=Identity(config.terminal_id, config.merchant_id),
        answer_timeout_s=config.answer_timeout_s,
        session=Policy(
            age_max_s=config.sign_on_age_max_s,
            lead_s=config.sign_on_lead_s,
            follows_host_day=config.sign_on_host_day,
            exchanges_max=None if most is None else int(most),
            busy=_busy(config.busy_hours),
        ),
        operator=config.operator,
        limits=SaleLimits(
            transaction=_minor(config.transaction_max),
            day=_minor(config.day_max),
            card_day=_minor(config.card_day_max),
        ),
        accepts_unsigned_declines=config.unsigned_decline == "accept",
        accepts_unsigned_reversals=config.unsigned_reversal == "accept",
        repeats_refused=config.repeat_refused == "automatic",
        contingency=_contingency(config),
    )


def _busy(text: str | None) -> tuple[BusyHours, ...]:
    parts = (BusyHours.parse(part) for part in (text or "").split(","))
    return tuple(part for part in parts if part is not None)


def _contingency(config: Config) -> Contingency:
    found = Contingency.parse(config.contingency or Act.REFUSE.value)
    where = config.origins.get("session.contingency", "configuration")
    if found is None:
        most = f"{limits.CONTINGENCY_STEPS_MAX} steps, each of 1 to {limits.CONTINGENCY_STEP_MAX_S:g} seconds"
        reason = f"{where}: session.contingency: at most {most}"
        raise ConfigError(reason)
    for step in found.steps:
        fault = _fault_of(step.address) if step.act is Act.ROUTE else None
        if fault is not None:
            reason = f"{where}: session.contingency: route: {fault}"
            raise ConfigError(reason)
    return found


def _fault_of(address: str) -> str | None:
    try:
        parse_address(address)
    except UsageError as error:
        return str(error)
    return None


def _minor(amount: str | None) -> int | None:
    return Amount.parse(amount).minor if amount is not None else None


def _routes(config: Config, clock: Clock, stream: Callable[[], Stream] | None) -> Routes:
    """Build the roads to the host; `stream` is instead of what leads to the first one, and then there is no other."""

    def monotonic() -> float:
        return clock.now().elapsed_s

    builder = Builder(
        framing=config.framing,
        connect_timeout_s=config.connect_timeout_s,
        files=cache(lambda: tls_files(config)),
        monotonic=monotonic,
    )
    addresses = config.addresses
    if stream is not None:
        roads = [builder.road(addresses[0], stream)]
    else:
        roads = [builder.road(address) for address in addresses]

    def other(text: str) -> Route:
        address = parse_address(text)
        if config.production and not address.is_protected:
            reason = "in production every road has verified TLS: tls:// or https://"
            raise UsageError(reason)
        return builder.road(address)

    return Routes(roads, monotonic=monotonic, make=other, endings=builder.endings)


def tls_files(config: Config) -> TlsFiles:
    """Name the files that a protected road needs."""
    from pos_engine.transport.certificates import TlsFiles  # noqa: PLC0415 - only where TLS is spoken

    return TlsFiles(ca=config.ca, certificate=config.certificate)


def _tpdu(config: Config, dialect: Dialect) -> Tpdu | None:
    digits = config.tpdu or dialect.tpdu_default
    return Tpdu.parse(digits) if digits else None


def _reader(config: Config) -> CardReader:
    if config.reader == "console":
        from pos_engine.peripherals.console import ConsoleCardReader  # noqa: PLC0415 - only where a keyboard is

        return ConsoleCardReader()
    from pos_engine.peripherals.held import HeldCard  # noqa: PLC0415 - only where nobody holds a card

    return HeldCard(_simulated_card(config).card)


def _pin_pad(config: Config, keystore: KeyStore) -> PinPad:
    scheme = dialect_of(config.dialect, config.key_scheme).scheme
    form = FORMATS[scheme.pin_format if scheme is not None else "iso-0"]
    if config.pin_pad == "console":
        from pos_engine.peripherals.console import ConsolePinPad  # noqa: PLC0415 - only where a keyboard is

        return ConsolePinPad(keystore, form)
    from pos_engine.peripherals.simulated import SimulatedPinPad  # noqa: PLC0415 - only where nobody enters a PIN

    return SimulatedPinPad(keystore, _simulated_card(config).pin if config.pin_pad == "simulated" else None, form)


def _simulated_card(config: Config) -> SimulatedCard:
    """Find the test card the configuration names; the number itself never stands in a configuration."""
    from simulators.cards import CARDS  # noqa: PLC0415 - only a simulated terminal needs the simulator's cards

    card = CARDS.get(config.card or "")
    if card is None:
        reason = (
            f"{config.origins.get('peripherals.card', 'configuration')}: peripherals.card: one of {', '.join(CARDS)}"
        )
        raise ConfigError(reason)
    return card
