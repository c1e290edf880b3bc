"""Where the key comes from that opens a keystore: a file, a systemd credential, or a passphrase.

The passphrase is asked for on a terminal, or read as one line of standard input or of a descriptor; a command line or
the environment, which others can read, never holds it. It becomes a key by scrypt (RFC 7914), whose salt and cost rest
in the keystore's file. A credential is made and kept by the service manager: here it is only read.
"""

from __future__ import annotations

import getpass
import os
import sys
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pos_engine.crypto import seal
from pos_engine.errors import ConfigError, KeyFault, UsageError
from pos_engine.keystore.files import OTHERS, STRANGERS, destroy, read, write_new
from pos_engine.values import KeyBytes

if TYPE_CHECKING:
    from collections.abc import Callable

CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
"""Where systemd says in which folder a service's credentials are; it holds no secret itself."""
PASSPHRASE_CHARACTERS_MIN: Final = 12
"""Fewer are guessed by trying, whatever each try costs."""

_PASSPHRASE_BYTES_MAX: Final = 1024
_FILE_MODE: Final = 0o400
_SALT_SIZE: Final = 16
_SALT_SIZES: Final = range(16, 65)
_COST, _BLOCK, _PASSES = 2**15, 8, 3
"""32 MiB, and less than a second of a small machine: what OWASP advises for scrypt where memory is scarce."""
_COST_MIN, _COST_MAX, _FACTOR_MAX, _EFFORT_MAX = 2**14, 2**20, 16, 2**21
"""What a file may ask for: a changed one must take neither the machine's memory (256 MiB at most) nor its day."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a passphrase becomes a key: scrypt's salt, cost N, block size r and parallelism p. None of it is secret."""

    salt: bytes
    cost: int = _COST
    block: int = _BLOCK
    passes: int = _PASSES

    def as_json(self) -> dict[str, object]:
        """Return it as it stands in a keystore's file."""
        return {"salt": self.salt.hex(), "n": self.cost, "r": self.block, "p": self.passes}

    @classmethod
    def parse(cls, content: object) -> Self:
        """Read it from a keystore's file; a `ValueError` for anything that `as_json` never wrote, or too costly."""
        match content:
            case {"salt": str(salt), "n": int(cost), "r": int(block), "p": int(passes)}:
                read = cls(bytes.fromhex(salt), cost, block, passes)
                if read.is_bearable():
                    return read
        reason = "no derivation"
        raise ValueError(reason)

    def is_bearable(self) -> bool:
        """Tell whether it can be computed at a bearable cost."""
        power = self.cost.bit_count() == 1 and _COST_MIN <= self.cost <= _COST_MAX
        factors = all(1 <= factor <= _FACTOR_MAX for factor in (self.block, self.passes))
        effort = self.cost * self.block * self.passes
        return power and factors and effort <= _EFFORT_MAX and len(self.salt) in _SALT_SIZES

    def key(self, passphrase: bytes) -> KeyBytes:
        """Compute the key; a `KeyFault` where the memory does not suffice."""
        kdf = Scrypt(salt=self.salt, length=seal.KEY_SIZE, n=self.cost, r=self.block, p=self.passes)
        try:
            return KeyBytes(kdf.derive(passphrase))
        except MemoryError:
            pass
        reason = "there is not enough memory to make a key of the passphrase"
        raise KeyFault(reason)


class WrappingKey(Protocol):
    """A place that a wrapping key comes from; `str` names it, and is safe to show. All raise `ConfigError`."""

    def asked(self) -> WrappingKey:
        """Ask at once for what a new key needs, so that it comes before other input."""
        ...

    def make(self, entropy: Callable[[int], bytes]) -> tuple[KeyBytes, Derivation | None]:
        """Return the key for a new keystore, and what its file must hold to find it again."""
        ...

    def undo(self) -> None:
        """Take back what `make` wrote: nobody has used it."""
        ...

    def find(self, derivation: Derivation | None) -> KeyBytes:
        """Return the key of a keystore whose file holds `derivation`."""
        ...

    def destroy(self, entropy: Callable[[int], bytes]) -> Path | None:
        """Destroy the key where that can be done here; return the file that is gone."""
        ...


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file with 32 bytes, which only its owner may read."""

    path: Path

    def __str__(self) -> str:
        """Name the file."""
        return str(self.path)

    def asked(self) -> WrappingKey:
        """Need nothing."""
        return self

    def make(self, entropy: Callable[[int], bytes]) -> tuple[KeyBytes, Derivation | None]:
        """Write a new one."""
        key = KeyBytes(entropy(seal.KEY_SIZE))
        write_new(self.path, key.reveal(), _FILE_MODE)
        return key, None

    def undo(self) -> None:
        """Remove it."""
        self.path.unlink()

    def find(self, derivation: Derivation | None) -> KeyBytes:
        """Read it."""
        _refuse_derivation(derivation)
        return _exact(read(self.path, size_max=seal.KEY_SIZE, refused=OTHERS), self)

    def destroy(self, entropy: Callable[[int], bytes]) -> Path | None:
        """Overwrite and remove it."""
        return self.path if destroy(self.path, entropy=entropy) else None


@dataclass(frozen=True, slots=True)
class Credential:
    """A systemd credential with 32 bytes (`LoadCredential=`, `LoadCredentialEncrypted=`)."""

    name: str

    def __str__(self) -> str:
        """Name it as the configuration does."""
        return f"credential:{self.name}"

    def asked(self) -> WrappingKey:
        """Need nothing."""
        return self

    def make(self, entropy: Callable[[int], bytes]) -> tuple[KeyBytes, Derivation | None]:
        """Take the one that is there: the service manager makes it."""
        del entropy
        return self.find(None), None

    def undo(self) -> None:
        """Leave it as it was."""

    def find(self, derivation: Derivation | None) -> KeyBytes:
        """Read it."""
        _refuse_derivation(derivation)
        folder = os.environ.get(CREDENTIALS_VARIABLE)
        if not folder:
            reason = f"{self}: {CREDENTIALS_VARIABLE} is not set; systemd sets it for a service with LoadCredential="
            raise ConfigError(reason)
        return _exact(read(Path(folder) / self.name, size_max=seal.KEY_SIZE, refused=STRANGERS), self)

    def destroy(self, entropy: Callable[[int], bytes]) -> Path | None:
        """Leave it: it is kept elsewhere."""
        del entropy
        return None


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase that a person knows; `descriptor` is where to read it, `None` the terminal or standard input."""

    descriptor: int | None = None
    known: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Name it as the configuration does."""
        return "passphrase" if self.descriptor is None else f"passphrase:{self.descriptor}"

    def asked(self) -> WrappingKey:
        """Ask for a new one, on a terminal twice."""
        return Passphrase(self.descriptor, _new_passphrase(self.descriptor))

    def make(self, entropy: Callable[[int], bytes]) -> tuple[KeyBytes, Derivation | None]:
        """Make a key of a new one."""
        passphrase = self.known or _new_passphrase(self.descriptor)
        derivation = Derivation(entropy(_SALT_SIZE))
        return derivation.key(passphrase), derivation

    def undo(self) -> None:
        """Leave nothing: nothing was written."""

    def find(self, derivation: Derivation | None) -> KeyBytes:
        """Ask for it."""
        if derivation is None:
            reason = "the keystore was not made with a passphrase: storage.wrapping_key names another kind of key"
            raise ConfigError(reason)
        return derivation.key(self.known or _passphrase(self.descriptor, "Passphrase of the keystore: "))

    def destroy(self, entropy: Callable[[int], bytes]) -> Path | None:
        """Leave it: a person knows it, and it opens nothing without the file's salt."""
        del entropy
        return None


def wrapping_key(setting: Path | str) -> WrappingKey:
    """Return the place that the configuration's `storage.wrapping_key` names.

    A path is a file; a text is "credential:NAME", "passphrase" or "passphrase:DESCRIPTOR".
    """
    if isinstance(setting, Path):
        return KeyFile(setting)
    scheme, _, name = setting.partition(":")
    if scheme == "credential" and name:
        return Credential(name)
    if scheme == "passphrase" and (not name or (name.isascii() and name.isdigit())):
        return Passphrase(int(name) if name else None)
    reason = "a wrapping key is a path, credential:NAME, passphrase or passphrase:DESCRIPTOR"
    raise UsageError(reason)


def _refuse_derivation(derivation: Derivation | None) -> None:
    if derivation is not None:
        reason = "the keystore was made with a passphrase: storage.wrapping_key names another kind of key"
        raise ConfigError(reason)


def _exact(clear: bytes, place: object) -> KeyBytes:
    if len(clear) != seal.KEY_SIZE:
        reason = f"{place}: a wrapping key has 32 bytes"
        raise ConfigError(reason)
    return KeyBytes(clear)


def _new_passphrase(descriptor: int | None) -> bytes:
    """Ask for a passphrase that nobody has used yet, on a terminal twice; `UsageError` when it will not do."""
    passphrase = _passphrase(descriptor, "New passphrase of the keystore: ")
    if len(passphrase.decode("utf-8", "surrogateescape")) < PASSPHRASE_CHARACTERS_MIN:
        reason = f"a passphrase has at least {PASSPHRASE_CHARACTERS_MIN} characters"
        raise UsageError(reason)
    if _is_asked(descriptor) and _passphrase(None, "The same passphrase again: ") != passphrase:
        reason = "the two passphrases differ"
        raise UsageError(reason)
    return passphrase


def _is_asked(descriptor: int | None) -> bool:
    return descriptor is None and sys.stdin.isatty()


def _passphrase(descriptor: int | None, prompt: str) -> bytes:
    """Return a passphrase as bytes that every keyboard makes of it alike."""
    if _is_asked(descriptor):
        text = getpass.getpass(prompt)
    else:
        line = sys.stdin.buffer.readline(_PASSPHRASE_BYTES_MAX + 1) if descriptor is None else _line(descriptor)
        text = line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
    clear = unicodedata.normalize("NFC", text).encode("utf-8", "surrogateescape")
    if not 0 < len(clear) <= _PASSPHRASE_BYTES_MAX:
        where = "standard input" if descriptor is None else f"descriptor {descriptor}"
        reason = f"the keystore needs a passphrase of at most {_PASSPHRASE_BYTES_MAX} bytes, as one line of {where}"
        raise ConfigError(reason)
    return clear


def _line(descriptor: int) -> bytes:
    """Read one line byte by byte: what follows it is for somebody else."""
    line = bytearray()
    fault = ""
    try:
        while len(line) <= _PASSPHRASE_BYTES_MAX and (byte := os.read(descriptor, 1)) not in {b"", b"\n"}:
            line += byte
    except OSError as error:
        fault = f"descriptor {descriptor} cannot be read: {error.strerror}"
    if fault:
        raise ConfigError(fault)
    return bytes(line)
