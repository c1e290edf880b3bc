"""Addresses: what a road to the host may look like, and what is refused in plain words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine.config.address import Address, SerialLine, parse_address, parse_addresses
from pos_engine.errors import UsageError
from pos_engine.framing.registry import FRAMINGS


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://127.0.0.1:9583", Address(scheme="tcp", host="127.0.0.1", port=9583)),
        ("tcp://[::1]:1", Address(scheme="tcp", host="::1", port=1)),
        ("tcp://[::ffff:10.0.0.1]:1", Address(scheme="tcp", host="::ffff:10.0.0.1", port=1)),
        ("tls://pos.example:65535", Address(scheme="tls", host="pos.example", port=65535)),
        ("https://pos.example", Address(scheme="https", host="pos.example", port=443, path="/")),
        (
            "https://pos.example:8443/mjc/webtrans/VPB_lb",
            Address(scheme="https", host="pos.example", port=8443, path="/mjc/webtrans/VPB_lb"),
        ),
        ("serial:///dev/ttyS0", Address(scheme="serial", path="/dev/ttyS0")),
        (
            "serial:///dev/serial/by-id/usb-1:2?baud=115200&bits=8&parity=E&stop=2&flow=hardware&framing=stx+binary",
            Address(
                scheme="serial",
                path="/dev/serial/by-id/usb-1:2",
                line=SerialLine(115200, 8, "E", 2, "hardware"),
                framing="stx+binary",
            ),
        ),
        ("socket://10.0.0.1:4001", Address(scheme="socket", host="10.0.0.1", port=4001)),
        (
            "socket://10.0.0.1:4001?baud=2400&parity=O&stop=2",
            Address(scheme="socket", host="10.0.0.1", port=4001, line=SerialLine(2400, 8, "O", 2)),
        ),
        (
            "rfc2217://10.0.0.1:4001?baud=1200",
            Address(scheme="rfc2217", host="10.0.0.1", port=4001, line=SerialLine(1200)),
        ),
        (
            "tcp://h:1?connect_s=2.5&answer_s=30&echo_s=60",
            Address(scheme="tcp", host="h", port=1, connect_s=2.5, answer_s=30.0, echo_s=60.0),
        ),
        ("tcp://h:1?keep=no&framing=ascii4", Address(scheme="tcp", host="h", port=1, keep=False, framing="ascii4")),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:9583",
        "udp://h:1",
        "tcp://:9583",
        "tcp://::1:9583",
        "tcp://[abc]:1",
        "tls://[dead]:9583",
        "tcp://[1.2.3.4]:1",
        "https://[.]",
        "rfc2217://[::::]:1",
        "tcp://[::12345]:1",
        "tcp://[fe80::1%eth0]:1",
        "tcp://user:secret@host:9583",
        "tcp://127.0.0.1:٩٥٨٣",
        "tcp://h",
        "tcp://h:0",
        "tcp://h:65536",
        "tcp://h:1/path",
        "tcp://h:1?",
        "tcp://h..i:1",
        "tcp://" + "a" * 64 + ":1",
        "tcp://" + "a." * 127 + "bb:1",
        "tcp://h:1?baud=9600",
        "tcp://h:1?connect_s=0",
        "tcp://h:1?connect_s=1e2",
        "tcp://h:1?connect_s=1&connect_s=2",
        "tcp://h:1?echo_s=1",
        "tcp://h:1?keep=maybe",
        "tcp://h:1?keep=no&echo_s=60",
        "tcp://h:1?framing=xml",
        "tcp://h:1?color=red",
        "serial://ttyS0",
        "serial:///dev/ttyS0?baud=9601",
        "serial:///dev/ttyS0?bits=7",
        "rfc2217://h:1?flow=software",
        "socket://h:1?flow=hardware",
        "serial:///dev/ttyS0?baud=9600&baud=9600",
        "serial:///dev/" + "t" * 256,
        "https://h/a b",
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert len(text) < 8 or text not in str(caught.value)


def test_addresses_stand_in_order_of_preference() -> None:
    found = parse_addresses("tls://a:1, serial:///dev/ttyS1?framing=be2")
    assert [str(each) for each in found] == ["tls://a:1", "serial:///dev/ttyS1"]
    assert [each.is_protected for each in found] == [True, False]
    assert [each.is_serial for each in found] == [False, True]


@pytest.mark.parametrize("text", ["tcp://a:1, tcp://a:1?keep=no", ", ".join(f"tcp://a:{n}" for n in range(1, 10)), ","])
def test_too_many_addresses_or_the_same_twice_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_addresses(text)


def test_a_road_is_named_by_scheme_and_place() -> None:
    assert str(parse_address("https://[::1]:8443/x?connect_s=1")) == "https://[::1]:8443/x"
    assert parse_address("serial:///dev/ttyS0").place == "/dev/ttyS0"


@pytest.mark.parametrize("setting", ["bits=7", "flow=software"])
def test_why_a_line_that_cannot_carry_every_byte_is_refused_is_said(setting: str) -> None:
    with pytest.raises(UsageError, match="messages are binary"):
        parse_address(f"serial:///dev/ttyS0?{setting}")


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("serial:///dev/ttyS0?baud=1200", 10),
        ("rfc2217://h:1?baud=1200&parity=E", 11),
        ("socket://h:1?baud=1200&parity=O&stop=2", 12),
        ("tcp://h:1", 0),
    ],
)
def test_a_byte_takes_its_bits_and_what_stands_around_them(text: str, bits: int) -> None:
    assert parse_address(text).byte_s == bits / 1200


def test_every_framing_may_stand_in_an_address() -> None:
    for name in FRAMINGS:
        assert parse_address(f"tcp://h:1?framing={name}").framing == name


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_plain_error(text: str) -> None:
    try:
        address = parse_address(text)
    except UsageError:
        return
    assert parse_address(str(address)).place == address.place
