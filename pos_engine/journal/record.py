"""One exchange as the journal keeps it: a frozen record, its states, and its form at rest.

A record is written whole every time it changes; nothing is ever edited or deleted. At rest its request is split by the
sensitivity of each element: open ones stay readable, card data goes to a part that is sealed under a key of its own,
and tracks, PIN blocks and keys of requests are left out altogether.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pos_engine.clock import Instant
from pos_engine.crypto.cipher import Algorithm
from pos_engine.crypto.keys import KeyUsage, WrappedKey
from pos_engine.dialects.base import Kind
from pos_engine.errors import JournalFault, Trouble
from pos_engine.values import Amount, Currency
from pos_engine.wire.field import Sensitivity
from pos_engine.wire.message import Message

if TYPE_CHECKING:
    from pos_engine.wire.spec import MessageSpec


class State(enum.Enum):
    """Where an exchange stands."""

    DRAFT = "built in memory; nothing is durable and nothing was sent"
    PENDING = "the intent is durable; the request may have left"
    CHECKING = "approved by the host; its working keys are being checked"
    APPROVED = "approved, or for a reversal: accepted"
    DECLINED = "declined"
    DOUBTFUL = "no answer that counts"
    UNSENT = "nothing left the terminal"


ACCEPTED: Final = "00"
"""The response code by which a host says that it did what a reversal or a management message asked."""
FINAL: Final = frozenset({State.APPROVED, State.DECLINED, State.UNSENT})
"""What was shown never changes."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A person's word on a duty that the terminal could not end: why, who, when, and whether money moved if known."""

    reason: str
    by: str
    at: Instant
    moved: bool | None = None


class StraySort(enum.Enum):
    """What a message was that came and was not the answer that was waited for; the value is the word for programs."""

    LATE = "late"
    """It answers a request of ours that is in doubt or being reversed: nobody waited for it any more."""
    DUPLICATE = "duplicate"
    """It answers a request whose outcome is known, and says the same once more."""
    FOREIGN = "foreign"
    """It answers no request of ours, or says something else than what was shown, or came before its request."""
    UNSOLICITED = "unsolicited"
    """It is no answer at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """A message that came and was not the answer that was waited for: evidence, which decides nothing."""

    sort: StraySort
    at: Instant
    """When it was read; it may have come before."""
    message: Message
    """The open elements by which answers are told apart; no others are ours to keep."""
    request: int | None = None
    """The number of the record that it answers, or of a foreign one: that it comes nearest to."""
    differs: tuple[str, ...] = ()
    """Of a foreign one: where it differs from being that one's answer (MTI, 11, 60.2), as far as that shows."""
    proven: bool | None = None
    """Whether its MAC is right; `None`: it has none."""
    before: bool = False
    """Whether it came before the request was sent with whose record it is kept."""
    times: int = 1
    """How often the same came again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One request and what became of it."""

    number: int
    """Order of the intents, from 1; never reused."""
    kind: Kind
    state: State
    stan: str
    batch: str
    request: Message
    opened: Instant
    changed: Instant
    amount: Amount | None = None
    card: str | None = None
    """The masked card number."""
    answer: Message | None = None
    """The answer that decided, its open elements only."""
    keys: tuple[WrappedKey, ...] = ()
    """Working keys of a sign-on, as received."""
    new_batch: str | None = None
    """The batch number a sign-on brought."""
    reason: str | None = None
    """Why the outcome is in doubt, as field 39 of a reversal says it."""
    original: int | None = None
    """The number of the record this one acts on."""
    attempts: int = 0
    """How often the request was sent or tried."""
    unsent: int = 0
    """How many of these attempts never left the terminal."""
    signed_on_by: int | None = None
    """The number of the sign-on that was in force when the request was last sent."""
    demands_sign_on: bool = False
    """Whether the answer asked for a new sign-on."""
    key: str | None = None
    """The caller's idempotency key."""
    approval_proven: bool = False
    """Of a reversal: the host has proven that it approved the original, so 12 and 25 do not end it."""
    notes: tuple[str, ...] = field(default=())
    late: Message | None = None
    """A proven approval that came when it was not waited for, its open elements only: of this request, or, where this
    is a reversal, of what it takes back."""
    resolution: Resolution | None = None
    trouble: Trouble | None = None
    """What went wrong with the last attempt, as the terminal itself saw it."""
    wanted: str | None = None
    """The processing request that its answer carried: what the host wants done besides."""
    page: int | None = None
    """Of a download: which page it fetches, from 0. Page 0 begins it, and `original` of every other names that one."""
    brought: str | None = None
    """Of a download's page: what it brought, in hex; public keys and parameters are no secrets."""
    road: str | None = None
    """The road to the host that the request took last, by name; nothing where it is not known."""
    asked_by: int | None = None
    """Of a download's page 0: the number of the record whose answer asked for it; a person did where there is none."""
    strays: tuple[Stray, ...] = ()
    """What came during the last attempt, or lay there before it, and was not its answer; at most so many as a limit
    allows."""
    unkept: int = 0
    """How many more such messages came."""
    unread: int = 0
    """How many frames lay there that are no messages."""

    @property
    def ends(self) -> int | None:
        """The number of the record whose doubt this one has ended: that of an accepted reversal's original.

        A host that ended it by not knowing the original, and approved the original late, has ended nothing.
        """
        crossed = self.late is not None and self.code != ACCEPTED
        accepted = self.kind is Kind.REVERSAL and self.state is State.APPROVED and not crossed
        return self.original if accepted else None

    @property
    def sent(self) -> int:
        """How many attempts there were of which something may have left the terminal."""
        return self.attempts - self.unsent

    @property
    def day(self) -> str:
        """The day it was begun, by the terminal's wall clock: ISO 8601."""
        return self.opened.wall.date().isoformat()

    @property
    def code(self) -> str | None:
        """The response code that decided, if one did."""
        return self.answer.get(39) if self.answer is not None else None


_JSON: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True)
OPEN_LEVELS: Final = frozenset({Sensitivity.OPEN})
CARD_LEVELS: Final = frozenset({Sensitivity.PAN, Sensitivity.CARD})


def open_part(message: Message, spec: MessageSpec) -> Message:
    """Return a message's open elements: all that may be kept or shown without a seal."""
    return message.only(_of_levels(spec, OPEN_LEVELS))


def card_part(message: Message, spec: MessageSpec) -> dict[int, str]:
    """Return a message's card data that an owed message may need again; it is kept only under a seal."""
    return dict(message.only(_of_levels(spec, CARD_LEVELS)).items())


@cache
def _of_levels(spec: MessageSpec, levels: frozenset[Sensitivity]) -> frozenset[int]:
    """List the elements of some levels. What the spec does not know may be anything: it is neither kept nor shown."""
    return frozenset(number for number, listed in spec.fields.items() if listed.sensitivity in levels)


@dataclass(frozen=True, slots=True)
class AtRest:
    """A record as a store keeps it: readable text, and card data in clear that the store must seal."""

    body: str
    card_data: bytes = field(repr=False)


def freeze(record: Record, spec: MessageSpec) -> AtRest:
    """Turn a record into its form at rest; secrets do not enter it."""
    body = {
        "number": record.number,
        "kind": record.kind.value,
        "state": record.state.name,
        "stan": record.stan,
        "batch": record.batch,
        "request": _message_out(open_part(record.request, spec)),
        "opened": _instant_out(record.opened),
        "changed": _instant_out(record.changed),
        "amount": None if record.amount is None else _amount_out(record.amount),
        "card": record.card,
        "answer": None if record.answer is None else _message_out(open_part(record.answer, spec)),
        "keys": [_key_out(key) for key in record.keys],
        "new_batch": record.new_batch,
        "reason": record.reason,
        "original": record.original,
        "attempts": record.attempts,
        "unsent": record.unsent,
        "signed_on_by": record.signed_on_by,
        "demands_sign_on": record.demands_sign_on,
        "key": record.key,
        "approval_proven": record.approval_proven,
        "notes": list(record.notes),
        "late": None if record.late is None else _message_out(open_part(record.late, spec)),
        "resolution": None if record.resolution is None else _resolution_out(record.resolution),
        "trouble": None if record.trouble is None else record.trouble.name,
        "wanted": record.wanted,
        "page": record.page,
        "brought": record.brought,
        "asked_by": record.asked_by,
        "road": record.road,
        "strays": [_stray_out(stray, spec) for stray in record.strays],
        "unkept": record.unkept,
        "unread": record.unread,
    }
    sealed = {str(number): value for number, value in card_part(record.request, spec).items()}
    return AtRest(_text(body), _text(sealed).encode() if sealed else b"")


def thaw(body: str, card_data: bytes = b"") -> Record:
    """Turn a record's form at rest back; raises `JournalFault`, and nothing else, when it is not one."""
    try:
        record = _record_in(json.loads(body))
        if not card_data:
            return record
        card = {int(number): str(value) for number, value in json.loads(card_data).items()}
        return replace(record, request=record.request.replace(card))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        pass
    reason = "a journal record does not read as one"
    raise JournalFault(reason)


def _text(value: dict[str, Any]) -> str:
    """Write JSON in one form only; it is ASCII, so that no text, however broken, fails to encode."""
    return _JSON.encode(value)


def _record_in(body: dict[str, Any]) -> Record:
    amount, answer, late, resolution = body["amount"], body["answer"], body["late"], body["resolution"]
    trouble = body["trouble"]
    return Record(
        number=int(body["number"]),
        kind=Kind(body["kind"]),
        state=State[body["state"]],
        stan=str(body["stan"]),
        batch=str(body["batch"]),
        request=_message_in(body["request"]),
        opened=_instant_in(body["opened"]),
        changed=_instant_in(body["changed"]),
        amount=None if amount is None else _amount_in(amount),
        card=body["card"],
        answer=None if answer is None else _message_in(answer),
        keys=tuple(_key_in(*key) for key in body["keys"]),
        new_batch=body["new_batch"],
        reason=body["reason"],
        original=body["original"],
        attempts=int(body["attempts"]),
        unsent=int(body["unsent"]),
        signed_on_by=body["signed_on_by"],
        demands_sign_on=bool(body["demands_sign_on"]),
        key=body["key"],
        approval_proven=bool(body["approval_proven"]),
        notes=tuple(body["notes"]),
        late=None if late is None else _message_in(late),
        resolution=None if resolution is None else _resolution_in(*resolution),
        trouble=None if trouble is None else Trouble[trouble],
        wanted=body["wanted"],
        page=body["page"],
        brought=body["brought"],
        asked_by=body["asked_by"],
        road=body["road"],
        strays=tuple(_stray_in(stray) for stray in body["strays"]),
        unkept=int(body["unkept"]),
        unread=int(body["unread"]),
    )


def _key_out(key: WrappedKey) -> list[str]:
    return [key.usage.name, key.cryptogram.hex(), key.check_value.hex(), key.algorithm.value]


def _key_in(usage: str, cryptogram: str, check_value: str, algorithm: str) -> WrappedKey:
    return WrappedKey(KeyUsage[usage], bytes.fromhex(cryptogram), bytes.fromhex(check_value), Algorithm(algorithm))


def _resolution_out(resolution: Resolution) -> list[Any]:
    return [resolution.reason, resolution.by, _instant_out(resolution.at), resolution.moved]


def _resolution_in(reason: str, by: str, at: list[Any], moved: object) -> Resolution:
    return Resolution(str(reason), str(by), _instant_in(at), None if moved is None else bool(moved))


def _stray_out(stray: Stray, spec: MessageSpec) -> dict[str, Any]:
    return {
        "sort": stray.sort.value,
        "at": _instant_out(stray.at),
        "message": _message_out(open_part(stray.message, spec)),
        "request": stray.request,
        "differs": list(stray.differs),
        "proven": stray.proven,
        "before": stray.before,
        "times": stray.times,
    }


def _stray_in(value: dict[str, Any]) -> Stray:
    return Stray(
        sort=StraySort(value["sort"]),
        at=_instant_in(value["at"]),
        message=_message_in(value["message"]),
        request=value["request"],
        differs=tuple(value["differs"]),
        proven=value["proven"],
        before=bool(value["before"]),
        times=int(value["times"]),
    )


def _message_out(message: Message) -> list[Any]:
    return [message.mti, {str(number): value for number, value in message.items()}]


def _message_in(value: list[Any]) -> Message:
    return Message(str(value[0]), {int(number): str(text) for number, text in value[1].items()})


def _amount_out(amount: Amount) -> list[Any]:
    # The whole currency: a list of known ones may lose an entry, an amount may not.
    return [amount.minor, amount.currency.numeric, amount.currency.alpha, amount.currency.exponent]


def _amount_in(value: list[Any]) -> Amount:
    minor, numeric, alpha, exponent = value
    return Amount(int(minor), Currency(str(numeric), str(alpha), int(exponent)))


def _instant_out(instant: Instant) -> list[Any]:
    return [instant.elapsed_s, instant.boot, instant.wall.isoformat()]


def _instant_in(value: list[Any]) -> Instant:
    return Instant(float(value[0]), str(value[1]), datetime.fromisoformat(value[2]))
