"""Downloads on the command line: ordered, shown, and owed because the host asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import new_shop, running_host

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Shop

DEMANDING = """
[[rule]]
name = "keys"
match = { kind = "sale" }
action = { do = "header", digit = "4" }
"""


def test_nothing_is_shown_where_there_is_nothing(shop: Shop) -> None:
    shown = shop.run("session", "download")
    assert (shown.code, shown.out, shown.err) == (0, "", "nothing was downloaded yet\n")
    content = shop.run("session", "download", "--json").json()
    assert (content["in_force"], content["owed"]) == ([], [])


@pytest.mark.parametrize(
    ("what", "entries", "shown"),
    [
        ("parameters", 8, "测试商户"),
        ("ca-keys", 3, "expires 20401231, 512 bits"),
        ("aids", 2, "A000000333010101"),
        ("blacklist", 3, "62299910"),
    ],
)
def test_each_is_fetched_and_is_in_force_then(shop: Shop, what: str, entries: int, shown: str) -> None:
    done = shop.run("session", "download", what)
    assert done.code == 0
    assert done.out.startswith("APPROVED")
    assert shown in done.out
    assert f"{entries} entries since" in done.out
    assert shown in shop.run("session", "download").out
    content = shop.run("session", "download", "--json").json()
    (in_force,) = content["in_force"]
    assert (in_force["download"], in_force["entries"], in_force["demanded"]) == (what, entries, False)
    again = shop.run("session", "download", what, "--anew", "--json").json()
    assert (again["outcome"], again["entries"]) == ("approved", entries)


def test_a_status_is_told_with_what_was_downloaded(shop: Shop) -> None:
    shop.run("session", "download", "parameters")
    told = shop.run("session", "download", "status")
    assert (told.code, told.out) == (0, "APPROVED\n")


def test_what_the_host_asked_for_is_owed_and_shown(tmp_path: Path) -> None:
    (tmp_path / "demanding.toml").write_text(DEMANDING, encoding="utf-8")
    with running_host(tmp_path, "--scenario", "demanding.toml") as (_, first):
        shop = new_shop(tmp_path, int(first["port"]))
        shop.initialise()
        assert shop.run("sale", "12.34").code == 0
        assert "download owed" in shop.run("session").out
        (owed,) = shop.run("session", "--json").json()["downloads"]
        assert (owed["download"], owed["demanded"], owed["pages"]) == ("ca-keys", True, 0)
        assert "待下载" in shop.run("session", "download", "--lang", "zh").out
        assert shop.run("session", "download", "ca-keys").code == 0
        (in_force,) = shop.run("session", "download", "--json").json()["in_force"]
        assert in_force["demanded"]


def test_a_dead_line_costs_nothing_and_the_download_is_owed(shop: Shop) -> None:
    dead = shop.run("session", "download", "aids", "--set", "acquirer.address=tcp://127.0.0.1:9")
    assert (dead.code, dead.out) == (5, "")
    assert shop.run("session", "download").out.startswith("owed  chip applications  ordered by a person")


@pytest.mark.parametrize("arguments", [("everything",), ("--anew",)])
def test_what_cannot_be_ordered_is_refused(shop: Shop, arguments: tuple[str, ...]) -> None:
    assert shop.run("session", "download", *arguments).code == 2
