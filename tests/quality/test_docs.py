"""The documentation runs: every page's Python and console blocks, in order, and every link within the project."""

from __future__ import annotations

import fcntl
import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.quality.snippets import Command, Shop, blocks, commands, is_installed, matches, unknown
from tests.quality.tree import ROOT, Source, texts, tracked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = [source for source in texts() if source.path.endswith(".md")]
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)")


@pytest.fixture
def shop(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A folder of its own; one page at a time over all test processes, since pages use the default port."""
    shared = tmp_path_factory.getbasetemp().parent if "-gw" in str(tmp_path_factory.getbasetemp()) else tmp_path
    with (shared / "pages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = tmp_path / "shop"
        folder.mkdir()
        yield Shop(folder)


def runs_our_command(page: Source) -> bool:
    return any(
        command.line.startswith("pos-engine ")
        for block in blocks(page.text)
        if block.language == "console" and not block.skipped
        for command in commands(block)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_block_of_a_page_runs(page: Source, shop: Shop) -> None:
    assert is_installed() or not runs_our_command(page), "install the package: make test does"
    assert shop.run_page(page.text) == []


def broken_links(page: Source) -> list[str]:
    folder = (ROOT / page.path).parent
    return [link for link in LINK.findall(page.text) if not (folder / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_link_within_the_project_leads_somewhere(page: Source) -> None:
    assert broken_links(page) == []


def test_a_link_to_nowhere_is_seen() -> None:
    page = Source("README.md", "[a](docs/nowhere.md) [b](LICENSE) [c](#top) [d](https://example.com)")
    assert broken_links(page) == ["docs/nowhere.md"]


def test_the_readme_is_a_page() -> None:
    assert "README.md" in tracked()
    assert "README.md" in [page.path for page in PAGES]


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("```python\nraise SystemExit(3)\n```\n", "ended with 3"),
        ("```console\n$ make coffee\n```\n", "no target coffee"),
        ("```console\n$ frobnicate\n```\n", "not a command"),
        ("```sh\nfrobnicate --all\n```\n", "not a command"),
    ],
)
def test_a_block_that_does_not_run_is_seen(page: str, fault: str, shop: Shop) -> None:
    [found] = shop.run_page(page)
    assert fault in found


def test_blocks_share_one_folder_and_skipped_ones_do_not_run(shop: Shop) -> None:
    page = """
```python
from pathlib import Path
Path("till").write_text("12.34")
```

<!-- snippet: skip, needs a PIN pad -->
```python
raise SystemExit(1)
```

```python
from pathlib import Path
assert Path("till").read_text() == "12.34"
```
"""
    assert shop.run_page(page) == []


def test_our_own_commands_run_and_print_what_the_page_shows(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(shop, monkeypatch)
    page = """
```console
$ pos-engine acquirer
$ pos-engine sale 12.34
approved ...
$ pos-engine sale 0  # exit 2
```
"""
    assert shop.run_page(page) == []
    assert [process.poll() is not None for process in shop.running] == [True]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("$ pos-engine sale 12.34\ndeclined", "printed something else"),
        ("$ pos-engine sale 0", "ended with 2, not 0"),
        ("$ pos-engine sale 12.34  # exit 3", "ended with 0, not 3"),
        ("$ pos-engine acquirer --port none", "did not stay up"),
    ],
)
def test_a_command_that_does_something_else_is_seen(
    line: str, fault: str, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(shop, monkeypatch)
    [found] = shop.run_page(f"```console\n{line}\n```\n")
    assert fault in found


def stand_in(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a small `pos-engine` first on the path, so that the machinery is tested apart from the commands."""
    scripts = shop.folder.parent / "bin"
    scripts.mkdir()
    program = scripts / "pos-engine"
    program.write_text(
        f"""#!{sys.executable}
import signal, sys
if sys.argv[1:] == ["acquirer"]:
    print("listening", flush=True)
    signal.pause()
sys.exit(2) if sys.argv[1:] != ["sale", "12.34"] else print("approved 001234")
"""
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(scripts / "python"))


def test_commands_and_samples_are_read_as_a_person_reads_them() -> None:
    [block] = blocks("text\n```console\n$ pos-engine sale \\\n  12.34\napproved\n$ make test\n```\n")
    assert (block.line, block.skipped) == (2, False)
    assert commands(block) == [Command("pos-engine sale   12.34", "approved"), Command("make test", "")]
    assert matches("a ... c", "a b\nb c\n")
    assert not matches("a ... c", "a b d")
    assert unknown("make test lint  # both") is None
    assert unknown("# nothing but a comment") is None


def test_a_page_leaves_no_process_behind(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(shop, monkeypatch)
    assert shop.run_page("```console\n$ pos-engine acquirer &\n$ pos-engine acquirer\n```\n") == []
    assert [process.returncode is not None for process in shop.running] == [True, True]
