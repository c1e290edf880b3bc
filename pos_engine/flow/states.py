"""Everything that moves an exchange is in this file: the cues, and the table of (state, cue) for every kind.

A pair that is not in the table is an error in the driver. The table does not know kinds: what silence *owes* is a
column of the dialect's table of kinds, and `plan` reads it there.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from pos_engine.errors import Trouble
from pos_engine.journal.record import State

if TYPE_CHECKING:
    from collections.abc import Mapping


class Cue(enum.Enum):
    """What happened, as the machine sees it."""

    START = "the exchange begins"
    REPEAT = "the same request is due again"
    NOT_SENT = "the link could not be had; nothing left"
    APPROVAL = "an approval that counts"
    KEYS_OFFERED = "an approval that brings working keys"
    KEYS_GOOD = "the working keys agree with their check values"
    KEYS_BAD = "a working key does not agree with its check value"
    DECLINE = "a decline that counts"
    DEMAND = "a decline that counts and demands a new sign-on"
    NOT_ACCEPTED = "an answer that does not end what is owed"
    NOT_SENT_AGAIN = "the link could not be had for what is repeated; nothing left, and it is owed as before"
    NOT_ACCEPTED_DEMAND = "an answer that ends nothing and demands a new sign-on"
    UNPROVEN = "an approval whose MAC is missing or wrong"
    UNWANTED = "an approval that was not asked for in this form"
    UNSIGNED = "a decline without a MAC, where the profile wants one"
    STRANGER = "a message that answers another request"
    UNREADABLE = "bytes that are no message"
    SILENCE = "no answer in time, or the link was lost"
    RESTART = "the terminal starts and finds the exchange unfinished"


class Action(enum.Enum):
    """What a transition does; `flow.step` has one pure function for each."""

    BEGIN = "save the intent, then send"
    REPEAT = "count the attempt, save, then send again"
    CONCLUDE = "save the outcome, then show it"
    CHECK_KEYS = "ask the keystore"
    LISTEN = "note the message and wait on"
    DOUBT = "save that the outcome is in doubt, then say so"


TRANSITIONS: Final[Mapping[tuple[State, Cue], tuple[State, Action]]] = {
    (State.DRAFT, Cue.START): (State.PENDING, Action.BEGIN),
    (State.PENDING, Cue.NOT_SENT): (State.UNSENT, Action.CONCLUDE),
    (State.PENDING, Cue.APPROVAL): (State.APPROVED, Action.CONCLUDE),
    (State.PENDING, Cue.KEYS_OFFERED): (State.CHECKING, Action.CHECK_KEYS),
    (State.CHECKING, Cue.KEYS_GOOD): (State.APPROVED, Action.CONCLUDE),
    (State.CHECKING, Cue.KEYS_BAD): (State.DECLINED, Action.CONCLUDE),
    (State.PENDING, Cue.DECLINE): (State.DECLINED, Action.CONCLUDE),
    (State.PENDING, Cue.DEMAND): (State.DECLINED, Action.CONCLUDE),
    (State.PENDING, Cue.STRANGER): (State.PENDING, Action.LISTEN),
    (State.PENDING, Cue.NOT_ACCEPTED): (State.DOUBTFUL, Action.DOUBT),
    (State.PENDING, Cue.NOT_SENT_AGAIN): (State.DOUBTFUL, Action.DOUBT),
    (State.PENDING, Cue.NOT_ACCEPTED_DEMAND): (State.DOUBTFUL, Action.DOUBT),
    (State.PENDING, Cue.UNPROVEN): (State.DOUBTFUL, Action.DOUBT),
    (State.PENDING, Cue.UNWANTED): (State.DOUBTFUL, Action.DOUBT),
    (State.PENDING, Cue.UNSIGNED): (State.DOUBTFUL, Action.DOUBT),
    (State.PENDING, Cue.UNREADABLE): (State.DOUBTFUL, Action.DOUBT),
    (State.PENDING, Cue.SILENCE): (State.DOUBTFUL, Action.DOUBT),
    (State.PENDING, Cue.RESTART): (State.DOUBTFUL, Action.DOUBT),
    (State.DOUBTFUL, Cue.REPEAT): (State.PENDING, Action.REPEAT),
}

REVERSAL_REASONS: Final[Mapping[Cue, str]] = {
    Cue.SILENCE: "98",
    Cue.RESTART: "98",
    Cue.UNSIGNED: "98",
    Cue.NOT_ACCEPTED_DEMAND: "98",
    Cue.UNPROVEN: "A0",
    Cue.UNWANTED: "06",
    Cue.UNREADABLE: "06",
}
"""Field 39 of the reversal that a doubt of each sort leads to."""

TROUBLES: Final[Mapping[Cue, Trouble]] = {
    Cue.NOT_SENT: Trouble.NO_CONNECTION,
    Cue.NOT_SENT_AGAIN: Trouble.NO_CONNECTION,
    Cue.KEYS_BAD: Trouble.CHECK_VALUE,
    Cue.UNPROVEN: Trouble.BAD_MAC,
    Cue.UNSIGNED: Trouble.BAD_MAC,
    Cue.UNWANTED: Trouble.INCOMPLETE,
    Cue.STRANGER: Trouble.FOREIGN,
    Cue.UNREADABLE: Trouble.BAD_MESSAGE,
    Cue.SILENCE: Trouble.TIMEOUT,
    Cue.RESTART: Trouble.INTERRUPTED,
}
"""What went wrong, as far as the cue alone tells; any other cue says that nothing did, or that the host's code says."""

DEMANDS: Final = frozenset({Cue.DEMAND, Cue.NOT_ACCEPTED_DEMAND})
"""Cues after which the session counts as expired."""
