"""The files behind a protected connection: whom we trust, and who we say we are.

The rule it keeps: verification is always on, of the chain and of the name, and nothing switches it off. Every new
connection looks at the files again, so that a new certificate works without a restart; a file that cannot be used stops
the connection before a byte of it, in words that name the file. They never repeat what is in it.
"""

from __future__ import annotations

import os
import re
import ssl
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pos_engine import limits
from pos_engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography.x509 import Certificate

WARNED_BEFORE: Final = timedelta(days=30)
"""How long before its end a certificate is worth a warning: time enough to have another one issued."""

OPEN_TO_ALL: Final = 0o007
"""Permissions that make a private key everybody's. A group may read it: many systems have one for that."""

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_ENCIPHERED: Final = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED")

_Seen = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """When one certificate of a file ends."""

    file: Path
    subject: str
    """Its common name, all of its name where it has none, or its number where no name of it can be read."""
    until: datetime
    days_left: int
    """Whole days; below zero it has expired."""


class TlsFiles:
    """The authorities that are trusted, and the client's certificate, as files. Not for two threads at once.

    With `ca` (PEM) only what is in it is trusted: an authority, or a host's own certificate; without it, the system's
    store. `certificate` (PEM) holds our own certificate first, then those between it and the authority, and its private
    key, in clear and not open to everybody.
    """

    __slots__ = ("_ca", "_certificate", "_context", "_seen")

    def __init__(self, ca: Path | None = None, certificate: Path | None = None) -> None:
        """Remember the paths; nothing is read yet."""
        self._ca = ca
        self._certificate = certificate
        self._context: ssl.SSLContext | None = None
        self._seen: tuple[_Seen | None, ...] = ()

    def context(self) -> ssl.SSLContext:
        """Return what a new connection needs, made anew when a file has changed. Raises `ConfigError`."""
        seen = (
            _look(self._ca),
            _look(self._certificate, refused=OPEN_TO_ALL),
            _look_at_system_store() if self._ca is None else None,
        )
        if self._context is None or seen != self._seen:
            # What changes while it is being read is newer than what was seen of it, and will be read again.
            self._context, self._seen = _new_context(self._ca, self._certificate), seen
        return self._context

    def check(self) -> None:
        """Try the files out; `ConfigError` names the one that is wrong, and why."""
        self.context()
        for file in self._files():
            _certificates(file)

    def expiring(self, wall: datetime, *, within: timedelta = WARNED_BEFORE) -> tuple[Expiry, ...]:
        """Tell which certificates of our own files have ended by `wall`, or will soon; the next to end first.

        Raises `ConfigError`.
        """
        ends = [_expiry(file, each, wall) for file in self._files() for each in _certificates(file)]
        return tuple(sorted((each for each in ends if each.until - wall <= within), key=lambda each: each.until))

    def _files(self) -> Iterator[Path]:
        yield from (file for file in (self._ca, self._certificate) if file is not None)


def _look(file: Path | None, *, refused: int = 0) -> _Seen | None:
    """Return what tells a changed file from an unchanged one, also when only its name was given to another."""
    if file is None:
        return None
    try:
        found = file.stat()
        fault = _fault_of(found, refused)
        if fault is None:
            return _seen(found)
    except (OSError, ValueError) as error:
        fault = _words(error)
    reason = f"{file}: {fault}"
    raise ConfigError(reason)


def _look_at_system_store() -> _Seen | None:
    """Look at the system's file of authorities; a system may have a folder instead, which OpenSSL reads as it goes."""
    try:
        return _seen(os.stat(ssl.get_default_verify_paths().cafile))  # noqa: PTH116 - ssl hands out a text
    except (OSError, TypeError):
        # Where the system has no such file, ssl hands out `None` for its name.
        return None


def _seen(found: os.stat_result) -> _Seen:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _fault_of(found: os.stat_result, refused: int) -> str | None:
    if not stat.S_ISREG(found.st_mode):
        return "not a regular file"
    if found.st_mode & refused:
        return "it holds a private key and is open to everybody; its mode must be 0400, 0600 or 0640"
    return "too large for a file of certificates" if found.st_size > limits.TLS_FILE_BYTES_MAX else None


def _new_context(ca: Path | None, certificate: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A host that wants to agree anew in the middle of a connection is not one that answers a request.
    context.options |= ssl.OP_NO_RENEGOTIATION
    if ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, ca)
    if certificate is not None:
        _show(context, certificate)
    return context


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    """Trust what is in the file, and nothing else."""
    # Whoever pins a certificate means that one, also where it is not the root of its chain.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cafile=ca)
    except ssl.SSLError:
        fault = "no certificate can be read from it"
    except OSError as error:
        fault = _words(error)
    else:
        return
    reason = f"{ca}: {fault}"
    raise ConfigError(reason)


def _show(context: ssl.SSLContext, certificate: Path) -> None:
    """Have our own certificate shown to a host that asks for one."""
    try:
        # A password, though an empty one: without any, OpenSSL would stop and ask at the keyboard.
        context.load_cert_chain(certificate, password="")
    except ssl.SSLError as error:
        fault = _why_not_shown(certificate, error.reason)
    except OSError as error:
        fault = _words(error)
    else:
        return
    reason = f"{certificate}: {fault}"
    raise ConfigError(reason)


def _why_not_shown(certificate: Path, said: str | None) -> str:
    """Say what is wrong with a file that OpenSSL does not take, which itself says little."""
    text = _read(certificate)
    if not _PEM.search(text):
        return "there is no certificate in it"
    if not _KEY.search(text):
        return "there is no private key in it"
    if _ENCIPHERED.search(text):
        return "its private key is enciphered; nobody is there to enter a password"
    if said == "KEY_VALUES_MISMATCH":
        return "its private key is not that of its first certificate"
    return "its certificate or its private key cannot be read"


def _certificates(file: Path) -> list[Certificate]:
    """Read the certificates of a file, those that can be read. Raises `ConfigError` where there is none."""
    # OpenSSL decides what can be used; one that only our library cannot read must not hide the end of the others.
    found = [each for each in map(_certificate, _PEM.findall(_read(file))) if each is not None]
    if not found:
        reason = f"{file}: no certificate can be read from it"
        raise ConfigError(reason)
    return found


def _certificate(text: bytes) -> Certificate | None:
    from cryptography.x509 import InvalidVersion, load_pem_x509_certificate  # noqa: PLC0415 - a connection does without

    try:
        return load_pem_x509_certificate(text)
    except (ValueError, InvalidVersion):
        return None


def _expiry(file: Path, certificate: Certificate, wall: datetime) -> Expiry:
    # Versions of the library before 42 know only a moment without its time zone.
    aware: datetime | None = getattr(certificate, "not_valid_after_utc", None)
    until = aware if aware is not None else certificate.not_valid_after.replace(tzinfo=UTC)
    return Expiry(file=file, subject=_subject(certificate), until=until, days_left=(until - wall).days)


def _subject(certificate: Certificate) -> str:
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 - loaded with the certificate

    try:
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = str(names[0].value) if names else certificate.subject.rfc4514_string()
    except ValueError:
        # Old authorities write names in an alphabet that the library takes for UTF-8.
        name = f"serial number {certificate.serial_number:X}"
    return "".join(each if each.isprintable() else "?" for each in name) or "a certificate without a name"


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(limits.TLS_FILE_BYTES_MAX)
    except OSError as error:
        fault = _words(error)
    reason = f"{file}: {fault}"
    raise ConfigError(reason)


def _words(error: Exception) -> str:
    """Say in the system's words why a file cannot be had."""
    said = error.strerror if isinstance(error, OSError) else None
    return f"cannot be read: {said.lower()}" if said else "cannot be read"
