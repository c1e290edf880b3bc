"""What the driver asks of the world, and what the world answers. Effects are data; only a performer does anything.

    Save(record)            -> Done           when the record is durable
    Send(message, ...)      -> Answered | Silent | NothingSent | Unreadable, or Sent where something lay in the road
    Listen(deadline)        -> Answered | Silent | Unreadable
    Ask(TakeCard(...))      -> Presented
    Ask(CheckKeys(...))     -> KeysChecked
    Ask(Authorise(...))     -> Authorised
    Ask(VerifyMac(...))     -> Verified
    Ask(EncipherTrack(...)) -> Enciphered
    Emit(record)            -> Done           when whoever waits for the outcome has it

An exception out of a performer ends the drive: what was saved stays owed, and the next drive takes it up.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.dialects.base import Kind, Packet
    from pos_engine.errors import Trouble
    from pos_engine.journal.record import Record
    from pos_engine.values import Amount, Card, EncipheredTrack, PinBlock, Track2
    from pos_engine.wire.message import Message


@dataclass(frozen=True, slots=True)
class Save:
    """Make a record durable; nothing after it may happen before it is."""

    record: Record


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request and wait for a frame until `deadline_s` (elapsed)."""

    message: Message
    deadline_s: float
    seal_key: WrappedKey | None
    """The key of the request's MAC; `None` for kinds without one."""
    mac_key: WrappedKey | None
    """The key in force, under which whatever arrives is verified."""
    road: str | None = None
    """The road that it should take if that can be had; else it takes the usual ones."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait on for another frame, because the last one was not the answer; keys as for `Send`."""

    deadline_s: float
    seal_key: WrappedKey | None
    mac_key: WrappedKey | None


@dataclass(frozen=True, slots=True)
class TakeCard:
    """Ask the reader for a card and the PIN pad for a PIN block under `pin_key`."""

    amount: Amount | None
    """What it is about; nothing for an inquiry."""
    pin_key: WrappedKey


@dataclass(frozen=True, slots=True)
class Authorise:
    """Ask a supervisor whether a void or a refund may be made."""

    kind: Kind
    amount: Amount | None
    stan: str


@dataclass(frozen=True, slots=True)
class CheckKeys:
    """Ask the keystore whether received working keys agree with their check values."""

    keys: tuple[WrappedKey, ...]


@dataclass(frozen=True, slots=True)
class VerifyMac:
    """Ask the keystore whether a message that came late has the MAC of an earlier key."""

    packet: Packet
    key: WrappedKey


@dataclass(frozen=True, slots=True)
class EncipherTrack:
    """Ask the keystore for a track under the track key; just before a request is made, with the key then in force."""

    track: Track2
    key: WrappedKey


Question = TakeCard | CheckKeys | Authorise | VerifyMac | EncipherTrack


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask something that is not the acquirer."""

    question: Question


@dataclass(frozen=True, slots=True)
class Emit:
    """Show the outcome of a record: it is durable by now."""

    record: Record


Effect = Save | Send | Listen | Ask | Emit


class MacState(enum.Enum):
    """What became of an answer's MAC."""

    VALID = "verified under the key in force"
    WRONG = "does not verify"
    ABSENT = "there is none"


@dataclass(frozen=True, slots=True)
class Done:
    """It was done."""

    now: Instant


@dataclass(frozen=True, slots=True)
class Way:
    """The road that a request took, and those that it did not take because they could not be had, and why."""

    road: str | None = None
    detours: tuple[str, ...] = ()
    is_first: bool = True
    """Whether it is the one that is tried first where nothing is known."""


NO_WAY: Final = Way()
"""Nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The request has left, and what has to be kept of it is told before its answer is waited for.

    That is what lay in the road before it, and a road that nobody would guess.
    """

    now: Instant
    set_aside: tuple[Answered | Unreadable, ...]
    way: Way = NO_WAY
    """Which road the request took."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A message arrived; whether it is the answer is not the performer's to say."""

    now: Instant
    message: Message
    mac: MacState
    processing_request: str | None = None
    """What the host asks for in the header."""
    packet: Packet | None = field(default=None, repr=False)
    """The message as it came, for who has to verify it again."""
    way: Way = NO_WAY
    """Which road the request took."""


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing usable arrived before the deadline, or the link was lost after bytes may have left."""

    now: Instant
    why: str
    set_aside: tuple[Answered | Unreadable, ...] = ()
    trouble: Trouble | None = None
    """How the link failed, where it says so."""
    way: Way = NO_WAY
    """Which road the request took."""


@dataclass(frozen=True, slots=True)
class NothingSent:
    """No byte left the terminal."""

    now: Instant
    why: str
    keys_failed: bool = False
    """Because a key in force does not open any more."""
    set_aside: tuple[Answered | Unreadable, ...] = ()
    trouble: Trouble | None = None
    """Why not, where that is known."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something arrived that is not a message of the dialect, or cannot be verified."""

    now: Instant
    why: str
    keys_failed: bool = False
    trouble: Trouble | None = None
    """What is wrong with it, where that is known."""
    way: Way = NO_WAY
    """Which road the request took."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A card was read, and perhaps a PIN entered."""

    now: Instant
    card: Card
    pin_block: PinBlock | None = field(default=None)


@dataclass(frozen=True, slots=True)
class KeysChecked:
    """The keystore's word on received keys; `why` names the usage that failed."""

    now: Instant
    good: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Authorised:
    """The supervisor's word."""

    now: Instant
    granted: bool


@dataclass(frozen=True, slots=True)
class Verified:
    """The keystore's word on a MAC."""

    now: Instant
    good: bool


@dataclass(frozen=True, slots=True)
class Enciphered:
    """The keystore's form of a track."""

    now: Instant
    track: EncipheredTrack


Happening = (
    Done
    | Sent
    | Answered
    | Silent
    | NothingSent
    | Unreadable
    | Presented
    | KeysChecked
    | Authorised
    | Verified
    | Enciphered
)
