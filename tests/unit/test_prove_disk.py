"""The disk campaigns' own instruments: the trace's reader, the model of a disk, and what they find where planted."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import UsageError
from simulators.prove import rot
from simulators.prove.campaign import Scale, Shard
from simulators.prove.disk_history import STORIES, Held, everyday, expected, live, long_day, open_journal
from simulators.prove.disk_model import Bounds, Disk, Image, build, images, subsets, tears
from simulators.prove.disk_trace import Operation, Reader, What, record
from simulators.prove.power import POWER, ROOT, Bench, Recording, verdict
from simulators.prove.power_workload import NORMAL
from simulators.prove.rot import ROT

if TYPE_CHECKING:
    from collections.abc import Sequence


def hexed(text: str) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in text.encode()) + '"'


def read(*lines: str) -> list[Operation]:
    """Read calls of process 7 on the folder /j."""
    return list(Reader(Path("/j")).read(f"7 {line}" for line in lines))


def opened(name: str, number: int, flags: str = "O_RDWR|O_CREAT") -> str:
    return f"openat(AT_FDCWD, {hexed(f'/j/{name}')}, {flags}, 0600) = {number}"


def test_writes_flushes_and_names_are_read_in_order() -> None:
    assert read(
        opened("a", 3),
        f"pwrite64(3, {hexed('abcd')}, 4, 10) = 4",
        "fdatasync(3)            = 0",
        f"rename({hexed('/j/a')}, {hexed('/j/b')}) = 0",
        f"openat(AT_FDCWD, {hexed('/j')}, O_RDONLY|O_DIRECTORY) = 4",
        "fsync(4) = 0",
        "ftruncate(3, 2) = 0",
        "fallocate(3, 0, 0, 9) = 0",
        f"write(1, {hexed('done 1')}, 6) = 6",
        f"unlink({hexed('/j/b')}) = 0",
        "+++ exited with 0 +++",
    ) == [
        Operation(What.CREATE, 1, name="a"),
        Operation(What.WRITE, 1, 10, b"abcd"),
        Operation(What.SYNC, 1),
        Operation(What.RENAME, 1, name="a", target="b"),
        Operation(What.SYNC, 0),
        Operation(What.CUT, 1, 2),
        Operation(What.GROW, 1, 9),
        Operation(What.SAY, name="done 1"),
        Operation(What.UNLINK, 1, name="b"),
    ]


def test_what_failed_or_is_elsewhere_did_nothing() -> None:
    assert (
        read(
            f"openat(AT_FDCWD, {hexed('/j/a')}, O_RDONLY) = -1 ENOENT (No such file or directory)",
            f"openat(AT_FDCWD, {hexed('/k/a')}, O_RDWR|O_CREAT, 0600) = 3",
            f"pwrite64(3, {hexed('abcd')}, 4, 0) = 4",
            opened("x-shm", 5),
            f"pwrite64(5, {hexed('abcd')}, 4, 0) = 4",
            "fsync(3) = -1 EIO (Input/output error)",
        )
        == []
    )


def test_short_writes_copies_of_descriptors_and_positions_are_followed() -> None:
    assert read(
        opened("a", 3, "O_WRONLY|O_CREAT"),
        "dup(3) = 4",
        "fcntl(3, F_DUPFD_CLOEXEC, 0) = 9",
        "close(3) = 0",
        f"write(4, {hexed('abcd')}, 4) = 2",
        f"write(9, {hexed('cd')}, 2) = 2",
        "lseek(9, 100, SEEK_SET) = 100",
        f"write(9, {hexed('e')}, 1) = 1",
        f"pwrite64(3, {hexed('f')}, 1, 0) = 1",
        opened("a", 3, "O_WRONLY|O_TRUNC"),
    ) == [
        Operation(What.CREATE, 1, name="a"),
        Operation(What.WRITE, 1, 0, b"ab"),
        Operation(What.WRITE, 1, 2, b"cd"),
        Operation(What.WRITE, 1, 100, b"e"),
        Operation(What.CUT, 1, 0),
    ]


@pytest.mark.parametrize(
    "line",
    [
        f"pwritev(3, [{{iov_base={hexed('a')}, iov_len=1}}], 1, 0) = 1",
        "sendfile(3, 5, NULL, 10) = 10",
        "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = 0x7f0000000000",
        f"write(3, {hexed('a')}, 1) = 1",
        "fallocate(3, FALLOC_FL_PUNCH_HOLE, 0, 9) = 0",
        f"rename({hexed('/k/a')}, {hexed('/j/b')}) = 0",
        f"link({hexed('/j/a')}, {hexed('/j/b')}) = 0",
        'pwrite64(3, "\\x61"..., 1, 0) = 1',
        "fsync(3 <unfinished ...>",
    ],
)
def test_a_call_that_is_not_understood_is_never_passed_over(line: str) -> None:
    with pytest.raises(UsageError, match="the trace holds"):
        read(opened("a", 3), line)


def test_a_second_process_is_not_understood() -> None:
    lines = [f"7 {opened('a', 3)}", f"8 pwrite64(3, {hexed('a')}, 1, 0) = 1"]
    with pytest.raises(UsageError, match="a second process"):
        list(Reader(Path("/j")).read(lines))


def test_few_pending_operations_are_dropped_in_every_subset_and_many_in_those_that_matter() -> None:
    assert len(set(subsets(8, random.Random(1)))) == 256
    many = set(subsets(20, random.Random(1)))
    whole = tuple(range(20))
    assert {whole[:each] for each in range(21)} <= many
    assert {(each,) for each in whole} <= many
    assert {whole[:each] + whole[each + 1 :] for each in whole} <= many
    assert len(many) > 20 * 3 + 50
    assert tears(1200) == [1, 512, 600, 1024, 1199]
    assert tears(1) == []


NEW = Operation(What.CREATE, 1, name="a")
FLUSH, FLUSH_FOLDER = Operation(What.SYNC, 1), Operation(What.SYNC, 0)


def write(offset: int, data: bytes) -> Operation:
    return Operation(What.WRITE, 1, offset, data)


def possible(operations: Sequence[Operation]) -> set[tuple[tuple[str, bytes], ...]]:
    """Return all contents that a disk may have after the last of some operations, and no earlier ones."""
    final = {
        image: bounds
        for image, bounds in images([*operations, Operation(What.SAY, name="done 1")], 0).items()
        if bounds.least
    }
    return {tuple(sorted(files.items())) for _, files in build(operations, final)}


def test_what_was_flushed_is_there_and_what_was_not_may_be() -> None:
    begun = [NEW, FLUSH_FOLDER, write(0, b"ab"), FLUSH]
    assert possible(begun) == {(("a", b"ab"),)}
    assert possible([*begun, write(4, b"c")]) == {(("a", b"ab"),), (("a", b"ab\0\0c"),)}
    assert possible([*begun, write(0, b"xyz")]) == {(("a", each),) for each in (b"ab", b"xb", b"xy", b"xyz")}
    assert possible([*begun, Operation(What.CUT, 1, 1)]) == {(("a", b"ab"),), (("a", b"a"),)}
    assert possible([*begun, Operation(What.GROW, 1, 3)]) == {(("a", b"ab"),), (("a", b"ab\0"),)}


def test_a_name_is_durable_only_once_its_folder_is_flushed() -> None:
    assert possible([NEW, write(0, b"a"), FLUSH]) == {(), (("a", b"a"),)}
    kept = [NEW, write(0, b"a"), FLUSH, FLUSH_FOLDER]
    moved = [*kept, Operation(What.RENAME, 1, name="a", target="b")]
    assert possible(kept) == {(("a", b"a"),)}
    assert possible(moved) == {(("a", b"a"),), (("b", b"a"),)}
    assert possible([*kept, Operation(What.UNLINK, 1, name="a")]) == {(("a", b"a"),), ()}
    assert possible([*moved, FLUSH_FOLDER]) == {(("b", b"a"),)}


def test_what_a_lost_file_never_flushed_is_not_tried() -> None:
    gone = [NEW, FLUSH_FOLDER, *(write(each, b"a") for each in range(7)), Operation(What.UNLINK, 1, name="a")]
    assert len(images([*gone, FLUSH_FOLDER], 0)) == len(images(gone, 0))
    assert possible([*gone, FLUSH_FOLDER]) == {()}


def test_an_image_has_one_name_and_is_built_from_it() -> None:
    operations = [NEW, FLUSH_FOLDER, *(write(each, bytes([65 + each])) for each in range(4))]
    for image, files in build(operations, images(operations, 0)):
        assert Image.parse(str(image)) == image
        disk = Disk()
        for number, operation in enumerate(operations[: image.last + 1]):
            if number not in image.missing:
                disk.do(operation, image.torn if number == image.last else -1)
        assert files == disk.files()


def test_what_must_be_there_is_told_from_what_was_said() -> None:
    said = [Operation(What.SAY, name=each) for each in ("at 4", "try 5", "done 5")]
    begun = [NEW, said[0], said[1], write(0, b"a"), FLUSH, FLUSH_FOLDER, said[2]]
    bounds = images(begun, 0)
    assert bounds[Image(0)] == Bounds(0, 0, bounds[Image(0)].moments)
    assert (bounds[Image(3)].least, bounds[Image(3)].most) == (5, 5)
    unwatched = [Operation(What.SAY, name="unwatched"), *begun]
    assert images(unwatched, 0) == {}


def test_the_story_says_what_must_be_there() -> None:
    sessions = everyday()
    held = expected(sessions)
    assert held[0] == Held()
    assert len(held) == sum(len(session.changes) for session in sessions) + 1
    assert len(set(held)) == len(held)
    assert {len(each.sealed) for each in held} == {0, 1, 2}


def test_a_journal_holds_what_the_story_says(tmp_path: Path) -> None:
    recording = Recording((), expected(everyday()), {})
    bench = Bench(tmp_path / "image", recording)
    done = 0
    for session in everyday():
        journal = open_journal(tmp_path / "journal.db")
        for count, _ in enumerate(live(journal, session)):
            files = {each.name: each.read_bytes() for each in tmp_path.glob("journal.db*") if each.suffix != ".lock"}
            files.pop("journal.db-shm", None)
            assert bench.recover(files).changes == done + count
        done += len(session.changes)
        journal.close()


def test_the_verdict_names_what_is_wrong(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "image", Recording((), expected(everyday()), {}))
    fresh = bench.recover({})
    assert verdict(fresh, Bounds(0, 1)) == ""
    assert verdict(fresh, Bounds(1, 2)).startswith("LOST: 1 changes were acknowledged, 0 are there")
    assert verdict(bench.recover({"journal.db": b"not a journal" * 999}), Bounds(0, 0)).startswith("REFUSED: ")
    assert bench.distinct == 2


def traced(program: str, folder: Path) -> list[Operation]:
    return record([sys.executable, "-c", program, str(folder)], Reader(folder), inside=ROOT)


@pytest.mark.needs("strace")
@pytest.mark.parametrize(("flush", "least"), [("os.fsync(f); os.fsync(d)", 1), ("os.fsync(f)", 0), ("", 0)])
def test_a_writer_that_does_not_flush_is_found_out(flush: str, least: int, tmp_path: Path) -> None:
    program = f"""
import os, sys
d = os.open(sys.argv[1], os.O_RDONLY)
f = os.open(sys.argv[1] + "/a", os.O_WRONLY | os.O_CREAT)
os.write(1, b"try 1\\n")
os.write(f, b"money")
{flush}
os.write(1, b"done 1\\n")
"""
    operations = traced(program, tmp_path.resolve())
    acknowledged = [image for image, bounds in images(operations, 0).items() if bounds.least]
    contents = [files.get("a", b"") for _, files in build(operations, acknowledged)]
    assert min(content == b"money" for content in contents) == least


@pytest.mark.needs("strace")
def test_a_journal_whose_commits_are_not_flushed_is_found_out(tmp_path: Path) -> None:
    recording = Recording.of("everyday", NORMAL)
    found = images(recording.operations, 0)
    some = {image: found[image] for image in list(found)[:: len(found) // 60]}
    bench = Bench(tmp_path / "image", recording)
    wrong = [verdict(bench.recover(files), some[image]) for image, files in build(recording.operations, some)]
    assert [each for each in wrong if each.startswith(("LOST", "REFUSED"))]


@pytest.mark.needs("strace")
def test_the_long_day_sees_the_log_begin_again_from_its_start() -> None:
    operations = Recording.of("long day").operations
    first = next(number for number, each in enumerate(operations) if each.name == "watched")
    last = next(number for number, each in enumerate(operations) if number > first and each.name.startswith("at "))
    names = {each.file: each.target or each.name for each in operations if each.what in {What.CREATE, What.RENAME}}
    watched = [(names[each.file], each.offset) for each in operations[first:last] if each.what is What.WRITE]
    assert [offset for name, offset in watched if name == "journal.db"]
    assert ("journal.db-wal", 0) in watched
    assert set(STORIES) == {"everyday", "long day"}
    assert long_day()[0].filling > 0


@pytest.mark.needs("strace")
def test_a_case_of_power_loss_is_told_again() -> None:
    assert POWER.lacks() == ""
    told = POWER.repeat("everyday | 30/29/-1", 0)
    assert "missing" in told
    assert told.endswith("nothing is lost")
    for case in ("everyday", "everyday | 1/2", "nothing | 1//-1", "everyday | 1//77"):
        with pytest.raises(UsageError, match="no such case"):
            POWER.repeat(case, 0)


@pytest.mark.needs("strace")
def test_a_shard_of_power_loss_finds_nothing_and_its_control_does() -> None:
    tally = POWER.run(Shard(Scale.QUICK, count=30))
    assert tally.findings == ()
    assert tally.cases > 50
    assert tally.counts["control: REFUSED"] + tally.counts["control: LOST"] > 0
    assert POWER.run(Shard(Scale.QUICK, index=1, count=90)).counts["control: images"] == 0


def test_a_shard_of_rot_finds_nothing() -> None:
    tally = ROT.run(Shard(Scale.QUICK, index=1, count=10))
    assert ROT.lacks() == ""
    assert tally.findings == ()
    assert tally.counts["flip: refused"] > tally.counts["flip: harmless"] > 0
    assert {"older: refused", "cut: refused"} <= set(tally.counts)


def test_a_rot_that_nobody_notices_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "writing").mkdir()
    (tmp_path / "bench").mkdir()
    left = rot.written(tmp_path / "writing")["closed"]
    other = rot.Left(left.files, left.records[1:], left.bodies, left.older)
    bench = rot.Bench(tmp_path / "bench", other)
    assert bench.try_(left.files, writing=False) == ("harmless", "SILENT: it opens and holds something else")


def test_a_case_of_rot_is_told_again() -> None:
    assert "the journal is refused\nnothing is wrong" in ROT.repeat("closed .mark missing 0", 0)
    with pytest.raises(UsageError, match="no such case"):
        ROT.repeat("closed .mark vanished 0", 0)
