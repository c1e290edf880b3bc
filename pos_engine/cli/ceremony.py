"""Loading the terminal master key under dual control: two or three components, each known to one custodian alone.

Each component is entered unseen and recognised by its check value; the key is all of them XORed, as ISO 11568 has it.
Nothing is written before the key's own check value is right, and then the keystore changes whole or not at all.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import hmac
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command
from pos_engine.cli.exits import Exit
from pos_engine.errors import ConfigError, KeyFault, UsageError
from pos_engine.values import KeyBytes, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.config import Config
    from pos_engine.crypto.cipher import Algorithm
    from pos_engine.keystore.box import Box
    from pos_engine.keystore.wrapping import WrappingKey

PARTS_MIN: Final = 2
PARTS_MAX: Final = 3
ATTEMPTS: Final = 3
"""How often a custodian may mistype."""

_PART_BYTES_MAX: Final = 256
"""A component has at most 48 digits; the rest is room for spaces and ends of lines."""
_CHECK_BYTES: Final = range(3, 9)
_YES: Final = frozenset({"y", "yes", "是"})

_COMPONENT: Final = Text("Component {} of {} in hex, not shown: ", "分量 {}/{} (十六进制, 不显示): ")
_OF_COMPONENT: Final = Text("check value of component {}: {}", "分量{}校验值: {}")
_OF_KEY: Final = Text("check value of the terminal master key: {}", "主密钥校验值: {}")
_RIGHT: Final = Text("Is that right? Type yes: ", "是否正确? 输入 yes: ")
_AGAIN: Final = Text("not confirmed: enter component {} again", "未确认: 请重新输入分量{}")
_PARITY: Final = Text(
    "warning: not every byte of the key has odd parity; the check value decides", "警告: 密钥字节非奇校验; 以校验值为准"
)
_LOADED: Final = Text("loaded: terminal master key, {}, {} bytes, check value {}", "已装入主密钥: {}, {}字节, 校验值{}")
_GONE: Final = Text("the old one is gone from the keystore", "旧主密钥已从密钥库删除")
_NEXT: Final = Text(
    "working keys under another master key no longer open: the next transaction signs on first",
    "旧工作密钥不再可用: 下一笔交易前自动签到",
)
_FILES: Final = Text("destroy the files of the components, or give each back to its custodian", "请销毁或交还分量文件")


@command(
    "load",
    configured=True,
    example="pos-engine session keys load\n"
    "pos-engine session keys load --custodians 3 --check-value 08D7B4\n"
    "pos-engine session keys load --part /media/a/part --part /media/b/part --check-value 08D7B4",
)
@click.option("--part", "parts", multiple=True, metavar="FILE", help="A file with one component in hex; give each.")
@click.option(
    "--custodians",
    type=click.IntRange(PARTS_MIN, PARTS_MAX),
    help="How many components are entered here; default 2.",
)
@click.option("--check-value", metavar="HEX", help="What the key's check value must be: 6 to 16 digits.")
def load(
    output: Output, settings: Settings, *, parts: tuple[str, ...], custodians: int | None, check_value: str | None
) -> Exit:
    """Load the terminal master key from two or three components.

    Each custodian enters one, unseen, and confirms its check value; the key is all of them XORed. Where nobody can be
    asked, each component is a file that only its owner can read, and --check-value is needed. Bad parity only warns. A
    wrong check value changes nothing. Where there is no keystore yet, one is made. The terminal must not be running.
    """
    from pos_engine.system import harden_process

    expected = _expected(check_value)
    _refuse_unanswerable(parts, custodians, expected)
    config = settings.load()
    harden_process()
    with contextlib.ExitStack() as held:
        hold_journal(config, held)
        place, box, algorithm = _opened(config)
        if parts:
            components = [_from_file(Path(path), algorithm) for path in parts]
        else:
            components = _typed(output, algorithm, custodians or PARTS_MIN)
        key = combined(components)
        _approve(output, key, algorithm, expected)
        _put(config, place, box, key)
    _tell(output, key, algorithm, components, was_there=box is not None and box.tmk is not None, from_files=bool(parts))
    return Exit.DONE


def hold_journal(config: Config, held: contextlib.ExitStack) -> None:
    """Keep a terminal from running meanwhile; raises `JournalFault` when one is."""
    from pos_engine.journal.lock import WriterLock
    from pos_engine.journal.store import was_begun

    # Without a journal no terminal is running, and its folder may not be there.
    if was_begun(config.journal, config.mark):
        held.callback(WriterLock.acquire(config.journal).release)


def _expected(check_value: str | None) -> bytes | None:
    if check_value is None:
        return None
    digits = "".join(check_value.split())
    if re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", digits) is None or len(digits) // 2 not in _CHECK_BYTES:
        reason = "--check-value takes 6 to 16 hex digits"
        raise UsageError(reason)
    return bytes.fromhex(digits)


def _refuse_unanswerable(parts: tuple[str, ...], custodians: int | None, expected: bytes | None) -> None:
    """Refuse what contradicts itself, or could only be asked where nobody is."""
    fault = ""
    if parts and custodians is not None:
        fault = "components come from files (--part) or from custodians (--custodians), not from both"
    elif parts and not PARTS_MIN <= len(parts) <= PARTS_MAX:
        fault = f"a key has {PARTS_MIN} or {PARTS_MAX} components: give --part for each"
    elif not sys.stdin.isatty() and (not parts or expected is None):
        fault = "nobody is there to be asked: give each component as --part FILE, and --check-value"
    if fault:
        raise UsageError(fault)


def _opened(config: Config) -> tuple[WrappingKey, Box | None, Algorithm]:
    """Open the keystore; where there is none, get ready to make one."""
    from pos_engine.crypto.cipher import Algorithm
    from pos_engine.journal.store import was_begun
    from pos_engine.keystore.box import Box
    from pos_engine.keystore.files import is_there
    from pos_engine.keystore.wrapping import wrapping_key

    place = wrapping_key(config.wrapping_key)
    if is_there(config.keystore):
        box = Box.open(config.keystore, place)
        return place, box, box.algorithm
    if was_begun(config.journal, config.mark):
        reason = f"{config.keystore}: is not there, and the journal needs its own: move the journal away first"
        raise ConfigError(reason)
    return place.asked(), None, Algorithm.TDES


def _from_file(path: Path, algorithm: Algorithm) -> KeyBytes:
    from pos_engine.keystore.files import OTHERS, read

    text = read(path, size_max=_PART_BYTES_MAX, refused=OTHERS).decode("latin-1")
    return _component(text, algorithm, str(path))


def _component(text: str, algorithm: Algorithm, name: str) -> KeyBytes:
    """Read a component; the `UsageError` names it and never quotes it."""
    from pos_engine.crypto.cipher import KEY_SIZES

    digits = "".join(text.split())
    sizes = sorted(KEY_SIZES[algorithm])
    if re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", digits) is None or len(digits) // 2 not in sizes:
        reason = f"{name}: a component is written as {' or '.join(str(2 * size) for size in sizes)} hex digits"
        raise UsageError(reason)
    component = bytes.fromhex(digits)
    if not any(component):
        reason = f"{name}: a component of zeros leaves the key to the others"
        raise UsageError(reason)
    return KeyBytes(component)


def _typed(output: Output, algorithm: Algorithm, count: int) -> list[KeyBytes]:
    return [_typed_component(output, algorithm, number, count) for number in range(1, count + 1)]


def _typed_component(output: Output, algorithm: Algorithm, number: int, count: int) -> KeyBytes:
    """Have one component entered until its custodian confirms the check value."""
    for _ in range(ATTEMPTS):
        text = getpass.getpass(output.say(_COMPONENT).format(number, count))
        try:
            component = _component(text, algorithm, f"component {number}")
        except UsageError as error:
            output.error(str(error))
            continue
        click.echo(output.say(_OF_COMPONENT).format(number, _shown(component, algorithm)), err=True)
        if _is_confirmed(output):
            return component
        click.echo(output.say(_AGAIN).format(number), err=True)
    reason = f"component {number} was not confirmed: nothing was changed"
    raise UsageError(reason)


def _is_confirmed(output: Output) -> bool:
    return answer(output.say(_RIGHT)).lower() in _YES


def answer(question: str) -> str:
    """Ask on the terminal and return what was typed; `EOFError` when nobody will answer any more."""
    click.echo(question, nl=False, err=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.strip()


def combined(components: Sequence[KeyBytes]) -> KeyBytes:
    """Return all components XORed; a `UsageError` where fewer people than there are components would know the key."""
    clear = [component.reveal() for component in components]
    fault = ""
    if len({len(each) for each in clear}) > 1:
        fault = "the components have different lengths"
    elif len(set(clear)) < len(clear):
        fault = "two components are the same: they cancel each other out"
    key = functools.reduce(_xor, clear)
    if not fault and not any(key):
        fault = "the components cancel each other out"
    if fault:
        raise UsageError(fault)
    return KeyBytes(key)


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=False))


def _approve(output: Output, key: KeyBytes, algorithm: Algorithm, expected: bytes | None) -> None:
    """Have the key's check value compared, or confirmed; `KeyFault` when it is another one."""
    from pos_engine.crypto.cipher import Algorithm as Ciphers
    from pos_engine.crypto.keys import check_value

    if algorithm is Ciphers.TDES and not _has_odd_parity(key):
        output.note(output.say(_PARITY))
    if expected is not None:
        if hmac.compare_digest(check_value(key, algorithm, size=len(expected)), expected):
            return
        reason = f"the key's check value is {_shown(key, algorithm)}, not the one given: nothing was changed"
        raise KeyFault(reason)
    click.echo(output.say(_OF_KEY).format(_shown(key, algorithm)), err=True)
    if not _is_confirmed(output):
        reason = "the key was not confirmed: nothing was changed"
        raise UsageError(reason)


def _has_odd_parity(key: KeyBytes) -> bool:
    return all(byte.bit_count() % 2 for byte in key.reveal())


def _shown(key: KeyBytes, algorithm: Algorithm) -> str:
    from pos_engine.crypto.keys import check_value, show

    return show(check_value(key, algorithm))


def _put(config: Config, place: WrappingKey, box: Box | None, key: KeyBytes) -> None:
    from pos_engine.keystore.box import Box
    from pos_engine.system import entropy

    if box is None:
        Box.create(config.keystore, place, tmk=key, entropy=entropy)
    else:
        box.replaced(key, entropy=entropy)


def _tell(
    output: Output,
    key: KeyBytes,
    algorithm: Algorithm,
    components: Sequence[KeyBytes],
    *,
    was_there: bool,
    from_files: bool,
) -> None:
    size, check = len(key.reveal()), _shown(key, algorithm)
    if output.as_json:
        parts = [{"check_value": _shown(component, algorithm)} for component in components]
        known = {"name": "terminal master key", "algorithm": algorithm.value, "length": size, "check_value": check}
        output.json({**known, "components": parts, "odd_parity": _has_odd_parity(key), "replaced": was_there})
        return
    output.line(output.say(_LOADED).format(algorithm.value, size, check))
    if was_there:
        output.line(output.say(_GONE))
    output.line(output.say(_NEXT))
    if from_files:
        output.note(output.say(_FILES))
