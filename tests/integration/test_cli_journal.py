"""The journal from the command line: what it lists, what it verifies, what it exports, and what it never shows."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pos_engine.assembly import read_journal
from pos_engine.config import load
from pos_engine.crypto.keys import unwrap
from pos_engine.crypto.pinblock import format0
from pos_engine.journal.lock import WriterLock
from simulators.acquirer import terminal_master_key
from simulators.prove.canaries import Canary, sightings
from tests.support.commands import CARD, Done, Shop, on_a_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pos_engine.journal.store import SqliteJournal

KEYED = "6229990000000053"


def opened(shop: Shop) -> SqliteJournal:
    return read_journal(load(shop.folder / "pos-engine.toml", environment={}, folder=shop.folder))


def exported(done: Done) -> list[dict[str, Any]]:
    assert (done.code, done.err) == (0, "")
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.out.splitlines()]
    assert {line["schema"] for line in lines} <= {1}
    return lines


@pytest.fixture
def after_a_day(shop: Shop) -> Shop:
    """A sale voided, one refunded in part, one declined, one lost and reversed, one left in doubt."""
    for command in ("sale 12.34", "void 2", "sale 20.00", "refund 1.00 --original 4", "sale 9.51", "sale 9.96"):
        shop.run(*command.split())
    shop.run("sale", "3.00", "--key", "order 17")
    shop.run("sale", "9.96")
    return shop


DAY = [
    ("sign-on", "approved", None),
    ("sale", "voided", None),
    ("void", "approved", 2),
    ("sale", "approved", None),
    ("refund", "approved", 4),
    ("sale", "declined", None),
    ("sale", "reversed", None),
    ("reversal", "approved", 7),
    ("sale", "approved", None),
    ("sale", "in-doubt", None),
]


def test_the_list_has_one_line_a_record(after_a_day: Shop) -> None:
    listed = after_a_day.run("journal", "list")
    assert (listed.code, listed.err) == (0, "")
    heads, *lines = listed.out.splitlines()
    assert heads.split() == [
        "number",
        "time",
        "kind",
        "STAN",
        "batch",
        "amount",
        "card",
        "standing",
        "code",
        "acts",
        "on",
    ]
    assert len(lines) == len(DAY)
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+\d\d:\d\d"
    card = r"622999\*{6}0012"
    assert re.fullmatch(rf"3 +{moment} +void +000003 +000001 +12\.34 CNY +{card} +approved +00 +2", lines[2])
    assert re.fullmatch(rf"6 +{moment} +sale +000006 +000001 +9\.51 CNY +{card} +declined +51", lines[5])
    assert re.fullmatch(rf"10 +{moment} +sale +000009 +000001 +9\.96 CNY +{card} +in doubt", lines[9])
    assert after_a_day.run("journal").out == listed.out
    assert "结果未知" in after_a_day.run("journal", "list", "--lang", "zh").out


def test_the_list_in_json(after_a_day: Shop) -> None:
    content = after_a_day.run("journal", "list", "--json").json()
    assert content["total"] == len(DAY)
    records = content["records"]
    assert [(each["kind"], each["standing"], each["original"]) for each in records] == DAY
    assert [each["number"] for each in records] == list(range(1, len(DAY) + 1))
    assert set(records[0]) == {
        *("number", "kind", "stan", "batch", "standing", "code", "amount", "card", "at", "original", "key"),
    }
    assert records[8]["key"] == "order 17"


def test_the_list_shows_the_newest_and_says_that_there_are_more(shop: Shop) -> None:
    shop.run("sale", "1.00")
    shop.run("sale", "2.00")
    short = shop.run("journal", "list", "--limit", "2")
    assert [line.split()[0] for line in short.out.splitlines()[1:]] == ["2", "3"]
    assert short.err == "the newest 2 of 3 records; --all shows every one\n"
    whole = shop.run("journal", "list", "--limit", "2", "--all")
    assert (len(whole.out.splitlines()), whole.err) == (4, "")


def test_without_a_journal_there_is_nothing_to_list_or_verify(shop: Shop) -> None:
    for command in (["journal"], ["journal", "list"]):
        done = shop.run(*command)
        assert (done.code, done.out, done.err) == (0, "", "there is no journal yet\n")
    assert shop.run("journal", "list", "--json").json()["records"] == []
    assert exported(shop.run("journal", "export")) == []
    verified = shop.run("journal", "verify")
    assert (verified.code, verified.error()) == (9, "there is no journal yet")
    assert not shop.journal.exists()


def test_reading_works_beside_a_running_terminal(after_a_day: Shop) -> None:
    lock = WriterLock.acquire(after_a_day.journal)
    try:
        for command in ("list", "verify", "export"):
            assert after_a_day.run("journal", command).code == 0
    finally:
        lock.release()


def test_verifying_says_what_was_checked(after_a_day: Shop) -> None:
    verified = after_a_day.run("journal", "verify")
    assert (verified.code, verified.err) == (0, "")
    path, whole, *checks = verified.out.splitlines()
    assert path == str(after_a_day.journal)
    assert re.fullmatch(r"whole: \d+ entries, 10 records", whole)
    assert len(checks) == 6
    assert all(line.startswith("checked  ") for line in checks)
    content = after_a_day.run("journal", "verify", "--json").json()
    assert (content["whole"], content["records"], content["sealed"] + content["erased"]) == (True, 10, 0)
    assert content["entries"] == len(exported(after_a_day.run("journal", "export", "--history")))


@pytest.fixture
def keyed_in(shop: Shop) -> Shop:
    """A terminal whose cards are typed, with a sale in doubt: its card is sealed until the doubt is over."""
    settings = shop.folder / "pos-engine.toml"
    typed = {"reader": '"console"', "pin_pad": '"none"'}
    lines = [line for line in settings.read_text().splitlines() if not line.startswith("card =")]
    names = [line.partition(" = ")[0] for line in lines]
    settings.write_text(
        "\n".join(f"{n} = {typed[n]}" if n in typed else line for n, line in zip(names, lines, strict=True))
    )
    assert shop.run("sale", "9.96", stdin=f"{KEYED} 4912\n").code == 4
    return shop


def test_verifying_counts_sealed_and_erased_card_data(keyed_in: Shop) -> None:
    counts = keyed_in.run("journal", "verify", "--json").json()
    assert (counts["sealed"], counts["erased"]) == (1, 0)
    assert keyed_in.run("sale", "9.51", stdin=f"{KEYED} 4912\n").code == 3
    counts = keyed_in.run("journal", "verify", "--json").json()
    assert (counts["sealed"], counts["erased"]) == (0, 3)


def test_sealed_card_data_is_not_opened_for_a_list_or_an_export(keyed_in: Shop) -> None:
    with contextlib.closing(opened(keyed_in)) as journal:
        assert [record.request.get(2) for record in journal.sealed_records()] == [KEYED]
    for command in (["list", "--json"], ["export"], ["export", "--history"]):
        done = keyed_in.run("journal", *command)
        assert (done.code, "622999******0053" in done.out) == (0, True)
        assert list(sightings(done.out.encode(), [Canary("keyed card number", KEYED)])) == []


def damage(shop: Shop) -> Iterator[str]:
    """Damage a journal in one way after another; each yields what must be said, and is then undone."""
    kept = shop.folder / "kept"
    kept.mkdir()
    files = [path for path in shop.folder.iterdir() if path.name.startswith("journal.db")]
    for path in files:
        shutil.copy2(path, kept)
    mark = shop.folder / "journal.db.mark"

    def edited() -> str:
        shop.journal.write_bytes(shop.journal.read_bytes().replace(b"000000001234", b"000000009999"))
        return "damaged"

    def lost() -> str:
        shop.journal.unlink()
        return "the journal is missing"

    def unmarked() -> str:
        mark.unlink()
        return "high-water mark is missing"

    def spoiled() -> str:
        mark.write_bytes(b"\0" * mark.stat().st_size)
        return "high-water mark is damaged"

    def cut() -> str:
        shop.journal.write_bytes(shop.journal.read_bytes()[:4096])
        return "journal.db: "

    for way in (edited, lost, unmarked, spoiled, cut):
        yield way()
        for path in kept.iterdir():
            shutil.copy2(path, shop.folder)


def test_a_damaged_journal_is_refused_in_one_line_and_left_as_it_is(shop: Shop) -> None:
    assert shop.run("sale", "12.34").code == 0
    for expected in damage(shop):
        before = {path.name: path.read_bytes() for path in shop.folder.glob("journal.db*")}
        for command in ("verify", "list", "export"):
            refused = shop.run("journal", command, "--json")
            assert (refused.code, refused.out) == (8, "")
            assert expected in refused.error()
        assert shop.run("status").code == 8
        after = {path.name: path.read_bytes() for path in shop.folder.glob("journal.db*")}
        assert {name: after[name] for name in before} == before
    assert shop.run("journal", "verify").code == 0


def test_the_export_has_every_record_in_its_present_form(after_a_day: Shop) -> None:
    lines = sorted(exported(after_a_day.run("journal", "export")), key=number)
    assert [(each["kind"], each["standing"], each["original"]) for each in lines] == DAY
    sign_on, sale = lines[:2]
    assert (sale["state"], sale["amount"]["minor"], sale["card"]) == ("approved", 1234, CARD.pan.masked)
    assert (sale["request"]["mti"], sale["request"]["fields"]["4"]) == ("0200", "000000001234")
    assert (sale["answer"]["mti"], sale["answer"]["fields"]["39"]) == ("0210", "00")
    assert {"2", "35", "36", "52", "55", "62"} & {*sale["request"]["fields"], *sale["answer"]["fields"]} == set()
    assert [set(key) for key in sign_on["keys"]] == [{"usage", "check_value"}] * 2
    assert all(re.fullmatch("[0-9A-F]{6}", key["check_value"]) for key in sign_on["keys"])


def number(line: dict[str, Any]) -> int:
    return int(line["number"])


def test_the_history_has_every_form_in_the_order_it_was_written(shop: Shop) -> None:
    shop.run("sale", "12.34")
    forms = exported(shop.run("journal", "export", "--history"))
    assert [each["entry"] for each in forms] == list(range(1, len(forms) + 1))
    assert [(each["kind"], each["state"]) for each in forms] == [
        ("sign-on", "pending"),
        ("sign-on", "approved"),
        ("sale", "pending"),
        ("sale", "approved"),
    ]
    assert {each["standing"] for each in forms} == {None}


def test_the_export_starts_with_a_day(shop: Shop) -> None:
    shop.run("sale", "1.00")
    today = datetime.now(UTC)
    days = [(today + timedelta(days=shift)).date().isoformat() for shift in (-2, 2)]
    assert [len(exported(shop.run("journal", "export", "--since", day))) for day in days] == [2, 0]
    for day in ("yesterday", "2026-02-30", "20260131", "2026-W05-6", "２０２６-01-31"):
        refused = shop.run("journal", "export", "--since", day)
        assert (refused.code, refused.error()) == (2, "--since takes a day as 2026-01-31")


def secrets(shop: Shop) -> Iterator[Canary]:
    """All that this terminal's outputs must not hold: cards, blocks, its keys in clear and as the host sent them."""
    assert CARD.pin is not None
    master = terminal_master_key(shop.terminal)
    yield Canary("card number", CARD.pan.reveal())
    yield Canary("keyed card number", KEYED)
    yield Canary("track 2", CARD.track2.reveal())
    yield Canary("clear PIN block", format0(CARD.pin, CARD.pan))
    yield Canary("master key", master.reveal())
    yield Canary("wrapping key", (shop.folder / "wrapping.key").read_bytes())
    with contextlib.closing(opened(shop)) as journal:
        working = [key for record in journal.recent(1000) for key in record.keys]
    assert len(working) >= 2
    for key in working:
        yield Canary(f"{key.usage.value} as the host sent it", key.cryptogram)
        yield Canary(key.usage.value, unwrap(master, key).reveal())


def test_no_output_holds_a_secret(after_a_day: Shop) -> None:
    looked_for = list(secrets(after_a_day))
    commands = (
        "journal list --all",
        "journal list --all --json",
        "journal verify",
        "journal verify --json",
        "journal export",
        "journal export --history",
        "status",
        "status --json",
        "status --key",
        "config show --origin",
        "config show --json",
        "config check",
        "config check --json",
        "void 8 --json -vv",
        "balance -vv",
        "echo -vv",
        "sign-off -vv",
    )
    for command in commands:
        words = [*command.split(), *(["order 17", "--json"] if command.endswith("--key") else [])]
        done = after_a_day.run(*words)
        assert done.code == 0
        assert list(sightings(f"{done.out}{done.err}".encode(), looked_for)) == []


def backed_up(shop: Shop, *, after: int = 1) -> str:
    """Back the journal of a terminal up, and trade on."""
    assert shop.run("sale", "1.00").code == 0
    assert shop.run("journal", "backup", "kept/backup.db").code == 8
    (shop.folder / "kept").mkdir()
    assert shop.run("journal", "backup", "kept/backup.db").code == 0
    for _ in range(after):
        assert shop.run("sale", "2.00").code == 0
    return "kept/backup.db"


def test_a_backup_says_what_it_holds_and_overwrites_nothing(keyed_in: Shop) -> None:
    made = keyed_in.run("journal", "backup", "backup.db")
    assert (made.code, made.out) == (0, "backed up and verified: 4 entries, 2 records\n")
    assert made.err.startswith("it holds the sealed card data of 1 records: ")
    again = keyed_in.run("journal", "backup", "backup.db")
    assert (again.code, again.out) == (2, "")
    assert again.error() == f"{keyed_in.folder}/backup.db: is there already, and is not overwritten"
    content = keyed_in.run("journal", "backup", "other.db", "--json").json()
    assert content == {
        "schema": 1,
        "backup": str(keyed_in.folder / "other.db"),
        "entries": 4,
        "records": 2,
        "sealed": 1,
        "erased": 0,
    }
    assert "密封卡数据" in keyed_in.run("journal", "backup", "zh.db", "--lang", "zh").err
    secret = [Canary("keyed card number", KEYED)]
    for file in ("backup.db", "other.db"):
        assert (keyed_in.folder / file).stat().st_mode & 0o777 == 0o600
        assert list(sightings((keyed_in.folder / file).read_bytes(), secret)) == []


def test_without_a_journal_there_is_nothing_to_back_up(shop: Shop) -> None:
    done = shop.run("journal", "backup", "backup.db")
    assert (done.code, done.error()) == (9, "there is no journal yet")


def test_a_backup_is_put_in_the_place_of_a_damaged_journal(shop: Shop) -> None:
    file = backed_up(shop)
    shop.journal.write_bytes(shop.journal.read_bytes()[:-4096])
    assert shop.run("sale", "3.00").code == 8
    done = shop.run("journal", "restore", file, "--yes")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "restored and verified: 5 entries, 3 records",
        "2 entries or more after the backup are lost; compare with the acquirer's list",
        "numbers up to STAN 000004 count as used; the next request signs on",
        f"kept as evidence: {shop.journal}.evidence-1",
        f"kept as evidence: {shop.journal}.evidence-1.mark",
    ]
    assert shop.run("journal", "verify").code == 0
    assert shop.run("sale", "3.00").code == 0
    records = shop.run("journal", "list", "--json").json()["records"]
    assert [(each["kind"], each["stan"]) for each in records] == [
        ("sign-on", "000001"),
        ("sale", "000002"),
        ("restore", "000004"),
        ("sign-on", "000005"),
        ("sale", "000006"),
    ]
    # A journal that is whole is left alone.
    refused = shop.run("journal", "restore", file, "--yes")
    assert (refused.code, refused.out) == (2, "")
    assert refused.error().endswith("the journal is whole and not older than the backup, so nothing is restored")


def test_a_restore_without_a_mark_needs_the_last_number(shop: Shop) -> None:
    file = backed_up(shop, after=3)
    for each in shop.folder.glob("journal.db*"):
        each.unlink()
    refused = shop.run("journal", "restore", file, "--yes", "--json")
    assert (refused.code, refused.out) == (2, "")
    assert refused.error().endswith("is known to have been used has to be named: --after-stan")
    assert shop.run("journal", "restore", file, "--yes", "--after-stan", "5").code == 2
    content = shop.run("journal", "restore", file, "--yes", "--after-stan", "000005", "--json").json()
    told: dict[str, object] = {"entries": 5, "records": 3, "lost": None, "stan": "001006", "evidence": []}
    assert content == {"schema": 1, "journal": str(shop.journal), **told}
    assert shop.run("sale", "3.00").code == 0


def test_a_whole_journal_without_a_mark_is_kept_and_gets_a_new_one(shop: Shop) -> None:
    file = backed_up(shop, after=3)
    mark = shop.folder / "journal.db.mark"
    refused = shop.run("journal", "restore", "--in-place", "--yes")
    assert (refused.code, refused.out) == (2, "")
    assert refused.error().endswith("the journal is whole and its high-water mark fits it, so nothing is restored")
    mark.unlink()
    refused = shop.run("journal", "restore", file, "--yes", "--after-stan", "000005")
    assert (refused.code, refused.out) == (2, "")
    assert refused.error().endswith("only its high-water mark is missing or damaged, and is made anew by --in-place")
    done = shop.run("journal", "restore", "--in-place", "--yes")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "restored and verified: 11 entries, 6 records",
        "the journal has a new high-water mark; its end may be missing: compare with the acquirer's list",
        "numbers up to STAN 001006 count as used; the next request signs on",
        f"kept as evidence: {shop.journal}.evidence-1",
    ]
    mark.write_bytes(b"x")
    content = shop.run("journal", "restore", "--in-place", "--yes", "--json").json()
    assert (content["records"], content["lost"], content["stan"]) == (7, None, "002007")
    mark.unlink()
    zh = shop.run("journal", "restore", "--in-place", "--yes", "--lang", "zh")
    assert "流水已重建水位标记; 其末尾可能缺失, 请与收单机构清单核对" in zh.out
    assert shop.run("sale", "3.00").code == 0
    records = shop.run("journal", "list", "--json").json()["records"]
    assert [each["kind"] for each in records] == ["sign-on", *["sale"] * 4, *["restore"] * 3, "sign-on", "sale"]


def test_a_restore_takes_a_backup_or_the_journal_in_place(shop: Shop) -> None:
    for words in ([], ["backup.db", "--in-place"]):
        refused = shop.run("journal", "restore", *words, "--yes")
        assert (refused.code, refused.error()) == (2, "a restore takes the FILE of a backup, or --in-place")


def test_a_restore_asks_only_where_somebody_can_answer(shop: Shop) -> None:
    file = backed_up(shop)
    shop.journal.unlink()
    before = sorted(path.name for path in shop.folder.iterdir())
    refused = shop.run("journal", "restore", file)
    assert (refused.code, "--yes" in refused.error()) == (2, True)
    code, shown = on_a_terminal(shop, "journal", "restore", file, typed="n\n")
    assert (code, "not confirmed: nothing was changed" in shown) == (2, True)
    assert sorted(path.name for path in shop.folder.iterdir()) == before
    code, shown = on_a_terminal(shop, "journal", "restore", file, typed="y\n")
    assert (code, "restored and verified" in shown) == (0, True)
    shop.journal.with_name("journal.db.mark").unlink()
    refused = shop.run("journal", "restore", "--in-place")
    assert (refused.code, "the journal's end may be missing; --yes" in refused.error()) == (2, True)
    code, shown = on_a_terminal(shop, "journal", "restore", "--in-place", typed="y\n")
    assert (code, "nobody knows whether the journal's end is missing" in shown) == (0, True)


def test_a_mark_on_other_media_knows_an_older_copy_of_the_whole_folder(shop: Shop, tmp_path: Path) -> None:
    shop.variables["POS_ENGINE_STORAGE_MARK"] = str(tmp_path / "other-media.mark")
    assert shop.run("sale", "1.00").code == 0
    older = shop.journal.read_bytes()
    assert shop.run("sale", "2.00").code == 0
    assert not shop.journal.with_name("journal.db.mark").exists()
    shop.journal.write_bytes(older)
    refused = shop.run("sale", "3.00")
    assert (refused.code, "it was cut or is an older copy" in refused.error()) == (8, True)
    # A folder that is empty is known as well.
    for each in shop.folder.glob("journal.db*"):
        each.unlink()
    for command in (["sale", "3.00"], ["status"], ["journal", "verify"]):
        refused = shop.run(*command)
        assert (refused.code, "the journal is missing" in refused.error()) == (8, True)
