"""Sign-ons that fail for real: each is put down to its cause, in words and JSON, and counted by `session history`."""

from __future__ import annotations

import contextlib
import importlib.util
import re
from typing import TYPE_CHECKING, Final

import pytest

from pos_engine.dialects.base import pack, unpack
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.session.diagnosis import ADVICE, Cause
from pos_engine.wire.message import Message
from tests.support.commands import MERCHANT, closed_port, running_host
from tests.support.echo_host import EchoHost, frame, read_frame, reset

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.commands import Done, Shop

WRONG_KEY: Final = "0123456789ABCDEFFEDCBA9876543210"
BUSY: Final = '[[rule]]\nname = "busy"\nmatch = {{ kind = "sign-on" }}\naction = {{ do = "decline", code = "{}" }}\n'
HAS_MATPLOTLIB: Final = importlib.util.find_spec("matplotlib") is not None


def at(port: int, host: str = "127.0.0.1") -> tuple[str, ...]:
    return (
        *("--set", f"acquirer.address=tcp://{host}:{port}"),
        *("--set", "acquirer.answer_timeout_s=1"),
        *("--set", "acquirer.connect_timeout_s=5"),
    )


def silent(connection: socket.socket) -> None:
    """Take the request, and say nothing until the other end leaves."""
    read_frame(connection)
    connection.recv(1)


def closing(connection: socket.socket) -> None:
    """Take the request, and close."""
    read_frame(connection)


def resetting(connection: socket.socket) -> None:
    read_frame(connection)
    reset(connection)


def saying(data: bytes) -> Callable[[socket.socket], None]:
    """Take the request, and say something of another protocol."""

    def script(connection: socket.socket) -> None:
        read_frame(connection)
        connection.sendall(data)
        connection.recv(1)

    return script


def answering_somebody_else(connection: socket.socket) -> None:
    """Approve a sign-on that nobody here has asked for."""
    payload = read_frame(connection)
    assert payload is not None
    asked = unpack(UNIONPAY, payload)
    answer = Message("0810", {11: "999999", 39: "00", 41: asked.message[41], 42: asked.message[42]})
    connection.sendall(frame(pack(UNIONPAY, answer, tpdu=asked.tpdu, header=asked.header).encode()))
    connection.recv(1)


def check(done: Done, cause: Cause, code: int) -> None:
    """The answer in JSON has both languages; what a person is told stands on standard error."""
    assert done.code == code
    diagnosis = done.json()["diagnosis"]
    advice = ADVICE[cause]
    assert diagnosis["cause"] == cause.value
    for name in ("meaning", "engine", "merchant", "call"):
        text = getattr(advice, name)
        assert diagnosis[name] == {"en": text.en, "zh": text.zh}
    assert all(fact["en"] and fact["zh"] for fact in diagnosis["evidence"])


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        (silent, Cause.TIMEOUT),
        (closing, Cause.CLOSED),
        (resetting, Cause.CLOSED),
        (answering_somebody_else, Cause.FOREIGN),
        (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Cause.FRAMING),
        (saying(b"\x00\x14HTTP/1.1 200 OK\r\n\r\n\r\n"), Cause.FRAMING),
        (saying(b"\x00\x0d" + bytes.fromhex("6000000000603200320000") + b"\x08\x10"), Cause.HOST_DEFECT),
    ],
)
def test_what_a_peer_does_is_put_down_to_its_cause(
    shop: Shop, script: Callable[[socket.socket], None], cause: Cause
) -> None:
    with EchoHost(script) as host:
        check(shop.run("sign-on", "--json", *at(host.address[1])), cause, 5)


def test_a_closed_port_is_told_in_the_language_of_the_shop(shop: Shop) -> None:
    nowhere = at(closed_port())
    advice = ADVICE[Cause.REFUSED]
    check(shop.run("sign-on", "--json", *nowhere), Cause.REFUSED, 5)
    for language, why, to_do in (("en", "why", "to do"), ("zh", "原因", "请")):
        done = shop.run("sign-on", "--lang", language, *nowhere)
        assert (done.code, done.out) == (5, "")
        assert "connection refused" in done.error()
        meaning, merchant = (text.zh if language == "zh" else text.en for text in (advice.meaning, advice.merchant))
        assert f"  {why}: {meaning}\n" in done.err
        assert f"  {to_do}: {merchant}\n" in done.err
    assert shop.run("sign-on", "-q", *nowhere).err.count("\n") == 1
    assert "  - the terminal saw: nobody listens at the host's address\n" in shop.run("sign-on", "-v", *nowhere).err


def test_a_name_that_nobody_knows(shop: Shop) -> None:
    check(shop.run("sign-on", "--json", *at(9583, "nobody.invalid")), Cause.NAME, 5)


@contextlib.contextmanager
def enrolled(folder: Path, terminal: str, merchant: str = MERCHANT, tmk: str = "derived") -> Iterator[int]:
    """A host that knows one terminal."""
    roster = folder / "terminals.toml"
    roster.write_text(f'[[terminal]]\nid = "{terminal}"\nmerchant = "{merchant}"\ntmk = "{tmk}"\n', encoding="utf-8")
    with running_host(folder, "--enrol", str(roster)) as (_, first):
        yield int(first["port"])


def test_a_terminal_that_the_host_does_not_know(shop: Shop) -> None:
    with enrolled(shop.folder, "T8888888") as port:
        check(shop.run("sign-on", "--json", *at(port)), Cause.TERMINAL, 3)
        done = shop.run("sign-on", "--lang", "zh", *at(port))
        assert "97 终端未登记" in done.out
        assert f"原因: {ADVICE[Cause.TERMINAL].meaning.zh}\n" in done.err
        # A sale cannot go on without a sign-on, and says the same.
        check(shop.run("sale", "1.00", "--json", *at(port)), Cause.TERMINAL, 6)


def test_a_merchant_that_is_another(shop: Shop) -> None:
    with enrolled(shop.folder, shop.terminal, "M00000000000009") as port:
        check(shop.run("sign-on", "--json", *at(port)), Cause.MERCHANT, 3)


def test_a_master_key_that_is_another(shop: Shop) -> None:
    (shop.folder / "tmk.hex").write_text(WRONG_KEY, encoding="utf-8")
    with enrolled(shop.folder, shop.terminal, tmk="tmk.hex") as port:
        check(shop.run("sign-on", "--json", *at(port)), Cause.KEYS, 6)
        sale = shop.run("sale", "1.00", *at(port))
        assert (sale.code, sale.out) == (6, "")
        assert "check value" in sale.error()
        assert f"  to do: {ADVICE[Cause.KEYS].merchant.en}\n" in sale.err


@pytest.mark.parametrize(("code", "cause"), [("91", Cause.BUSY), ("94", Cause.OUT_OF_STEP), ("05", Cause.HOST_REFUSAL)])
def test_a_host_that_refuses(shop: Shop, code: str, cause: Cause) -> None:
    scenario = shop.folder / "refuse.toml"
    scenario.write_text(BUSY.format(code), encoding="utf-8")
    with running_host(shop.folder, "--scenario", str(scenario)) as (_, first):
        check(shop.run("sign-on", "--json", *at(int(first["port"]))), cause, 3)


def test_what_is_no_matter_of_the_session_gets_no_such_advice(shop: Shop) -> None:
    declined = shop.run("sale", "9.51")
    assert (declined.code, declined.err) == (3, "")
    echo = shop.run("echo", *at(closed_port()))
    assert (echo.code, len(echo.err.splitlines())) == (5, 1)
    refused = shop.run("void", "2")
    assert (refused.code, len(refused.err.splitlines())) == (9, 1)
    unsent = shop.run("sale", "1.00", *at(closed_port()))
    assert (unsent.code, len(unsent.err.splitlines())) == (5, 1)


def test_the_history_counts_what_happened(shop: Shop) -> None:
    nowhere = at(closed_port())
    shop.run("sign-on", *nowhere)
    shop.run("sale", "1.00", *nowhere)
    assert shop.run("sign-on").code == 0
    done = shop.run("session", "history")
    assert (done.code, done.err) == (0, "")
    assert re.search(r"^succeeded +1$", done.out, re.MULTILINE)
    assert re.search(r"^failed +2$", done.out, re.MULTILINE)
    assert re.search(r"^  connection-refused +2  the host's machine is there", done.out, re.MULTILINE)
    assert re.search(r"^  no session .* a sign-on failed  connection-refused$", done.out, re.MULTILINE)
    assert "nothing to compare with: 7 days 2 failed of 3, the 7 before 0 of 0" in done.out
    told = shop.run("session", "history", "--days", "2", "--json").json()
    assert (told["attempts"], told["successes"], told["failures"]) == (3, 1, 2)
    assert [(each["cause"], each["count"]) for each in told["causes"]] == [("connection-refused", 2)]
    assert (sum(told["failures_by_hour"]), len(told["failures_by_hour"]), len(told["days"])) == (2, 24, 2)
    (gap,) = told["gaps"]
    assert (gap["by"], gap["about"], gap["cause"]) == ("failure", False, "connection-refused")
    assert gap["ended"] is not None
    chinese = shop.run("session", "history", "--lang", "zh").out
    assert re.search(r"^失败 +2次$", chinese, re.MULTILINE)
    assert "主机可达, 但端口无人监听" in chinese


def test_a_folder_without_a_journal_has_no_history(shop: Shop) -> None:
    done = shop.run("session", "history")
    assert (done.code, done.out, done.err) == (0, "", "there is no journal yet\n")
    assert shop.run("session", "history", "--json").json()["attempts"] == 0
    assert not shop.journal.exists()


def test_a_chart_is_a_picture_by_its_name(shop: Shop) -> None:
    done = shop.run("session", "history", "--chart", "sign-ons.txt")
    assert (done.code, done.error()) == (2, "--chart: a file that ends in .png or .svg")


@pytest.mark.skipif(HAS_MATPLOTLIB, reason="matplotlib is there")
def test_without_matplotlib_a_chart_says_what_to_install(shop: Shop) -> None:
    shop.run("sign-on")
    done = shop.run("session", "history", "--chart", "sign-ons.png")
    assert (done.code, done.out) == (6, "")
    assert done.error() == "a chart needs matplotlib: pip install 'pos-engine[report]'"


@pytest.mark.skipif(not HAS_MATPLOTLIB, reason="the extra `report` is not installed")
@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_a_chart_is_drawn(shop: Shop, name: str, begins: bytes) -> None:
    shop.run("sign-on")
    done = shop.run("session", "history", "--chart", name)
    assert (done.code, done.err) == (0, f"drawn: {name}\n")
    assert (shop.folder / name).read_bytes().startswith(begins)
    missing = shop.run("session", "history", "--chart", "nowhere/a.png")
    assert (missing.code, missing.error()) == (2, "--chart: nowhere/a.png: no such file or directory")
