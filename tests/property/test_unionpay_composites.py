"""UnionPay's compound fields: what is read is written back as it was, and whatever else comes is one kind of error."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine import limits
from pos_engine.crypto.keys import KeyUsage, unwrap
from pos_engine.dialects.unionpay import private, terminal_data
from pos_engine.dialects.unionpay.fields import FIELD_60, FIELD_61
from pos_engine.dialects.unionpay.private import AdditionalAmount, CardTotals, Detail, Totals
from pos_engine.dialects.unionpay.schemes import SCHEMES
from pos_engine.dialects.unionpay.sign_on import LAYOUTS, PlacedKey, build_keys, parse_keys, read_keys
from pos_engine.dialects.unionpay.terminal_data import PARAMETERS, Page
from pos_engine.errors import DecodeError, LocalProtocolError
from pos_engine.values import Amount, KeyBytes, Pan
from pos_engine.wire import tlv
from pos_engine.wire.message import Message
from pos_engine.wire.tlv import Item
from tests.vectors import crypto as known
from tests.vectors.messages import SAMPLES, Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.wire.columns import Columns

DIGITS = st.text(string.digits, max_size=400)
AMOUNTS = st.builds(Amount, st.integers(0, limits.AMOUNT_MINOR_MAX))
COUNTS = st.integers(0, 999)
CARD_TOTALS = st.builds(CardTotals, AMOUNTS, COUNTS, AMOUNTS, COUNTS, st.sampled_from("0123"))
DETAILS = st.builds(
    Detail,
    st.sampled_from(("00", "01")),
    st.integers(1, limits.STAN_MAX).map("{:06d}".format),
    st.integers(10**6, 10**13 - 1).map(lambda number: Pan(f"622999{number:07d}")),
    AMOUNTS,
)
BALANCES = st.builds(
    AdditionalAmount,
    st.sampled_from(("00", "30")),
    st.sampled_from(("01", "02", "4A")),
    st.sampled_from(("156", "999")),
    st.sampled_from("CD"),
    st.integers(0, limits.AMOUNT_MINOR_MAX),
)
NOTHING = CardTotals(Amount(0), 0, Amount(0), 0)
PLAIN_ITEMS = st.lists(st.builds(Item, st.sampled_from(("9F06", "9F22", "DF02")), st.binary(max_size=80)), max_size=4)


# --- read and write, each way


@given(domestic=CARD_TOTALS, foreign=CARD_TOTALS)
def test_totals(domestic: CardTotals, foreign: CardTotals) -> None:
    value = private.write_totals(Totals(domestic, foreign))
    assert len(value) == private.TOTALS_DIGITS
    assert private.read_totals(value) == Totals(domestic, foreign)


@given(details=st.lists(DETAILS, min_size=1, max_size=private.DETAILS_MAX))
def test_batch_details(details: list[Detail]) -> None:
    value = private.write_details(details)
    assert len(value) == 2 + 40 * len(details) <= 322
    assert private.read_details(value) == tuple(details)


def test_a_batch_upload_has_one_to_eight_details() -> None:
    one = Detail("00", "000001", Pan("6229990000000004"), Amount(1))
    assert len(private.write_details([one] * 8)) == 322
    for details in ([], [one] * 9):
        with pytest.raises(LocalProtocolError):
            private.write_details(details)
    with pytest.raises(LocalProtocolError):
        private.write_details([Detail("00", "000001", Pan("0229990000000004"), Amount(1))])


@given(amounts=st.lists(BALANCES, max_size=4))
def test_additional_amounts(amounts: list[AdditionalAmount]) -> None:
    value = private.write_amounts(amounts)
    assert private.read_amounts(value) == tuple(amounts)
    assert [each.amount is None for each in amounts] == [each.currency == "999" for each in amounts]


def test_a_balance_as_hosts_send_it() -> None:
    (balance,) = private.read_amounts("1002156C000000009999")
    assert (balance.account_type, balance.amount_type, balance.sign, str(balance.amount)) == (
        "10",
        "02",
        "C",
        "99.99 CNY",
    )


@given(items=st.lists(st.tuples(st.sampled_from(("A2", "A3", "A4", "ZZ")), st.text(max_size=50)), max_size=4))
def test_scan_tags(items: list[tuple[str, str]]) -> None:
    assert private.read_text_tags(private.write_text_tags(items)) == tuple(items)


@given(text=st.binary(max_size=terminal_data.SERIAL_BYTES_MAX))
def test_serial_numbers(text: bytes) -> None:
    assert terminal_data.read_serial(terminal_data.write_serial(text)) == text


@given(received=st.integers(0, terminal_data.QUERIED_MAX))
def test_queries(received: int) -> None:
    assert terminal_data.read_query(terminal_data.write_query(received)) == received


@given(page=st.sampled_from(Page), items=PLAIN_ITEMS)
def test_pages(page: Page, items: list[Item]) -> None:
    read, found = terminal_data.read_page(terminal_data.write_page(page, items))
    assert (read, tlv.encode(found)) == (page, tlv.encode(items))


@given(tags=st.lists(st.sampled_from(sorted(PARAMETERS)), max_size=terminal_data.PARAMETERS_MAX), data=st.data())
def test_parameters(tags: list[str], data: st.DataObject) -> None:
    widths = {tag: PARAMETERS[tag].width for tag in tags}
    parameters = [(tag, data.draw(st.binary(min_size=widths[tag], max_size=widths[tag]))) for tag in tags]
    assert terminal_data.read_parameters(terminal_data.write_parameters(parameters)) == tuple(parameters)


def test_a_status_report_as_terminals_send_it() -> None:
    report = b"0110210310410511160126013314" + b" " * 14 + b"181192020120" + b"51007200999980"
    read = dict(terminal_data.read_parameters(report.replace(b"192020120", b"1920201")))
    assert (read["01"], read["12"], read["19"], read["51"]) == (b"1", b"60", b"20", b"007200999980")


def test_parameters_are_bounded_at_64() -> None:
    most = [("13", b"3")] * terminal_data.PARAMETERS_MAX
    data = terminal_data.write_parameters(most)
    assert len(terminal_data.read_parameters(data)) == terminal_data.PARAMETERS_MAX
    with pytest.raises(DecodeError, match="too many"):
        terminal_data.read_parameters(data + b"133")


@pytest.mark.parametrize(
    "write",
    [
        lambda: terminal_data.write_serial(b"x" * 100),
        lambda: terminal_data.write_query(100),
        lambda: terminal_data.write_query(-1),
        lambda: terminal_data.write_parameters([("99", b"1")]),
        lambda: terminal_data.write_parameters([("12", b"1")]),
        lambda: private.write_text_tags([("A", "1")]),
        lambda: private.write_text_tags([("A3", "1" * 1000)]),
        lambda: private.write_amounts([AdditionalAmount("1", "02", "156", "C", 1)]),
        lambda: private.write_amounts([AdditionalAmount("10", "02", "156", "X", 1)]),
        lambda: private.write_totals(Totals(CardTotals(Amount(0), 1000, Amount(0), 0), NOTHING)),
    ],
)
def test_what_does_not_fit_is_not_written(write: Callable[[], object]) -> None:
    with pytest.raises(LocalProtocolError):
        write()


# --- whatever comes is read and written back as it was, or refused


def read_or_refused(read: Callable[[Any], Any], value: str | bytes) -> Any:  # noqa: ANN401 - every reader's own type
    try:
        return read(value)
    except DecodeError as error:
        return error


FORMS_OF_TEXT: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], int]] = {
    "totals": (private.read_totals, private.write_totals, 48),
    "amounts": (private.read_amounts, private.write_amounts, 54),
    "tags": (private.read_text_tags, private.write_text_tags, 59),
    # A count of none is read, and nobody writes it.
    "details": (private.read_details, lambda details: private.write_details(details) if details else "00", 48),
}
FORMS_OF_BYTES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "serial": (terminal_data.read_serial, terminal_data.write_serial),
    "parameters": (terminal_data.read_parameters, terminal_data.write_parameters),
    "query": (terminal_data.read_query, terminal_data.write_query),
    "page": (terminal_data.read_page, lambda page: terminal_data.write_page(*page)),
    "keys": (parse_keys, build_keys),
}


@pytest.mark.parametrize("form", FORMS_OF_TEXT)
@given(value=DIGITS | DIGITS.map(lambda digits: (digits * 9)[:62]) | st.text("0123456789CDA", max_size=80) | st.text())
def test_any_text_is_written_back_or_refused(form: str, value: str) -> None:
    read, write, number = FORMS_OF_TEXT[form]
    found = read_or_refused(read, value)
    if isinstance(found, DecodeError):
        assert found.field == number
    else:
        assert write(found) == value


@pytest.mark.parametrize("form", FORMS_OF_BYTES)
@given(
    data=st.binary(max_size=120)
    | st.binary(max_size=40).map(b"Sequence No12".__add__)
    | st.text("0123").map(str.encode)
)
def test_any_bytes_of_field_62_are_written_back_or_refused(form: str, data: bytes) -> None:
    read, write = FORMS_OF_BYTES[form]
    found = read_or_refused(read, data)
    if isinstance(found, DecodeError):
        # A page's block tells the offset in itself.
        assert found.field == 62 or found.offset is not None
    else:
        assert write(found) == data


@pytest.mark.parametrize(
    "layout",
    [private.FIELD_22, private.FIELD_44, private.FIELD_53, private.FIELD_63, private.TOTALS, FIELD_60, FIELD_61],
    ids="22 44 53 63 48 60 61".split(),
)
@given(value=st.text(string.digits, max_size=170))
def test_columns_are_joined_as_they_were_cut(layout: Columns, value: str) -> None:
    parts = read_or_refused(layout.read, value)
    assert isinstance(parts, DecodeError) or layout.join(parts.values()) == value


# --- working keys


def answer(f62: str, network_code: str = "003") -> Message:
    return Message("0810", {60: f"00000001{network_code}", 62: f62})


@pytest.mark.parametrize("size", sorted(LAYOUTS))
@given(data=st.data())
def test_working_keys_of_every_layout(size: int, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=size, max_size=size))
    keys = parse_keys(raw)
    assert build_keys(keys) == raw
    assert [key.usage for key in keys] == list(KeyUsage)[: len(keys)]


@pytest.mark.parametrize("size", [0, 1, 23, 25, 47, 49, 59, 61, 83, 85, 104])
def test_other_lengths_are_no_working_keys(size: int) -> None:
    with pytest.raises(DecodeError, match=f"{size} bytes") as raised:
        parse_keys(bytes(size), "005")
    assert raised.value.field == 62


@pytest.mark.parametrize(
    ("network_code", "accepted"),
    [
        ("001", {24, 32, 40, 48, 56, 60, 84}),
        ("003", {32, 40, 48, 56, 60, 84}),
        ("004", {56, 60, 84}),
    ],
)
def test_a_captured_answer_that_holds_less_than_was_asked_for_is_refused(network_code: str, accepted: set[int]) -> None:
    for size in LAYOUTS:
        raw = bytes(range(1, size + 1))
        if size in accepted:
            assert parse_keys(raw, network_code)
        else:
            with pytest.raises(DecodeError, match="less than"):
                parse_keys(raw, network_code)


def test_without_a_network_code_the_length_alone_says_what_there_is() -> None:
    for size in LAYOUTS:
        assert len(parse_keys(bytes(size))) == (3 if size in {56, 60, 84} else 2)


def test_a_key_without_check_value_is_shown_and_never_used() -> None:
    raw = bytes(range(1, 57))
    assert [key.usage for key in parse_keys(raw)] == [KeyUsage.PIN, KeyUsage.MAC, KeyUsage.TRACK]
    assert parse_keys(raw)[2].check_value == b""
    for scheme in SCHEMES.values():
        with pytest.raises(DecodeError, match="no check value"):
            read_keys(answer(raw.hex().upper(), "004"), scheme)


def test_no_layout_no_field() -> None:
    with pytest.raises(LocalProtocolError):
        build_keys([PlacedKey(KeyUsage.PIN, bytes(16), bytes(4))])


def test_the_published_sign_on_opens_with_its_master_key() -> None:
    vector = known.by_id("sign_on_keys_40")
    pin, mac = read_keys(answer(vector.input["f62"]))
    tmk = KeyBytes(bytes.fromhex(vector.input["tmk"]))
    assert unwrap(tmk, pin).reveal().hex().upper() == vector.expected["pik_clear"]
    assert unwrap(tmk, mac).reveal().hex().upper() == vector.expected["mak_clear"]


def test_the_simulator_s_single_length_sign_on_opens_with_its_master_key() -> None:
    vector = known.by_id("sign_on_keys_24")
    pin, mac = read_keys(answer(vector.expected["f62"], "001"), SCHEMES["des"])
    tmk = KeyBytes(bytes.fromhex(vector.input["tmk"]))
    assert unwrap(tmk, pin).reveal().hex().upper() == vector.input["pik_clear"]
    assert unwrap(tmk, mac).reveal().hex().upper() == vector.input["mak_clear"]


def test_the_same_key_three_times_in_sixty_bytes() -> None:
    """A published demo hands out one key as PIN, MAC and track key."""
    vector = known.by_id("check_value_shared_key")
    cryptogram, check = bytes.fromhex(vector.input["key_enc"]), bytes.fromhex(vector.expected["check_value"])
    keys = read_keys(answer(((cryptogram + check) * 3).hex().upper(), "004"), SCHEMES["3des-track"])
    tmk = KeyBytes(bytes.fromhex(vector.input["tmk"]))
    assert {unwrap(tmk, key).reveal().hex().upper() for key in keys} == {vector.expected["key_clear"]}
    assert [key.usage for key in keys] == list(KeyUsage)


@pytest.mark.parametrize(
    "sample",
    [sample for sample in SAMPLES if sample.decode["mti"] == "0810" and 62 in sample.fields],
    ids=lambda sample: sample.name,
)
def test_every_captured_answer_with_keys_or_a_page_is_read_and_written_back(sample: Sample) -> None:
    fields = sample.fields
    code, raw = fields[60][8:11], bytes.fromhex(fields[62])
    if code in {"001", "003", "004"}:
        assert build_keys(parse_keys(raw, code)) == raw
    elif code in {"370", "380"}:
        page, items = terminal_data.read_page(raw)
        assert (page, terminal_data.write_page(page, items)) == (Page.LAST, raw)
