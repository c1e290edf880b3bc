"""The files that keys rest in: read only where nobody else can, written whole or not at all, overwritten when they go.

Overwriting reaches the blocks a file has now. What a journalling file system, flash memory or a snapshot keeps of
earlier ones is out of any program's reach: that is why wrapping key and keystore belong on different media.
"""

from __future__ import annotations

import glob
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pos_engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
"""What nobody but the owner may have of a private file."""
STRANGERS: Final = stat.S_IRWXO | stat.S_IWGRP
"""What nobody may have of a file that a service manager passes on: an access list for its user shows as the group's."""

_OWNER_MODE: Final = 0o600


def is_there(path: Path) -> bool:
    """Tell whether a name is taken, if only by a link; raises `ConfigError` where nobody may look."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        reason = f"{path}: cannot be read: {error.strerror}"
    else:
        return True
    raise ConfigError(reason)


def read(path: Path, *, size_max: int, refused: int = 0) -> bytes:
    """Read a small regular file; one whose mode has a bit of `refused` is open to others. Raises `ConfigError`."""
    data = b""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            fault = _fault_of(os.fstat(file.fileno()), size_max=size_max, refused=refused)
            data = b"" if fault else file.read(size_max)
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    if fault:
        reason = f"{path}: {fault}"
        raise ConfigError(reason)
    return data


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that did not exist, whole or not at all, on disk when this returns. Raises `ConfigError`."""
    try:
        temporary = _written_beside(path, data, mode)
        try:
            # A link, because unlike a rename it fails where a file of that name appeared meanwhile.
            path.hardlink_to(temporary)
        finally:
            temporary.unlink()
        _sync(path.parent)
    except FileExistsError:
        fault = "exists already, and is not overwritten"
    except OSError as error:
        fault = f"cannot be written: {error.strerror}"
    else:
        return
    reason = f"{path}: {fault}"
    raise ConfigError(reason)


def replace(path: Path, data: bytes, mode: int, *, entropy: Callable[[int], bytes]) -> None:
    """Give a file new content, whole or not at all, and then overwrite the blocks of the old. Raises `ConfigError`.

    After a power cut the file has its old content or its new one. A link is followed, so that it stays one.
    """
    try:
        place = path.resolve(strict=True)
        old = _opened_for_overwriting(place)
        try:
            temporary = _written_beside(place, data, mode)
            try:
                temporary.replace(place)
            except OSError:
                temporary.unlink()
                raise
            _sync(place.parent)
            _overwrite(old, entropy)
        finally:
            os.close(old)
        _sweep(place, entropy)
    except OSError as error:
        fault = f"{path}: cannot be replaced: {error.strerror}"
    else:
        return
    raise ConfigError(fault)


def destroy(path: Path, *, entropy: Callable[[int], bytes]) -> bool:
    """Overwrite a file and remove its name; return whether there was one. Raises `ConfigError`.

    A link goes together with the file that it names.
    """
    try:
        place = path.resolve(strict=True)
        _overwrite_at(place, entropy)
        for name in {place, path}:
            name.unlink(missing_ok=True)
            _sync(name.parent)
        _sweep(place, entropy)
    except FileNotFoundError:
        return False
    except OSError as error:
        fault = f"{path}: cannot be destroyed: {error.strerror}"
    else:
        return True
    raise ConfigError(fault)


def _without_waiting(path: str, flags: int) -> int:
    # A plain open would wait for ever on a named pipe.
    return os.open(path, flags | os.O_NONBLOCK)


def _fault_of(status: os.stat_result, *, size_max: int, refused: int) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_mode & refused:
        return "open to others than its owner; its mode must be 0400 or 0600"
    return "too large for what it should be" if status.st_size > size_max else None


def _written_beside(path: Path, data: bytes, mode: int) -> Path:
    """Write a file of another name in the same folder; on failure none stays. Raises `OSError`."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_beginning(path))
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError:
        Path(temporary).unlink()
        raise
    return Path(temporary)


def _beginning(path: Path) -> str:
    return f".{path.name}.new-"


def _sweep(place: Path, entropy: Callable[[int], bytes]) -> None:
    """Destroy what an interrupted writer left beside a file: it holds a key as the file does. Raises `OSError`."""
    for left in place.parent.glob(f"{glob.escape(_beginning(place))}*"):
        _overwrite_at(left, entropy)
        left.unlink()


def _overwrite_at(place: Path, entropy: Callable[[int], bytes]) -> None:
    descriptor = _opened_for_overwriting(place)
    try:
        _overwrite(descriptor, entropy)
    finally:
        os.close(descriptor)


def _opened_for_overwriting(place: Path) -> int:
    # A wrapping key can be read only, also by its owner, who may change that.
    if stat.S_ISREG(place.stat().st_mode):
        place.chmod(_OWNER_MODE)
    return os.open(place, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)


def _overwrite(descriptor: int, entropy: Callable[[int], bytes]) -> None:
    """Write noise over what an open file holds, on disk when this returns. Raises `OSError`."""
    status = os.fstat(descriptor)
    # Whatever else stands at that path is not ours to write to.
    if stat.S_ISREG(status.st_mode):
        os.pwrite(descriptor, entropy(status.st_size), 0)
        os.fsync(descriptor)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
