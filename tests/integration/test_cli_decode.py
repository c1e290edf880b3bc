"""`decode`: what is shown of captured bytes, and what never is."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess

import pytest

from pos_engine.cli import main
from pos_engine.values import mask_pan
from tests.support.commands import (
    CARD,
    PROGRAM,
    Shop,
    environment,
    on_a_terminal,
)
from tests.vectors.messages import SAMPLES, Sample

# A sale's request with card number and track 2, as a terminal sends it; the card is the simulator's.
BODY = "0200" + "6000000020000000" + "166229990000000012" + "000000" + "376229990000000012D49122010000000000000F"
REQUEST = f"00356000030000603200320000{BODY}"


def test_decode_finds_length_tpdu_and_header_by_itself(empty: Shop) -> None:
    content = empty.run("decode", "-", "--json", stdin=REQUEST).json()
    assert content == {
        "schema": 1,
        "length": 53,
        "tpdu": "6000030000",
        "header": "603200320000",
        "mti": "0200",
        "bitmap": "6000000020000000",
        "fields": {"2": "622999******0012", "3": "000000", "35": "***"},
        "notes": ["field 35: its pad nibble is not 0"],
    }
    bare = empty.run("decode", "-", "--json", stdin=BODY).json()
    assert (bare["length"], bare["tpdu"], bare["header"], bare["fields"]) == (None, None, None, content["fields"])


def test_decode_shows_a_summary_and_a_table(empty: Shop) -> None:
    done = empty.run("decode", "-", stdin=REQUEST)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "0200 financial request, card 622999******0012, processing code 000000"
    assert re.fullmatch(r"field +name +value", lines[1])
    assert any(re.fullmatch(r"2 +Primary account number +622999\*{6}0012", line) for line in lines)
    assert any(re.fullmatch(r"35 +Track 2 data +\*\*\* \(the magnetic stripe, never shown\)", line) for line in lines)
    assert any(re.fullmatch(r" +Processing requirement +0 \(none\)", line) for line in lines)
    assert lines[-1] == "note: field 35: its pad nibble is not 0"
    assert "\x1b" not in done.out
    assert "主账号" in empty.run("decode", "-", "--lang", "zh", stdin=REQUEST).out


def test_decode_shows_binary_fields_as_hex_and_parts_of_private_ones(empty: Shop) -> None:
    message = "08000020000000C00010" + "000001" + b"T0000001M00000000000001".hex() + "001100000001003" + "0"
    done = empty.run("decode", message.lower(), "--json")
    assert done.json()["fields"] == {
        "11": "000001",
        "41": "T0000001",
        "42": "M00000000000001",
        "60": "00000001003",
    }
    text = empty.run("decode", message).out
    assert re.search(r"^  60\.2 +Batch number +000001$", text, re.MULTILINE)


def test_decode_takes_hex_in_pieces_and_warns_of_the_shell_s_history(empty: Shop) -> None:
    pieces = [BODY[place : place + 2] for place in range(0, len(BODY), 2)]
    done = empty.run("decode", *pieces, "--json")
    assert done.json()["mti"] == "0200"
    assert "shell's history" in done.err
    assert empty.run("decode", *pieces, "--json", "-q").err == ""


def test_decode_reads_a_file_of_one_message_or_one_per_line(empty: Shop) -> None:
    one = "\n".join(REQUEST[place : place + 32] for place in range(0, len(REQUEST), 32))
    (empty.folder / "one.hex").write_text(one)
    assert empty.run("decode", "one.hex", "--json").json()["length"] == 53
    (empty.folder / "two.hex").write_text(f"{REQUEST}\n\n{BODY}\n")
    two = empty.run("decode", "two.hex", "--json")
    assert (two.code, two.err) == (0, "")
    assert [json.loads(line)["length"] for line in two.out.splitlines()] == [53, None]
    (empty.folder / "three.hex").write_text(f"{REQUEST}\n{BODY[:-6]}\n")
    three = empty.run("decode", "three.hex", "--json")
    assert (three.code, len(three.out.splitlines())) == (7, 2)
    assert three.error().startswith("message 2: field 35: ")


@pytest.mark.parametrize(
    ("text", "offset"),
    [("", 0), ("  ", 0), ("020", 3), ("02 0\n", 4), ("0g", 1), ("02 00 x", 6), ("０２", 0), ("0200-", 4), ("\0", 0)],
)
def test_decode_names_the_offset_of_what_is_no_hex(empty: Shop, text: str, offset: int) -> None:
    done = empty.run("decode", "-", stdin=text)
    assert (done.code, done.out) == (2, "")
    assert f"offset {offset}" in done.error()


@pytest.mark.parametrize("argument", ["nowhere.hex", "zz" * 5000, "62299900000000120"])
def test_decode_of_an_argument_that_is_neither_hex_nor_a_file(empty: Shop, argument: str) -> None:
    done = empty.run("decode", argument)
    assert (done.code, done.out) == (2, "")
    assert "offset" in done.error()


@pytest.mark.parametrize("cut", [2, 4, 12, 20, 30, len(BODY) - 2])
def test_decode_shows_what_could_be_read_before_the_fault(empty: Shop, cut: int) -> None:
    done = empty.run("decode", "-", "--json", stdin=BODY[:cut])
    assert done.code == 7
    content = done.json()
    assert set(content) == {"schema", "length", "tpdu", "header", "mti", "bitmap", "fields", "notes"}
    assert done.error()
    text = empty.run("decode", "-", stdin=BODY[:cut])
    assert (text.code, text.out != "") == (7, True)


def test_decode_of_a_bare_card_number_shows_nothing_of_it(empty: Shop) -> None:
    for more in ([], ["--json"]):
        done = empty.run("decode", CARD.pan.reveal(), *more)
        assert done.code == 7
        assert "622999" not in done.out + done.err


@pytest.mark.parametrize(
    "sample", [sample for sample in SAMPLES if not sample.negative], ids=lambda sample: sample.name
)
def test_decode_of_every_capture_is_what_it_is_with_the_card_masked(sample: Sample) -> None:
    """Run in this process: what a process adds is tested above, and there are some sixty captures."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as ended:
        main(["decode", sample.raw.hex(), "--json", "-q"])
    content = json.loads(printed.getvalue())
    expected = dict(sample.decode, schema=1)
    expected["fields"] = dict(expected["fields"])
    for number, hidden in (("35", "***"), ("36", "***"), ("52", "***")):
        if number in expected["fields"]:
            expected["fields"][number] = hidden
    if "2" in expected["fields"]:
        expected["fields"]["2"] = mask_pan(expected["fields"]["2"])
    assert ended.value.code == 0
    assert content == expected


@pytest.mark.needs("xxd", "hexdump")
def test_decode_reads_what_dump_programs_print_and_files_of_bytes(empty: Shop) -> None:
    raw = bytes.fromhex(REQUEST)
    (empty.folder / "one.bin").write_bytes(raw)
    (empty.folder / "two.bin").write_bytes(raw + raw)
    expected = empty.run("decode", "-", "--json", stdin=REQUEST).json()
    for command in ("xxd", "xxd -u -g1", "xxd -c 7", "xxd -p", "hexdump -C"):
        printed = subprocess.run([*command.split(), "one.bin"], cwd=empty.folder, capture_output=True, check=True)
        done = empty.run("decode", "-", "--json", stdin=printed.stdout.decode())
        assert (done.json(), done.err) == (expected, ""), command
        twice = empty.run("decode", "-", "--json", stdin=printed.stdout.decode() * 2)
        assert [json.loads(line) for line in twice.out.splitlines()] == [expected] * 2, command
    assert empty.run("decode", "one.bin", "--json").json() == expected
    two = empty.run("decode", "two.bin", "--json")
    assert [json.loads(line) for line in two.out.splitlines()] == [expected] * 2
    trees = empty.run("decode", "two.bin").out
    assert trees.count("0200 financial request") == 2


@pytest.mark.needs("hexdump")
def test_decode_expands_what_hexdump_left_out(empty: Shop) -> None:
    body = bytes.fromhex("0800" + "0000000000000002" + "0080") + b"0" * 80
    (empty.folder / "long.bin").write_bytes(body)
    printed = subprocess.run(["hexdump", "-C", "long.bin"], cwd=empty.folder, capture_output=True, check=True).stdout
    assert b"\n*\n" in printed
    assert empty.run("decode", "-", "--json", stdin=printed.decode()).json()["fields"] == {"63": "0" * 80}


@pytest.mark.parametrize("line", ["00000010: 3030  00", "00000000: 02\n00000002: 00  ."])
def test_a_dump_with_a_gap_is_refused_with_its_line(empty: Shop, line: str) -> None:
    done = empty.run("decode", "-", stdin=line)
    assert (done.code, done.out) == (2, "")
    assert "line" in done.error()


def test_bytes_stand_beside_the_fields_and_hide_what_the_fields_hide(empty: Shop) -> None:
    done = empty.run("decode", "-", "--bytes", stdin=REQUEST)
    assert done.code == 0
    lines = done.out.splitlines()
    assert any(re.match(r"0017 +16 62 29 99 \*\* \*\* \*\* 00 12 +2 +Primary", line) for line in lines)
    assert any(re.match(r"0020 +00 00 00 +3 +Processing code", line) for line in lines)
    assert any(re.match(r"0023 +37( \*\*){15} +35 +Track 2 data", line) for line in lines)
    shown = re.sub(r"[^0-9A-F]", "", done.out)
    assert "49122010" not in shown
    both = empty.run("decode", "-", "--bytes", "--json", stdin=REQUEST)
    assert (both.code, both.out) == (2, "")


def test_bytes_that_were_not_read_are_not_shown(empty: Shop) -> None:
    done = empty.run("decode", "-", "--bytes", stdin=BODY[:-6])
    assert done.code == 7
    assert "49 12" not in done.out


@pytest.mark.parametrize(
    ("message", "warned"),
    [
        (BODY, True),
        ("08100000000000000014" + "0011" + "000000010030" + "0040" + "11" * 40, False),
        ("08000000000000000014" + "0011" + "000000010030" + "0025" + b"Sequence No12306022003600".hex(), False),
        ("02000000000000000014" + "0011" + "220000010000" + "0022" + b"911234567890".ljust(22).hex(), True),
        ("02000000000000000200" + "0005" + "9F36020001", False),
        ("02000000000000000200" + "0010" + "5A08" + "6229990000000004", True),
        ("05000000000000010000" + "0062" + "00" * 31, False),
        ("02000000000000000020" + "0024" + b"A30196211111111111111111".hex(), True),
        ("02100000000000000020" + "0007" + b"A400212".hex(), False),
    ],
)
def test_the_command_line_is_warned_of_only_when_it_holds_card_data(empty: Shop, message: str, *, warned: bool) -> None:
    done = empty.run("decode", message, "--json")
    assert done.code == 0, done.err
    assert ("shell's history" in done.err) is warned


def test_a_dialect_can_be_named(empty: Shop) -> None:
    assert empty.run("decode", "-", "--json", "--dialect", "unionpay", stdin=REQUEST).json()["length"] == 53
    refused = empty.run("decode", "-", "--dialect", "esperanto", stdin=REQUEST)
    assert (refused.code, refused.out) == (2, "")
    assert "unionpay" in refused.error()


def test_unmask_shows_the_card_number_and_only_on_a_terminal(empty: Shop) -> None:
    (empty.folder / "one.hex").write_text(REQUEST)
    refused = empty.run("decode", "one.hex", "--unmask")
    assert (refused.code, refused.out) == (2, "")
    assert "terminal only" in refused.error()
    code, shown = on_a_terminal(empty, "decode", "one.hex", "--unmask")
    assert code == 0
    assert CARD.pan.reveal() in shown
    assert CARD.track2.reveal() not in shown
    assert "4912" not in shown


def test_a_reader_that_goes_away_is_no_fault(empty: Shop) -> None:
    (empty.folder / "many.hex").write_text(f"{BODY}\n" * 2000)
    command = f"{' '.join(PROGRAM)} decode many.hex --json | head -n 1"
    done = subprocess.run(
        ["sh", "-c", command], cwd=empty.folder, env=environment(empty.folder), capture_output=True, check=False
    )
    assert json.loads(done.stdout)["mti"] == "0200"
    assert done.stderr == b""
