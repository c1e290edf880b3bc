"""TLS over any other stream: OpenSSL enciphers in memory, and every wait and every byte stays the inner stream's.

So the knowledge that money hangs on stays exact: a handshake that fails, however late, has sent nothing (`NotSent`),
and a request has left as soon as the inner stream took one byte of its record. A connection that ends without TLS's own
end was cut off: `NoAnswer`, never an end.

A host of TLS 1.3 that refuses our certificate says so only after the handshake looks complete from here; a request
sent at once would be in doubt. So `connect` waits for such a host's first word, which is a refusal or the tickets that
nearly all of them give out: for twice the time that the handshake took, within `limits.TLS_FIRST_WORD_S`. One that
gives no tickets costs that wait once for each connection, and what it refuses still later is in doubt, as it has to be.
"""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.errors import ConfigError, LinkError, NoAnswer, NotSent, Trouble
from pos_engine.transport.base import Silence
from pos_engine.transport.certificates import WARNED_BEFORE, Expiry, TlsFiles
from pos_engine.transport.tcp import NOT_CONNECTED, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.transport.base import Stream

__all__ = ("WARNED_BEFORE", "Expiry", "TlsFiles", "TlsStream")

RECORD_BYTES_MAX: Final = 16_384
"""What one record of TLS holds in clear (RFC 8446, 5.1); more is sent as several."""

RECORD_READS_MAX: Final = 5
"""Reads of the inner stream that hold the largest record; a look without waiting takes no more."""

FIRST_WORD_FACTOR: Final = 2.0
"""A refusal takes one way there and one back, which the handshake took too, and the time to verify a certificate."""

HEAD_BYTES: Final = 5
"""Type, version and length before each record (RFC 8446, 5.1)."""
ENCIPHERED: Final = 23
"""The type that all records have once they are enciphered."""

VERIFICATION: Final = {
    2: Fault("the host's certificate was not issued by anybody who is trusted here", Trouble.TLS),
    9: Fault("the host's certificate is not valid yet, or this machine's date is wrong", Trouble.CLOCK),
    10: Fault("the host's certificate has expired, or this machine's date is wrong", Trouble.CLOCK),
    18: Fault("the host issued its certificate to itself, and it is not trusted here", Trouble.TLS),
    19: Fault("the host's certificate was not issued by anybody who is trusted here", Trouble.TLS),
    20: Fault("the host's certificate was not issued by anybody who is trusted here", Trouble.TLS),
    21: Fault("the host's certificate was not issued by anybody who is trusted here", Trouble.TLS),
    62: Fault("the host's certificate is made out to another name", Trouble.TLS),
    64: Fault("the host's certificate is made out to another address", Trouble.TLS),
    66: Fault("the host's certificate has a key that is too weak", Trouble.TLS),
    67: Fault("a key in the chain of the host's certificate is too weak", Trouble.TLS),
    68: Fault("a digest in the chain of the host's certificate is too weak", Trouble.TLS),
}
"""What OpenSSL's verification says of a chain, by its numbers (X509_V_ERR_...)."""

_NO_TLS: Final = Fault("what answers there does not speak TLS", Trouble.TLS)
_TOO_OLD: Final = Fault("the host offers no version of TLS from 1.2 on", Trouble.TLS)
_REFUSED: Final = Fault("the host does not accept our client certificate", Trouble.TLS)
REASONS: Final = {
    "HTTP_REQUEST": _NO_TLS,
    "PACKET_LENGTH_TOO_LONG": _NO_TLS,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "TLSV1_ALERT_PROTOCOL_VERSION": _TOO_OLD,
    "UNSUPPORTED_PROTOCOL": _TOO_OLD,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": Fault(
        "the host agrees to none of our ciphers, or wants a client certificate", Trouble.TLS
    ),
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": Fault("the host wants a client certificate", Trouble.TLS),
    "TLSV1_ALERT_UNKNOWN_CA": Fault("the host does not trust who issued our client certificate", Trouble.TLS),
    "SSLV3_ALERT_BAD_CERTIFICATE": _REFUSED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _REFUSED,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _REFUSED,
    "TLSV1_ALERT_ACCESS_DENIED": _REFUSED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": Fault("the host says that our client certificate has expired", Trouble.TLS),
    "SSLV3_ALERT_CERTIFICATE_REVOKED": Fault("the host says that our client certificate was revoked", Trouble.TLS),
    "TLSV1_UNRECOGNIZED_NAME": Fault("the host does not know the name it is called by", Trouble.TLS),
}
"""What an installer meets, in plain words, by OpenSSL's names; anything else is said in OpenSSL's words."""

_FAILED_BEFORE: Final = Fault("the connection has failed before", Trouble.CLOSED)
_CUT_OFF: Final = Fault("cut off: closed by the other side without TLS's own end", Trouble.CLOSED)
_CLOSED: Final = Fault("closed by the other side", Trouble.CLOSED)


@dataclass(slots=True)
class _Records:
    """How far the bytes that came are whole records."""

    head: bytes = b""
    left: int = 0
    enciphered: int = 0
    """Records of which all has come, those before encryption not counted."""

    @property
    def is_whole(self) -> bool:
        return not self.head

    def count(self, data: bytes) -> None:
        """Follow the records through `data`."""
        while data:
            if len(self.head) < HEAD_BYTES:
                wanted = HEAD_BYTES - len(self.head)
                self.head += data[:wanted]
                data = data[wanted:]
                if len(self.head) == HEAD_BYTES:
                    self.left = int.from_bytes(self.head[3:])
            taken = min(self.left, len(data))
            self.left -= taken
            data = data[taken:]
            if len(self.head) == HEAD_BYTES and not self.left:
                self.enciphered += self.head[0] == ENCIPHERED
                self.head = b""


class _Conversation:
    """OpenSSL's half of one connection, fed and emptied by hand; it cannot wait, because it has nothing to wait for."""

    __slots__ = ("_incoming", "_outgoing", "_tls", "records")

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        """Begin; a name that is none raises `ValueError`."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self.records = _Records()

    @property
    def speaks_last(self) -> bool:
        """Whether our word ends the handshake, so that the host's verdict on it is still to come."""
        return self._tls.version() == "TLSv1.3"

    @property
    def host_certificate_until(self) -> datetime | None:
        """When the host's certificate ends; `None` where that cannot be read, which is no reason not to speak to it."""
        # A name in it that is no text, for example, which OpenSSL has no need to read.
        with suppress(ValueError, ssl.SSLError):
            ends = (self._tls.getpeercert() or {}).get("notAfter")
            return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if isinstance(ends, str) else None
        return None

    def feed(self, data: bytes) -> None:
        """Take what came from the host."""
        self.records.count(data)
        self._incoming.write(data)

    def outgoing(self) -> bytes:
        """Hand out what has to go to the host."""
        return self._outgoing.read()

    def shake_hands(self) -> bool | Fault:
        """Go on with the handshake: whether it is complete, or why it has failed."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            return _fault(error)
        return True

    def read(self) -> bytes | Fault | None:
        """Decipher: some bytes, b"" once the host has ended it, `None` when more has to come first."""
        try:
            return self._tls.read(limits.RECEIVE_BYTES_MAX)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError as error:
            return _fault(error)

    def write(self, data: bytes) -> Fault | None:
        """Encipher one record."""
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            return _fault(error)
        return None

    def end(self) -> None:
        """Say the last word; the host's is not waited for."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()


def _nobody_asks(_until: datetime | None) -> None:
    """Forget when a certificate ends."""


class TlsStream:
    """A `Stream` over `inner`, to the host whose certificate is made out to `server_name`, a name or an IP address."""

    __slots__ = ("_conversation", "_fault", "_files", "_held", "_inner", "_monotonic", "_name", "_shown")

    def __init__(
        self,
        inner: Stream,
        files: TlsFiles,
        server_name: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        shown: Callable[[datetime | None], object] = _nobody_asks,
    ) -> None:
        """Remember what to connect; nothing happens yet.

        `shown` is told when the certificate ends that the host has shown; `None` where that cannot be read.
        """
        self._inner = inner
        self._files = files
        # A certificate names a host without the dot that may end its name.
        self._name = server_name.rstrip(".")
        self._monotonic = monotonic
        self._conversation: _Conversation | None = None
        self._fault: Fault | None = NOT_CONNECTED
        self._held = b""
        self._shown = shown

    @property
    def peer(self) -> str:
        """Who the inner stream speaks to."""
        return self._inner.peer

    @property
    def is_line(self) -> bool:
        """A connection: it begins with nothing in it."""
        return False

    def connect(self, timeout_s: float) -> None:
        """Connect the inner stream and agree on keys, all within the one deadline; else `NotSent`, and it is closed."""
        deadline = self._monotonic() + timeout_s
        conversation = self._begin()
        self._inner.connect(timeout_s)
        begun = self._monotonic()
        try:
            self._shake_hands(conversation, deadline)
            if conversation.speaks_last:
                self._await_first_word(conversation, begun, deadline)
        except BaseException:
            self._say(conversation)
            self._inner.close()
            raise
        self._shown(conversation.host_certificate_until)
        self._conversation, self._fault = conversation, None

    def send(self, data: bytes, timeout_s: float) -> None:
        """Encipher and hand over. After any failure nothing more goes out on this connection."""
        deadline = self._monotonic() + timeout_s
        conversation = self._conversation
        if conversation is None or self._fault is not None:
            raise self._failed(NotSent, self._fault or NOT_CONNECTED)
        # Until all is out, and for good when that fails, nothing else goes out: neither behind a torso of a record, nor
        # an enciphered request together with the last words, if an interrupt comes before it is handed over.
        self._fault = _FAILED_BEFORE
        # What TLS has to say of its own goes first, and apart: a failure then has nothing to do with `data`.
        failure = self._hand_over(conversation, deadline)
        if failure is not None:
            raise NotSent(str(failure), trouble=failure.trouble)
        for start in range(0, len(data), RECORD_BYTES_MAX):
            failure = self._send_record(conversation, data[start : start + RECORD_BYTES_MAX], deadline)
            if failure is not None:
                raise NoAnswer(str(failure), trouble=failure.trouble) if start else failure
        self._fault = None

    def receive(self, timeout_s: float) -> bytes:
        """Return deciphered bytes, b"" after the host's own end; an end without that is `NoAnswer`."""
        deadline = self._monotonic() + timeout_s
        if self._held:
            held, self._held = self._held, b""
            return held
        if self._conversation is None:
            raise self._failed(NoAnswer, NOT_CONNECTED)
        looks = RECORD_READS_MAX
        while True:
            found = self._read(self._conversation)
            if found is not None:
                return found
            left_s = deadline - self._monotonic()
            looks -= left_s <= 0
            if looks < 0:
                reason = f"{self.peer}: nothing whole came"
                raise Silence(reason, trouble=Trouble.TIMEOUT)
            self._take(self._conversation, left_s)

    def stale(self) -> bool:
        """Decipher what lies there. Tickets and new keys are TLS's own; bytes, an end or an error make it stale."""
        conversation = self._conversation
        if conversation is None or self._fault is not None or self._held:
            return True
        with suppress(NoAnswer):
            for _ in range(RECORD_READS_MAX):
                found = self._read(conversation)
                if found is not None:
                    self._held = found
                    return True
                if not self._inner.stale():
                    return not conversation.records.is_whole
                self._take(conversation, 0.0)
        return True

    def close(self) -> None:
        """Say TLS's own end if that does not wait, and close the inner stream, which resets what was not taken."""
        conversation, self._conversation = self._conversation, None
        is_sound, self._fault, self._held = self._fault is None, NOT_CONNECTED, b""
        if conversation is not None and is_sound:
            conversation.end()
            self._say(conversation)
        self._inner.close()

    def _begin(self) -> _Conversation:
        try:
            return _Conversation(self._files.context(), self._name)
        except ConfigError as error:
            fault = Fault(str(error), Trouble.TLS)
        except ValueError:
            fault = Fault("this is no name that a certificate can be made out to", Trouble.NAME)
        raise self._failed(NotSent, fault)

    def _shake_hands(self, conversation: _Conversation, deadline: float) -> None:
        came = 0
        while True:
            done = conversation.shake_hands()
            if isinstance(done, Fault):
                raise self._failed(NotSent, done)
            self._tell(conversation, deadline)
            if done:
                return
            data = self._hear(deadline)
            came += len(data)
            if came > limits.TLS_HANDSHAKE_BYTES_MAX:
                raise self._failed(NotSent, Fault("the host's TLS handshake has no end", Trouble.TLS))
            conversation.feed(data)

    def _tell(self, conversation: _Conversation, deadline: float) -> None:
        """Send our part of the handshake. None of it is a request, so whatever fails is `NotSent`."""
        failure = self._hand_over(conversation, deadline)
        if failure is not None:
            raise self._in_handshake(failure)

    def _hear(self, deadline: float) -> bytes:
        """Wait for the host's part of the handshake."""
        left_s = deadline - self._monotonic()
        if left_s <= 0:
            raise self._failed(NotSent, Fault("the TLS handshake took too long", Trouble.NO_CONNECTION))
        heard = self._listen(left_s)
        if isinstance(heard, Silence):
            raise self._failed(NotSent, Fault("the host said nothing in the TLS handshake", Trouble.NO_CONNECTION))
        if isinstance(heard, NoAnswer):
            raise self._in_handshake(heard)
        return heard

    def _await_first_word(self, conversation: _Conversation, begun: float, deadline: float) -> None:
        """Wait for a ticket or a refusal, not longer than either can take; silence is taken for consent."""
        now = self._monotonic()
        least_s, most_s = limits.TLS_FIRST_WORD_S
        latest = min(deadline, now + most_s)
        until = min(latest, now + max(least_s, FIRST_WORD_FACTOR * (now - begun)))
        records = conversation.records
        heard = records.enciphered
        while True:
            found = conversation.read()
            if found == b"":
                raise self._in_handshake(self._failed(NotSent, _CLOSED))
            if isinstance(found, Fault):
                raise self._failed(NotSent, found)
            self._held += found or b""
            # A word half of which has come is waited for: what is left of it would look like an unasked one.
            left_s = (until if records.is_whole else latest) - self._monotonic()
            if left_s <= 0 or (records.is_whole and (self._held or records.enciphered > heard)):
                return
            word = self._listen(left_s)
            if isinstance(word, Silence):
                return
            if isinstance(word, NoAnswer):
                raise self._in_handshake(word)
            conversation.feed(word)

    def _listen(self, left_s: float) -> bytes | NoAnswer:
        """Wait once for the inner stream; its end, too, is a failure while no request is out."""
        try:
            data = self._inner.receive(left_s)
        except NoAnswer as error:
            return error
        reason = f"{self.peer}: closed by the other side"
        return data or NoAnswer(reason, trouble=Trouble.CLOSED)

    def _send_record(self, conversation: _Conversation, data: bytes, deadline: float) -> LinkError | None:
        fault = conversation.write(data)
        return self._hand_over(conversation, deadline) if fault is None else self._failed(NotSent, fault)

    def _hand_over(self, conversation: _Conversation, deadline: float) -> LinkError | None:
        """Send what is enciphered, and return why not all of it could be sent."""
        data = conversation.outgoing()
        if not data:
            return None
        try:
            self._inner.send(data, max(0.0, deadline - self._monotonic()))
        except LinkError as error:
            return error
        return None

    def _say(self, conversation: _Conversation) -> None:
        """Send a last word without waiting; whether it gets there does not matter."""
        data = conversation.outgoing()
        if data:
            with suppress(LinkError):
                self._inner.send(data, 0.0)

    def _read(self, conversation: _Conversation) -> bytes | None:
        """Decipher what has come; `NoAnswer` when that cannot be done."""
        found = conversation.read()
        if isinstance(found, Fault):
            self._fault = found
            self._say(conversation)
            raise self._failed(NoAnswer, found)
        if found == b"":
            self._fault = _CLOSED
        return found

    def _take(self, conversation: _Conversation, left_s: float) -> None:
        """Wait for the inner stream and feed what came."""
        data = self._inner.receive(max(0.0, left_s))
        if not data:
            self._fault = _CUT_OFF
            raise self._failed(NoAnswer, _CUT_OFF)
        conversation.feed(data)

    def _failed(self, kind: type[LinkError], fault: Fault) -> LinkError:
        reason = f"{self.peer}: {fault.words}"
        return kind(reason, trouble=fault.trouble)

    def _in_handshake(self, failure: LinkError) -> NotSent:
        reason = f"{failure} in the TLS handshake"
        return NotSent(reason, trouble=failure.trouble)


def _fault(error: ssl.SSLError) -> Fault:
    """Name what went wrong by the error's number or name; its text could repeat what stands in a certificate."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return VERIFICATION.get(error.verify_code) or Fault("the host's certificate is not acceptable", Trouble.TLS)
    said = (error.reason or "no reason given").replace("_", " ").lower()
    return REASONS.get(error.reason or "") or Fault(f"TLS failed: {said}", Trouble.TLS)
