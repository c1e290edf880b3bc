"""The session on the command line: looked at, and checked for a timer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.commands import Shop


def test_a_session_is_shown_with_its_age_and_its_end(shop: Shop) -> None:
    assert shop.run("session").out.startswith("session  signed-out: there is no journal yet")
    assert shop.run("sign-on").code == 0
    shown = shop.run("session", "show")
    assert (shown.code, shown.err) == (0, "")
    # Between the two commands the seconds run down.
    assert shown.out.count("\n") == shop.run("session").out.count("\n")
    lines = dict(line.split(maxsplit=1) for line in shown.out.splitlines())
    assert lines["session"] == "ready: signed on"
    assert "holds for   23:59:5" in shown.out
    assert "renewed in  23:29:5" in shown.out
    assert "PIN key" in shown.out


def test_a_session_in_json_and_in_chinese(shop: Shop) -> None:
    shop.run("sign-on", "--set", "session.busy_hours=00:00-23:59")
    content = shop.run("session", "show", "--json").json()
    assert (content["state"], content["why"]) == ("ready", {"en": "signed on", "zh": "已签到"})
    assert 86_000 < content["left_s"] <= 86_400
    assert 84_000 < content["renew_in_s"] <= 84_600
    assert [key["usage"] for key in content["keys"]] == ["PIN key", "MAC key"]
    assert "签到状态" in shop.run("session", "--lang", "zh").out


def test_a_check_passes_while_the_session_holds_long_enough(shop: Shop) -> None:
    unsigned = shop.run("session", "check")
    assert (unsigned.code, unsigned.out) == (6, "there is no journal yet\n")
    shop.run("sign-on")
    good = shop.run("session", "check")
    assert good.code == 0
    assert good.out.startswith("good for another 23:59:5")
    short = shop.run("session", "check", "--within", "2d")
    assert short.code == 6
    assert short.out.startswith("ends in 23:59:5")
    assert short.out.endswith(": sign on before business begins\n")
    content = shop.run("session", "check", "--within", "90m", "--json").json()
    assert (content["within_s"], content["holds"]) == (5400, True)


def test_a_check_fails_when_the_policy_ends_the_session_sooner(shop: Shop) -> None:
    shop.run("sign-on")
    assert shop.run("session", "check", "--set", "session.sign_on_age_max_s=3600").code == 6
    assert shop.run("session", "check", "--within", "30m", "--set", "session.sign_on_age_max_s=3600").code == 0


@pytest.mark.parametrize("within", ["", "12", "h", "1.5h", "-1h", "1w"])
def test_a_time_that_is_none_is_refused(shop: Shop, within: str) -> None:
    done = shop.run("session", "check", "--within", within)
    assert (done.code, done.error()) == (2, "--within takes a time such as 90m, 12h or 2d")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("busy_hours", "8-9"),
        ("busy_hours", "08:00"),
        ("exchanges_max", "3"),
        ("renew_before_s", "-1"),
        ("host_day", "x"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(shop: Shop, key: str, value: str) -> None:
    done = shop.run("session", "--set", f"session.{key}={value}")
    assert (done.code, done.out) == (6, "")
    assert f"session.{key}" in done.error()
