"""Backups of the journal on the command line: making one while the terminal is in use, and putting one back.

A restore says what it costs before it does anything: what came after the backup is lost, and only the acquirer's list
tells what that was. The same goes for the end of a journal whose mark is lost, because nobody knows of it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pos_engine.cli.border import command
from pos_engine.cli.exits import Exit, NothingFoundError
from pos_engine.errors import UsageError
from pos_engine.values import Text

if TYPE_CHECKING:
    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output

_EMPTY: Final = Text("there is no journal yet", "尚无交易流水")
_MADE: Final = Text("backed up and verified: {} entries, {} records", "已备份并核对: {} 条日志, {} 条记录")
_SEALED: Final = Text(
    "it holds the sealed card data of {} records: what the journal erases later stays in it, so destroy old backups",
    "含 {} 条记录的密封卡数据; 流水日后销毁的数据仍留存于备份, 请销毁旧备份",
)
_ASK: Final = Text(
    "What came after the backup will be lost, duties to reverse included. Restore it?",
    "备份之后的交易将丢失, 包括待冲正交易。是否恢复?",
)
_ASK_IN_PLACE: Final = Text(
    "Without its high-water mark, nobody knows whether the journal's end is missing. Go on with what it has?",
    "水位标记已丢失, 无法得知流水末尾是否缺失。是否按现有内容继续?",
)
_DONE: Final = Text("restored and verified: {} entries, {} records", "已恢复并核对: {} 条日志, {} 条记录")
_LOST: Final = Text(
    "{} entries or more after the backup are lost; compare with the acquirer's list",
    "备份之后至少 {} 条日志已丢失, 请与收单机构清单核对",
)
_UNKNOWN: Final = Text(
    "how many entries after the backup are lost is not known; compare with the acquirer's list",
    "备份之后丢失的日志条数未知, 请与收单机构清单核对",
)
_MAY_BE: Final = Text(
    "the journal has a new high-water mark; its end may be missing: compare with the acquirer's list",
    "流水已重建水位标记; 其末尾可能缺失, 请与收单机构清单核对",
)
_USED: Final = Text(
    "numbers up to STAN {} count as used; the next request signs on", "流水号至 {} 视为已用; 须重新签到"
)
_KEPT: Final = Text("kept as evidence", "留作证据")


@command(
    "backup",
    configured=True,
    example="pos-engine journal backup /media/usb/journal-2026-01-31.db",
)
@click.argument("file")
def backup(output: Output, settings: Settings, *, file: str) -> Exit:
    """Copy the journal to FILE, verified, while the terminal may be in use.

    FILE must not exist. It can be read by its owner only, and is of use only together with the keystore, which is not
    in it.
    """
    from pos_engine.cli.reading import reading

    with reading(settings.load()) as opened:
        if opened is None:
            raise NothingFoundError(_EMPTY.en)
        audited = opened.backup(Path(file).absolute())
    entries = audited.head.entries
    if output.as_json:
        counts = {"entries": entries, "records": audited.records, "sealed": audited.sealed, "erased": audited.erased}
        output.json({"backup": str(Path(file).absolute()), **counts})
        return Exit.DONE
    output.line(output.say(_MADE).format(entries, audited.records))
    if audited.sealed:
        output.note(output.say(_SEALED).format(audited.sealed))
    return Exit.DONE


@command(
    "restore",
    configured=True,
    example="pos-engine journal restore /media/usb/journal-2026-01-31.db\n"
    "pos-engine journal restore backup.db --after-stan 000321 --yes\n"
    "pos-engine journal restore --in-place",
)
@click.argument("file", required=False)
@click.option("--in-place", is_flag=True, help="Keep the journal; only its high-water mark is lost.")
@click.option("--after-stan", metavar="NNNNNN", help="The last STAN known to have been used: receipt, list, or screen.")
@click.option("--yes", "is_confirmed", is_flag=True, help="Do not ask.")
def restore(
    output: Output, settings: Settings, *, file: str | None, in_place: bool, after_stan: str | None, is_confirmed: bool
) -> Exit:
    """Put the backup FILE in the place of a journal that is lost or refused.

    The backup is verified first. The files that were there stay beside the journal, as evidence. No number is used
    twice: the journal's high-water mark tells the last STAN. Where it is gone too, --after-stan names the last one that
    is known, and the thousand after it count as used: what was declined or is in doubt printed no receipt.

    A journal that is whole is not replaced by a backup that lacks what it has. Where only its mark is lost, --in-place
    verifies it and makes a new mark. Where the mark says that the journal's end is missing, FILE may be the journal
    itself, to keep what is left.
    """
    from pos_engine.assembly import restore_journal
    from pos_engine.system import harden_process

    if (file is None) is not in_place:
        reason = "a restore takes the FILE of a backup, or --in-place"
        raise UsageError(reason)
    config = settings.load()
    if not is_confirmed:
        _confirm(output, in_place=in_place)
    harden_process()
    done = restore_journal(config, Path(file).absolute() if file is not None else None, after_stan=after_stan)
    evidence = [str(path) for path in done.evidence]
    entries = done.audited.head.entries
    if output.as_json:
        told = {"lost": done.lost, "stan": done.stan, "evidence": evidence}
        output.json({"journal": str(config.journal), "entries": entries, "records": done.audited.records, **told})
        return Exit.DONE
    output.line(output.say(_DONE).format(entries, done.audited.records))
    if in_place:
        output.line(output.say(_MAY_BE))
    else:
        output.line(output.say(_UNKNOWN) if done.lost is None else output.say(_LOST).format(done.lost))
    output.line(output.say(_USED).format(done.stan))
    for path in evidence:
        output.line(f"{output.say(_KEPT)}: {path}")
    return Exit.DONE


def _confirm(output: Output, *, in_place: bool) -> None:
    """Ask where somebody can answer; a program has to say so beforehand."""
    if not sys.stdin.isatty():
        cost = "the journal's end may be missing" if in_place else "what came after the backup will be lost"
        reason = f"nobody is there to confirm it: {cost}; --yes restores it all the same"
        raise UsageError(reason)
    if not click.confirm(output.say(_ASK_IN_PLACE if in_place else _ASK), err=True):
        reason = "not confirmed: nothing was changed"
        raise UsageError(reason)
