"""The exit codes: what a script learns without reading a word. Every outcome and every error has exactly one."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from pos_engine.errors import (
    ConfigError,
    JournalFault,
    KeyFault,
    LinkError,
    NotSignedOn,
    PosError,
    ProtocolError,
    UsageError,
)

if TYPE_CHECKING:
    from pos_engine.flow.outcomes import Outcome


class Exit(enum.IntEnum):
    """What a command ends with."""

    DONE = 0
    """Done, or approved."""
    INTERNAL = 1
    USAGE = 2
    DECLINED = 3
    IN_DOUBT = 4
    """The outcome is unknown; a duty is in the journal."""
    NO_ANSWER = 5
    """No answer, and no money at stake."""
    NOT_READY = 6
    """Configuration, keys, sign-on, or a port that is taken."""
    PROTOCOL = 7
    """A message or a MAC that is wrong."""
    JOURNAL = 8
    NOTHING_FOUND = 9
    INTERRUPTED = 130


class NothingFoundError(PosError):
    """What was asked for is not there."""


_ERRORS: Final = (
    (UsageError, Exit.USAGE),
    (ConfigError, Exit.NOT_READY),
    (KeyFault, Exit.NOT_READY),
    (NotSignedOn, Exit.NOT_READY),
    (LinkError, Exit.NO_ANSWER),
    (ProtocolError, Exit.PROTOCOL),
    (JournalFault, Exit.JOURNAL),
    (NothingFoundError, Exit.NOTHING_FOUND),
)
_OUTCOMES: Final = {"Approved": Exit.DONE, "Declined": Exit.DECLINED, "InDoubt": Exit.IN_DOUBT}


def exit_for(error: BaseException) -> Exit:
    """Return the code of an error; what nobody foresaw is an internal one."""
    return next((code for kind, code in _ERRORS if isinstance(error, kind)), Exit.INTERNAL)


def exit_of(outcome: Outcome) -> Exit:
    """Return the code of an outcome."""
    # By name, so that a command that has no outcome does not load what makes them.
    return _OUTCOMES[type(outcome).__name__]
