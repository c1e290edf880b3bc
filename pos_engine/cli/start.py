"""Start: `init` writes a configuration and keys for a terminal, real or simulated."""

from __future__ import annotations

import getpass
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command
from pos_engine.cli.exits import Exit
from pos_engine.cli.host import DEFAULT_PORT
from pos_engine.errors import ConfigError, UsageError
from pos_engine.values import KeyBytes, Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pos_engine.cli.output import Output
    from pos_engine.config.keys import Value
    from pos_engine.dialects.base import KeyScheme

_TERMINAL: Final = "T0000001"
_MERCHANT: Final = "M00000000000001"
_SIMULATED: Final = {
    "peripherals.reader": "simulated",
    "peripherals.pin_pad": "simulated",
    "peripherals.card": "everyday",
}
"""A simulated terminal's devices."""
_KEY_CHARACTERS_MAX: Final = 4096


@command(
    "init",
    example="pos-engine init --simulated\n"
    "pos-engine init --simulated --key-scheme sm4\n"
    "pos-engine init --terminal 12345678 --merchant 123456789012345 --address tcp://pos.example:9583",
)
@click.option("--simulated", is_flag=True, help="A terminal of the simulated acquirer, with its key and a test card.")
@click.option("--dir", "folder", metavar="DIR", default=".", help="Where to write; default here.")
@click.option("--terminal", metavar="ID", help="Terminal id, 8 characters.")
@click.option("--merchant", metavar="ID", help="Merchant id, 15 characters.")
@click.option("--address", metavar="tcp://HOST:PORT", help="Where the acquirer listens.")
@click.option(
    "--key-scheme", metavar="NAME", help="acquirer.key_scheme: des, 3des (default), 3des-track, sm4 (unverified)."
)
@click.option("--wrapping-key", "wrapping", metavar="WHERE", help="What opens the keystore: storage.wrapping_key.")
def init(
    output: Output,
    *,
    simulated: bool,
    folder: str,
    terminal: str | None,
    merchant: str | None,
    address: str | None,
    key_scheme: str | None,
    wrapping: str | None,
) -> Exit:
    """Write a configuration and a keystore.

    Without --simulated the terminal master key is read from standard input, or asked for: in hex, whole on one line, or
    as two parts on two lines, which are combined. It is never taken from the command line. Nothing is overwritten.
    With --wrapping-key credential:NAME or passphrase, no file opens the keystore; a new passphrase is asked for, or is
    the first line of standard input.
    """
    from pos_engine.dialects.unionpay.schemes import USUAL

    if not simulated and (terminal is None or merchant is None):
        reason = "init needs --terminal and --merchant, or --simulated"
        raise UsageError(reason)
    values: dict[str, Value] = {
        "terminal.id": terminal or _any_terminal(),
        "terminal.merchant": merchant or _MERCHANT,
        "acquirer.key_scheme": key_scheme or USUAL,
    }
    if address is not None:
        values["acquirer.address"] = address
    if wrapping is not None:
        values["storage.wrapping_key"] = wrapping
    if simulated:
        values |= _SIMULATED
    # Checked before anything is asked for or written.
    text = _template(values, output)
    files = _Files(Path(folder), values)
    files.refuse_overwriting()
    # Before the master key is: whoever writes to standard input has to know what comes first.
    files.ask()
    key = _simulated_key(str(values["terminal.id"]), files.scheme) if simulated else _asked_key(files.scheme)
    check_value = files.write(text, key)
    port = (address or "").rpartition(":")[2] or str(DEFAULT_PORT)
    _tell_what_next(output, files, check_value, host_port=port if simulated else None)
    return Exit.DONE


def _template(values: dict[str, Value], output: Output) -> str:
    from pos_engine.config import template

    try:
        return template(values, language=output.language)
    except ConfigError as error:
        reason = str(error)
    raise UsageError(reason)


def _simulated_key(terminal: str, scheme: KeyScheme) -> KeyBytes:
    from simulators.acquirer import terminal_master_key

    return terminal_master_key(terminal, scheme.algorithm)


def _any_terminal() -> str:
    """Make up a terminal id: two trial terminals of one host would otherwise use the same trace numbers."""
    from pos_engine.system import entropy

    return f"T{int.from_bytes(entropy(4), 'big') % 10_000_000:07d}"


def write_simulated(folder: Path, output: Output) -> Path:
    """Write a simulated terminal's files into a folder and return its configuration's path."""
    values: dict[str, Value] = {"terminal.id": _TERMINAL, "terminal.merchant": _MERCHANT, **_SIMULATED}
    files = _Files(folder, values)
    files.write(_template(values, output), _simulated_key(_TERMINAL, files.scheme))
    return files.config


class _Files:
    """The two or three files of a terminal, written all or none."""

    def __init__(self, folder: Path, values: Mapping[str, Value]) -> None:
        from pos_engine.config import FILE_NAME, settle
        from pos_engine.dialects.registry import DIALECTS
        from pos_engine.keystore.wrapping import wrapping_key

        self.folder = folder.absolute()
        self.config = self.folder / FILE_NAME
        settled = settle(values, folder=self.folder)
        self.keystore = settled.keystore
        self.wrapping_key = settled.wrapping_key
        self.scheme = DIALECTS[settled.dialect].schemes[settled.key_scheme]
        self._place = wrapping_key(self.wrapping_key)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Those that there will be: a wrapping key need not be a file."""
        wrapping = (self.wrapping_key,) if isinstance(self.wrapping_key, Path) else ()
        return (self.config, self.keystore, *wrapping)

    def refuse_overwriting(self) -> None:
        """Raise `ConfigError` when one of them is there."""
        for path in self.paths:
            if os.path.lexists(path):
                reason = f"{path}: exists already, and is not overwritten"
                raise ConfigError(reason)

    def ask(self) -> None:
        """Ask for a passphrase where one will open the keystore."""
        self._place = self._place.asked()

    def write(self, text: str, key: KeyBytes) -> str:
        """Write them and return the key's check value; on failure none of them stays."""
        from pos_engine.crypto.keys import check_value, show
        from pos_engine.keystore.software import SoftwareKeyStore
        from pos_engine.system import entropy

        problem = ""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            problem = f"{self.folder}: cannot be made: {(error.strerror or '').lower()}"
        if problem:
            raise ConfigError(problem)
        algorithm = self.scheme.algorithm
        SoftwareKeyStore.create(self.keystore, self._place, tmk=key, entropy=entropy, algorithm=algorithm).close()
        try:
            with self.config.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            problem = f"{self.config}: cannot be written: {(error.strerror or '').lower()}"
        if problem:
            # Nobody has used these keys yet, and left behind they would stand in the way of another attempt.
            self.keystore.unlink()
            self._place.undo()
            raise ConfigError(problem)
        return show(check_value(key, algorithm))


def _asked_key(scheme: KeyScheme) -> KeyBytes:
    """Take the terminal master key from standard input: one line, or two that are combined."""
    from pos_engine.crypto.cipher import KEY_FAULTS, KEY_SIZES

    if sys.stdin.isatty():
        first = getpass.getpass("Terminal master key in hex, or its first part: ")
        lines = [first, getpass.getpass("Second part (enter when that was the whole key): ")]
    else:
        lines = sys.stdin.buffer.read(_KEY_CHARACTERS_MAX).decode("latin-1").splitlines()
    parts = [_key_part("".join(line.split())) for line in lines if line.strip()]
    key = _combined(parts)
    if len(key.reveal()) not in KEY_SIZES[scheme.algorithm]:
        reason = f"the terminal master key does not fit the key scheme {scheme.name}: {KEY_FAULTS[scheme.algorithm]}"
        raise UsageError(reason)
    return key


def _key_part(digits: str) -> bytes:
    part = b""
    if digits.isascii() and digits.isalnum() and len(digits) % 2 == 0:
        try:
            part = bytes.fromhex(digits)
        except ValueError:
            part = b""
    if len(part) not in {8, 16, 24}:
        reason = "the terminal master key is written as 16, 32 or 48 hex digits on standard input"
        raise UsageError(reason)
    return part


def _combined(parts: Sequence[bytes]) -> KeyBytes:
    if not 1 <= len(parts) <= 2 or len({len(part) for part in parts}) > 1:  # noqa: PLR2004 - a whole key, or two parts
        reason = "the terminal master key is one line of hex, or two parts of the same length on two lines"
        raise UsageError(reason)
    key = parts[0]
    for part in parts[1:]:
        key = bytes(one ^ other for one, other in zip(key, part, strict=True))
    if not any(key):
        reason = "the two parts of the terminal master key cancel each other out"
        raise UsageError(reason)
    return KeyBytes(key)


_WROTE: Final = Text("wrote", "已写入")
_CHECK_VALUE: Final = Text("check value of the terminal master key", "主密钥校验值")
_KEY_SCHEME: Final = Text("key scheme", "密钥方案")
_NEXT: Final = Text("next, each in its own window:", "下一步, 分别在两个窗口运行:")
_NEXT_REAL: Final = Text("next, when the check value is right:", "校验值无误后, 下一步:")


def _tell_what_next(output: Output, files: _Files, check_value: str, *, host_port: str | None) -> None:
    """Tell what was written and which commands come next; `host_port` is a simulated host's, `None` without one."""
    from pos_engine.crypto.cipher import Algorithm
    from pos_engine.dialects.base import UNVERIFIED

    program = "python -m pos_engine" if Path(sys.argv[0]).name == "__main__.py" else "pos-engine"
    here = files.folder == Path.cwd()
    config = "" if here else f" --config {shlex.quote(str(files.config))}"
    port = "" if host_port == str(DEFAULT_PORT) else f" --port {host_port}"
    served = "" if files.scheme.algorithm is Algorithm.TDES else f" --key-scheme {files.scheme.name}"
    trial = [f"{program} acquirer{port}{served}", f"{program} sale 12.34{config}"]
    commands = [f"{program} sign-on{config}"] if host_port is None else trial
    if output.as_json:
        written = {"config": files.config, "keystore": files.keystore, "wrapping_key": files.wrapping_key}
        paths = {name: str(path) for name, path in written.items()}
        scheme = {"key_scheme": files.scheme.name, "key_scheme_verified": files.scheme.verified}
        output.json({**paths, **scheme, "tmk_check_value": check_value, "next": commands})
        return
    for path in files.paths:
        output.line(f"{output.say(_WROTE)} {path}")
    output.line(f"{output.say(_CHECK_VALUE)}: {check_value}")
    if not files.scheme.verified:
        output.line(f"{output.say(_KEY_SCHEME)} {files.scheme.name}: {output.say(UNVERIFIED)}")
    output.line(output.say(_NEXT_REAL if host_port is None else _NEXT))
    for each in commands:
        output.line(f"  {each}")
