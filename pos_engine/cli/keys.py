"""Keys on the command line: showing them by their check values, loading the master key, destroying all of them.

No key is ever shown or taken from the command line. What would leave something owed undone says so first.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command, group
from pos_engine.cli.ceremony import answer, hold_journal, load
from pos_engine.cli.exits import Exit, NothingFoundError
from pos_engine.errors import ConfigError, JournalFault, KeyFault, PosError, UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.config import Config
    from pos_engine.keystore.box import Box
    from pos_engine.keystore.software import SoftwareKeyStore
    from pos_engine.status import Owed

_HEADS: Final = (
    Text("key", "密钥"),
    Text("algorithm", "算法"),
    Text("bytes", "字节数"),
    Text("check value", "校验值"),
    Text("where", "位置"),
)
_KEYSTORE: Final = Text("keystore", "密钥库")
_IN_FORCE: Final = Text("of the last sign-on", "最近签到")
_UNOPENED: Final = Text(
    "of the last sign-on; does not open under this master key: a sign-on is due", "最近签到; 主密钥不符: 须重新签到"
)
_STRANDED: Final = Text(
    "still owed; without the keys the terminal cannot send it: settle it first, or say --anyway",
    "尚有未了义务; 密钥销毁后终端无法发送: 请先处理, 或加 --anyway",
)
_STRANDED_ANYWAY: Final = Text("still owed, and left to the acquirer's list", "尚有未了义务, 须与收单机构清单核对")
_UNKNOWN: Final = Text("what is owed is not known", "未了义务未知")
_TYPE: Final = Text(
    "This destroys {} for good. Type the terminal id {} to go on: ", "将永久销毁{}。输入终端号 {} 继续: "
)
_ALL: Final = Text("all keys of the keystore", "密钥库中全部密钥")
_TMK: Final = Text("the terminal master key", "终端主密钥")
_DESTROYED: Final = Text("destroyed", "已销毁")
_LOST: Final = (
    Text(
        "card data sealed in the journal and its backups can no longer be read by anybody",
        "流水及其备份中的密封卡数据已无人可读",
    ),
    Text(
        "the journal and its backups can no longer be opened, verified or continued; keep them as books require",
        "流水及其备份已无法打开、核对或续用; 请按账务要求保留文件",
    ),
    Text(
        "blocks that flash memory or snapshots kept of the old files are out of reach; so are copies",
        "闪存或快照留存的旧数据块及任何副本无法触及",
    ),
)
_TMK_LOST: Final = (
    Text("the storage key stays: the journal can be read and verified as before", "存储密钥保留: 流水仍可读取与核对"),
    Text(
        "nothing can be sent until `pos-engine session keys load` puts a master key in",
        "执行 `pos-engine session keys load` 装入主密钥前无法发送",
    ),
)
_ELSEWHERE: Final = Text("{} is not here to be destroyed: do that where it is kept", "{} 不在此处: 请在保存处销毁")
_RUNNING: Final = Text("a running terminal keeps its keys until it ends: {}", "运行中的终端在结束前仍持有密钥: {}")


@group("keys", configured=True, example="pos-engine session keys list\npos-engine session keys load")
def keys(output: Output, settings: Settings) -> Exit:
    """List the keys by their check values, load the terminal master key, or destroy the keys.

    Without a sub-command, they are listed.
    """
    return _list(output, settings.load())


@command("list", configured=True, example="pos-engine session keys list\npos-engine session keys list --json")
def list_(output: Output, settings: Settings) -> Exit:
    """List every key: name, algorithm, length, and three bytes of check value.

    The keystore's own, and the working keys of the last sign-on. Reads the journal without holding it.
    """
    return _list(output, settings.load())


def _list(output: Output, config: Config) -> Exit:
    from pos_engine.keystore.software import SoftwareKeyStore
    from pos_engine.keystore.wrapping import wrapping_key
    from pos_engine.system import harden_process

    harden_process()
    with contextlib.closing(SoftwareKeyStore.open(config.keystore, wrapping_key(config.wrapping_key))) as store:
        rows = [*_held(store), *_working(config, store)]
    if output.as_json:
        output.json({"keys": rows})
        return Exit.DONE
    output.table([output.say(head) for head in _HEADS], [_row(row, output) for row in rows])
    return Exit.DONE


def _held(store: SoftwareKeyStore) -> Iterator[dict[str, object]]:
    for key in store.held():
        known = {"name": key.name, "algorithm": key.algorithm, "length": key.size, "check_value": key.check_value}
        yield {**known, "in": "keystore", "opens": True}


def _working(config: Config, store: SoftwareKeyStore) -> Iterator[dict[str, object]]:
    """Yield the working keys of the last sign-on, and whether this master key still opens them."""
    from pos_engine.assembly import read_journal
    from pos_engine.crypto.keys import show
    from pos_engine.dialects.base import Kind
    from pos_engine.journal.store import was_begun

    if not was_begun(config.journal, config.mark):
        return
    with contextlib.closing(read_journal(config, store)) as journal:
        sign_on = journal.last_approved(Kind.SIGN_ON)
    for key in sign_on.keys if sign_on is not None else ():
        size = store.size_of(key)
        known = {"name": key.usage.value, "algorithm": key.algorithm.value, "length": size or len(key.cryptogram)}
        yield {**known, "check_value": show(key.check_value), "in": "journal", "opens": size is not None}


def _row(row: dict[str, object], output: Output) -> list[str]:
    where = _KEYSTORE if row["in"] == "keystore" else _IN_FORCE if row["opens"] else _UNOPENED
    return [*(str(row[name]) for name in ("name", "algorithm", "length", "check_value")), output.say(where)]


@command(
    "zeroise",
    configured=True,
    example="pos-engine session keys zeroise\n"
    "pos-engine session keys zeroise --tmk-only --yes\n"
    "pos-engine session keys zeroise --anyway --yes",
)
@click.option("--tmk-only", is_flag=True, help="Only the terminal master key: the journal stays readable.")
@click.option("--yes", "is_confirmed", is_flag=True, help="Do not ask.")
@click.option("--anyway", is_flag=True, help="Although something is owed, or nobody knows, or a terminal is running.")
def zeroise(output: Output, settings: Settings, *, tmk_only: bool, is_confirmed: bool, anyway: bool) -> Exit:
    """Destroy the keys of this terminal: overwrite their files, then remove them.

    Before the terminal is given away, repaired, or when it may have been tampered with. The master key and the storage
    key go, and with the storage key every use of the journal: settle first, and keep its list. With --tmk-only the
    storage key stays. While something is owed, a reversal above all, nothing is destroyed without --anyway; exit code 4
    says so.
    """
    from pos_engine.system import harden_process

    config = settings.load()
    harden_process()
    _refuse_nothing(config)
    with contextlib.ExitStack() as held:
        running = _hold(config, held, anyway=anyway)
        box, owed, fault = _found(config, anyway=anyway, needs_box=tmk_only)
        if box is not None and box.tmk is None and tmk_only:
            reason = "the keystore holds no terminal master key"
            raise NothingFoundError(reason)
        if (owed or fault) and not _may_go_on(output, owed, fault, anyway=anyway):
            return Exit.IN_DOUBT
        if not is_confirmed:
            _confirm(output, config, _TMK if tmk_only else _ALL)
        gone, kept = _destroy(config, box if tmk_only else None)
    _tell(output, gone, kept, owed, running=running, tmk_only=tmk_only)
    return Exit.DONE


def _refuse_nothing(config: Config) -> None:
    """Refuse where there is no key, so that a wrong --config does not look like success."""
    from pos_engine.keystore.files import is_there

    wrapping = config.wrapping_key
    if not is_there(config.keystore) and (isinstance(wrapping, str) or not is_there(wrapping)):
        reason = f"{config.keystore}: there is no keystore"
        raise NothingFoundError(reason)


def _hold(config: Config, held: contextlib.ExitStack, *, anyway: bool) -> str | None:
    """Keep a terminal from starting meanwhile; return who is running where that does not matter."""
    try:
        hold_journal(config, held)
    except JournalFault as error:
        if anyway:
            return str(error)
        reason = f"{error}; stop that terminal first, or say --anyway"
    else:
        return None
    raise JournalFault(reason)


def _found(config: Config, *, anyway: bool, needs_box: bool) -> tuple[Box | None, tuple[Owed, ...], str]:
    """Open the keystore and ask the journal what is owed; with `anyway`, what cannot be known is a text."""
    from pos_engine.keystore.box import Box
    from pos_engine.keystore.wrapping import wrapping_key

    box: Box | None = None
    try:
        box = Box.open(config.keystore, wrapping_key(config.wrapping_key))
        return box, _owed(config, box), ""
    except (ConfigError, KeyFault, JournalFault) as error:
        if anyway and (box is not None or not needs_box):
            return box, (), str(error)
        kind: type[PosError] = type(error)
        reason = f"{error}; nothing was destroyed" + ("" if needs_box and box is None else " (--anyway does)")
    raise kind(reason)


def _owed(config: Config, box: Box) -> tuple[Owed, ...]:
    from pos_engine.assembly import assemble
    from pos_engine.journal.store import was_begun
    from pos_engine.keystore.software import SoftwareKeyStore
    from pos_engine.terminal import Terminal

    if not was_begun(config.journal, config.mark):
        return ()
    with Terminal(*assemble(config, keystore=SoftwareKeyStore.of(box), read_only=True)) as terminal:
        return terminal.status(recent=0).owed


def _may_go_on(output: Output, owed: tuple[Owed, ...], fault: str, *, anyway: bool) -> bool:
    """Say what is owed, or that it is not known; tell whether the keys may go all the same."""
    from pos_engine.cli.look import owed_json, owed_line

    if output.as_json and not anyway:
        output.json({"zeroised": False, "owed": [owed_json(each) for each in owed]})
    for each in owed:
        output.error(owed_line(each, output))
    known = _STRANDED_ANYWAY if anyway else _STRANDED
    output.error(f"{output.say(_UNKNOWN)}: {fault}" if fault else output.say(known))
    return anyway


def _confirm(output: Output, config: Config, what: Text) -> None:
    """Have the terminal's id typed where somebody can; a program has to say so beforehand."""
    if not sys.stdin.isatty():
        reason = "nobody is there to confirm it: --yes destroys the keys all the same"
        raise UsageError(reason)
    question = output.say(_TYPE).format(output.say(what), config.terminal_id)
    if answer(question) != config.terminal_id.strip():
        reason = "not confirmed: nothing was destroyed"
        raise UsageError(reason)


def _destroy(config: Config, box: Box | None) -> tuple[list[str], str | None]:
    """Destroy the master key in a keystore, or both files; return what is gone, and what is kept elsewhere."""
    from pos_engine.keystore.box import zeroise as destroy_files
    from pos_engine.keystore.wrapping import wrapping_key
    from pos_engine.system import entropy

    if box is not None:
        box.replaced(None, entropy=entropy)
        return [_TMK.en], None
    place = wrapping_key(config.wrapping_key)
    gone: list[Path] = destroy_files(config.keystore, place, entropy=entropy)
    return [str(path) for path in gone], None if config.wrapping_key in gone else str(place)


def _tell(
    output: Output,
    gone: list[str],
    kept: str | None,
    owed: tuple[Owed, ...],
    *,
    running: str | None,
    tmk_only: bool,
) -> None:
    from pos_engine.cli.look import owed_json

    if output.as_json:
        duties = [owed_json(each) for each in owed]
        output.json({"zeroised": True, "destroyed": gone, "kept": kept, "owed": duties, "running": running})
        return
    for each in gone:
        output.line(f"{output.say(_DESTROYED)}: {output.say(_TMK) if tmk_only else each}")
    for text in _TMK_LOST if tmk_only else _LOST:
        output.line(output.say(text))
    if kept is not None:
        output.line(output.say(_ELSEWHERE).format(kept))
    if running is not None:
        output.line(output.say(_RUNNING).format(running))


keys.add_command(list_)
keys.add_command(load)
keys.add_command(zeroise)
