"""Everything that can go wrong, as one tree.

The class says who is at fault and whether it is safe to start again; the text is always safe to log, because it holds
field numbers, offsets and names, never a value. A decline is not here: it is an outcome, not an error.

    PosError
    ├── UsageError(ValueError)         the caller asked for something that cannot be
    ├── ConfigError                    a file, a key in it, and why
    ├── ProtocolError
    │   ├── LocalProtocolError         we built what the spec forbids
    │   └── RemoteProtocolError        they sent it: FrameError, DecodeError, MacError, MismatchError
    ├── LinkError(OSError)
    │   ├── NotSent                    nothing left the terminal: safe to start again
    │   └── NoAnswer                   it may have left; for money kinds the journal already holds the duty
    ├── NotSignedOn                    the acquirer refused the sign-on, or keeps demanding another
    ├── KeyFault                       missing, wrong check value, expired, wrong usage
    └── JournalFault                   disk full, locked, corrupt: new transactions are refused
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class PosError(Exception):
    """Root of every error this package raises on purpose; its text is always safe to log."""


class UsageError(PosError, ValueError):
    """The caller asked for something that cannot be done: an amount of zero, an unknown original."""


class ConfigError(PosError):
    """A configuration that cannot be used; the text names the file, the key and the reason."""


class ProtocolError(PosError):
    """A message that breaks its spec.

    `field` is the data element's number (0 the MTI, 1 the bitmap, `None` outside any), `offset` counts bytes from the
    first byte of the MTI or, for frames, of the frame; `reason` says what is wrong without quoting the value.
    """

    def __init__(self, reason: str, *, field: int | None = None, offset: int | None = None) -> None:
        """Keep the parts, and compose the one-line text from them."""
        self.reason = reason
        self.field = field
        self.offset = offset
        super().__init__(_where(reason, field, offset))


def _where(reason: str, field: int | None, offset: int | None) -> str:
    names = {None: "", 0: "MTI: ", 1: "bitmap: "}
    place = names.get(field, f"field {field}: ")
    return f"{place}{reason}" + ("" if offset is None else f" (offset {offset})")


class LocalProtocolError(ProtocolError):
    """We were about to send what the spec forbids."""


class RemoteProtocolError(ProtocolError):
    """The other side sent something that is not the protocol."""


class FrameError(RemoteProtocolError):
    """The bytes of the link do not form a frame: a length, TPDU or header that cannot be.

    `trouble` is said where it is another one than that: a line whose frames nobody acknowledges.
    """

    def __init__(
        self, reason: str, *, field: int | None = None, offset: int | None = None, trouble: Trouble | None = None
    ) -> None:
        """Keep the trouble beside the parts of every such error."""
        super().__init__(reason, field=field, offset=offset)
        self.trouble = trouble


class DecodeError(RemoteProtocolError):
    """A message that does not decode; `decoded` keeps the fields that were read before the fault."""

    def __init__(
        self,
        reason: str,
        *,
        field: int | None = None,
        offset: int | None = None,
        mti: str | None = None,
        decoded: Mapping[int, str] | None = None,
    ) -> None:
        """Keep what could be read; none of it enters the text."""
        super().__init__(reason, field=field, offset=offset)
        self.mti = mti
        self.decoded: Mapping[int, str] = dict(decoded or {})


class MacError(RemoteProtocolError):
    """A message authentication code that is missing, malformed or wrong."""


class MismatchError(RemoteProtocolError):
    """A well-formed answer that does not belong to the request."""


class Trouble(enum.Enum):
    """What went wrong with an exchange, as the terminal itself saw it: kept by name, never read off a text."""

    NO_ROUTE = "there is no way to the host's network"
    REFUSED = "nobody listens at the host's address"
    NO_CONNECTION = "the connection did not come about in time"
    NAME = "the host's name was not found"
    TLS = "the protected connection was not agreed on"
    CLOCK = "a certificate is not valid on the terminal's date"
    LOCAL = "this machine does not allow the connection"
    TIMEOUT = "the host said nothing in time"
    CLOSED = "the host closed the connection"
    RESET = "the connection was broken off"
    NO_DEVICE = "the serial line's device is not there"
    NOT_ACKNOWLEDGED = "nobody acknowledged what was sent on the line"
    BAD_FRAME = "the bytes form no frame"
    TPDU = "the frame does not begin with the addresses and the header it should"
    BAD_MESSAGE = "the frame holds no message of the dialect"
    INCOMPLETE = "the answer lacks what it must have, or was not asked for in this form"
    FOREIGN = "only answers to other requests came"
    BAD_MAC = "the answer's MAC is missing or wrong"
    KEY = "a working key does not open under the master key"
    CHECK_VALUE = "a received key does not agree with its check value"
    PUBLIC_KEY = "a certification authority's key does not agree with its check value"
    UNBUILDABLE = "the terminal could not build the message"
    INTERRUPTED = "the terminal went down in the middle"


class LinkError(PosError, OSError):
    """The link to the acquirer failed; `trouble` says how, where that is known."""

    def __init__(self, reason: str = "", *, trouble: Trouble | None = None) -> None:
        """Keep the reason as the text, and the trouble for whoever has to tell what to do."""
        super().__init__(reason)
        self.trouble = trouble


class NotSent(LinkError):  # noqa: N818 - the name states the fact that matters to the caller
    """Nothing left the terminal: it is safe to start again."""


class NoAnswer(LinkError):  # noqa: N818 - the name states the fact that matters to the caller
    """The request may have left and no usable answer came; for money kinds the journal holds the duty."""


class NotSignedOn(PosError):  # noqa: N818 - the name states the fact that matters to the caller
    """The acquirer refused the sign-on, or keeps demanding another one: nothing was sent for the request itself."""


class KeyFault(PosError):  # noqa: N818 - a fault of the device, not a Python mistake
    """A key that is missing, fails its check value, has expired, or is used for the wrong purpose."""


class JournalFault(PosError):  # noqa: N818 - a fault of the device, not a Python mistake
    """The journal cannot be trusted or written: new transactions are refused until it can."""
