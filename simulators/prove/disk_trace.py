"""From a process's system calls to what it did to one folder: writes, sizes, names, flushes, and what it said.

The calls are recorded by strace. Every call that can change a file is asked for; one that cannot be understood is an
error, never skipped, because a write that the trace overlooks would be taken for durable.
"""

from __future__ import annotations

import enum
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from pos_engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

CALLS: Final = (
    "open,openat,openat2,creat,close,dup,dup2,dup3,fcntl,lseek,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,"
    "sync,syncfs,sync_file_range,msync,mmap,ftruncate,truncate,fallocate,unlink,unlinkat,rename,renameat,renameat2,"
    "link,linkat,symlink,symlinkat,mkdir,mkdirat,chdir,sendfile,splice,copy_file_range,io_uring_setup,"
    "fork,vfork,clone,clone3"
)
HARMLESS: Final = frozenset({"fork", "vfork", "clone", "clone3", "mkdir", "mkdirat", "chdir", "fcntl", "lseek"})
"""Asked for, so that they are seen when they matter; by themselves they change no file."""
STRING_MAX: Final = 1 << 26
LINE: Final = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(?: .*)?")
ENDED: Final = re.compile(r"\d+ +(?:\+\+\+ |--- ).*")
FOLDER: Final = 0
"""The folder itself, among the numbers of files."""
STDOUT: Final = 1
UNKEPT: Final = ("-shm", ".lock")
"""Endings of files that no image holds: SQLite rebuilds the one, and the kernel's lock is not in the other."""


class What(enum.Enum):
    """What was done."""

    WRITE = "bytes written at an offset"
    CUT = "a size set"
    GROW = "space taken, so that the file has at least this size"
    CREATE = "a name made with a new file"
    UNLINK = "a name taken away"
    RENAME = "a name moved, over another perhaps"
    SYNC = "flushed, and the flush returned"
    SAY = "something said on the standard output"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing done to one file; `file` counts files as they were created, 0 is the folder."""

    what: What
    file: int = FOLDER
    offset: int = 0
    """Where bytes were written, or the size that was set."""
    data: bytes = b""
    name: str = ""
    target: str = ""


@dataclass(slots=True)
class _Opened:
    """An open file: which, and where a plain write would land, if that can be told."""

    file: int
    position: int | None


class Reader:
    """Reads the calls of one process after another on the same folder."""

    def __init__(self, folder: Path) -> None:
        """Begin with an empty folder."""
        self._folder = folder
        self._names: dict[str, int] = {}
        self._files = FOLDER
        self._opened: dict[int, _Opened] = {}

    def read(self, lines: Iterable[str]) -> Iterator[Operation]:
        """Yield what one process did, in order."""
        self._opened = {}
        writer = None
        for line in lines:
            found = LINE.fullmatch(line)
            if found is None:
                if not ENDED.fullmatch(line):
                    _refuse("a line that is no whole call", line)
                continue
            process, call, arguments, result = found.groups()
            if result.startswith("-") or result == "?":
                continue
            done = list(self._call(call, arguments.split(", "), int(result, 0)))
            if done and writer not in {None, process}:
                _refuse("a second process", line)
            writer = process if done else writer
            yield from done

    def _call(self, call: str, arguments: list[str], result: int) -> Iterator[Operation]:
        act: Callable[[list[str], int], Iterator[Operation]] | None = getattr(self, f"_on_{call}", None)
        if act is not None:
            yield from act(arguments, result)
        elif call not in HARMLESS and self._touches(arguments):
            _refuse("a call on the folder that is not understood", call)

    def _touches(self, arguments: list[str]) -> bool:
        """Whether a call names the folder, or an open file of it."""
        numbers = (int(each) for each in arguments if each.isdigit())
        return any(each in self._opened for each in numbers) or any(self._name(each) for each in arguments)

    def _name(self, argument: str) -> str | None:
        """Return the name within the folder that an argument says, if it does; the folder's own is a dot."""
        if not argument.startswith('"'):
            return None
        path = Path(_bytes(argument).decode())
        if path == self._folder:
            return "."
        return path.name if path.parent == self._folder else None

    def _on_openat(self, arguments: list[str], result: int) -> Iterator[Operation]:
        flags = arguments[2].split("|")
        name = self._name(arguments[1])
        if name == ".":
            self._opened[result] = _Opened(FOLDER, None)
        if name in {None, "."} or name.endswith(UNKEPT):
            return
        if name not in self._names:
            self._files += 1
            self._names[name] = self._files
            yield Operation(What.CREATE, self._files, name=name)
        elif "O_TRUNC" in flags:
            yield Operation(What.CUT, self._names[name])
        # Where reads move the position too, or writes go to the end, a plain write is not understood.
        known = "O_WRONLY" in flags and "O_APPEND" not in flags
        self._opened[result] = _Opened(self._names[name], 0 if known else None)

    def _on_close(self, arguments: list[str], _result: int) -> Iterator[Operation]:
        self._opened.pop(int(arguments[0]), None)
        yield from ()

    def _on_dup(self, arguments: list[str], result: int) -> Iterator[Operation]:
        opened = self._opened.get(int(arguments[0]))
        if opened is not None:
            self._opened[result] = opened
        yield from ()

    _on_dup2 = _on_dup3 = _on_dup

    def _on_fcntl(self, arguments: list[str], result: int) -> Iterator[Operation]:
        return self._on_dup(arguments, result) if arguments[1].startswith("F_DUPFD") else iter(())

    def _on_write(self, arguments: list[str], result: int) -> Iterator[Operation]:
        if int(arguments[0]) == STDOUT:
            yield from (Operation(What.SAY, name=line) for line in _bytes(arguments[1]).decode().splitlines())
        opened = self._opened.get(int(arguments[0]))
        if opened is None:
            return
        if opened.position is None:
            _refuse("a write whose place cannot be told", "write")
        yield Operation(What.WRITE, opened.file, opened.position, _bytes(arguments[1])[:result])
        opened.position += result

    def _on_lseek(self, arguments: list[str], result: int) -> Iterator[Operation]:
        opened = self._opened.get(int(arguments[0]))
        if opened is not None and opened.position is not None:
            opened.position = result
        yield from ()

    def _on_pwrite64(self, arguments: list[str], result: int) -> Iterator[Operation]:
        opened = self._opened.get(int(arguments[0]))
        if opened is not None:
            yield Operation(What.WRITE, opened.file, int(arguments[3]), _bytes(arguments[1])[:result])

    def _on_ftruncate(self, arguments: list[str], _result: int) -> Iterator[Operation]:
        opened = self._opened.get(int(arguments[0]))
        if opened is not None:
            yield Operation(What.CUT, opened.file, int(arguments[1]))

    def _on_fallocate(self, arguments: list[str], _result: int) -> Iterator[Operation]:
        opened = self._opened.get(int(arguments[0]))
        if opened is not None:
            if arguments[1] != "0":
                _refuse("a fallocate that does more than take space", "fallocate")
            yield Operation(What.GROW, opened.file, int(arguments[2]) + int(arguments[3]))

    def _on_fsync(self, arguments: list[str], _result: int) -> Iterator[Operation]:
        opened = self._opened.get(int(arguments[0]))
        if opened is not None:
            yield Operation(What.SYNC, opened.file)

    _on_fdatasync = _on_fsync

    def _on_mmap(self, arguments: list[str], _result: int) -> Iterator[Operation]:
        writes = "PROT_WRITE" in arguments[2] and "MAP_SHARED" in arguments[3]
        if writes and arguments[4].isdigit() and int(arguments[4]) in self._opened:
            _refuse("a file written through memory", "mmap")
        yield from ()

    def _on_unlink(self, arguments: list[str], _result: int) -> Iterator[Operation]:
        yield from self._unlinked(self._name(arguments[0]))

    def _on_unlinkat(self, arguments: list[str], _result: int) -> Iterator[Operation]:
        yield from self._unlinked(self._name(arguments[1]))

    def _unlinked(self, name: str | None) -> Iterator[Operation]:
        if name in self._names:
            yield Operation(What.UNLINK, self._names.pop(name), name=name)

    def _on_rename(self, arguments: list[str], _result: int) -> Iterator[Operation]:
        yield from self._renamed(self._name(arguments[0]), self._name(arguments[1]))

    def _on_renameat(self, arguments: list[str], _result: int) -> Iterator[Operation]:
        yield from self._renamed(self._name(arguments[1]), self._name(arguments[3]))

    _on_renameat2 = _on_renameat

    def _renamed(self, name: str | None, target: str | None) -> Iterator[Operation]:
        if name is None and target is None:
            return
        if name is None or target is None or name not in self._names:
            _refuse("a name moved into the folder or out of it", "rename")
        self._names[target] = self._names.pop(name)
        yield Operation(What.RENAME, self._names[target], name=name, target=target)


def _bytes(argument: str) -> bytes:
    if not (argument.startswith('"\\x') or argument == '""') or not argument.endswith('"'):
        _refuse("bytes that are not whole", argument[:8])
    return bytes.fromhex(argument[1:-1].replace("\\x", ""))


def _refuse(what: str, line: str) -> NoReturn:
    reason = f"the trace holds {what}: {line.partition('(')[0]}"
    raise UsageError(reason)


def record(command: Sequence[str], reader: Reader, *, inside: Path) -> list[Operation]:
    """Run a command to its end under strace, in a working folder; returns what it did to the reader's folder."""
    with tempfile.TemporaryDirectory(prefix="pos-engine-trace-") as scratch:
        trace = Path(scratch, "trace")
        options = ["-f", "-xx", "-s", str(STRING_MAX), "-e", f"trace={CALLS}", "-o", str(trace)]
        traced = ["strace", *options, *command]
        done = subprocess.run(traced, check=False, capture_output=True, cwd=inside)  # noqa: S603 - our own program
        if done.returncode != 0:
            reason = f"the traced command ended with {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}"
            raise UsageError(reason)
        with trace.open(encoding="ascii") as lines:
            return list(reader.read(line.rstrip("\n") for line in lines))
