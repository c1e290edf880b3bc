"""The host takes its dialect as a value: here is one without a MAC, and without the private fields 60 and 61."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from pos_engine.clock import ManualClock
from pos_engine.dialects.base import Kind, pack, unpack
from pos_engine.dialects.unionpay import UNIONPAY
from simulators.acquirer import Acquirer
from simulators.ledger import merchant_account
from tests.support.host_client import MID, TID, HostClient, counting_entropy

if TYPE_CHECKING:
    from pos_engine.wire.message import Message

BARE = dataclasses.replace(
    UNIONPAY,
    name="bare",
    mac=None,
    layouts={number: layout for number, layout in UNIONPAY.layouts.items() if number not in {60, 61}},
    header=None,
    header_default="",
    tpdu_default=None,
)


class Host:
    """A host of the bare dialect, and a terminal that leaves out what the dialect has not."""

    def __init__(self) -> None:
        self.acquirer = Acquirer(entropy=counting_entropy(), dialect=BARE)
        self.client = HostClient(lambda _: None)
        answer = self.ask(self.client.signing_on())
        self.client.take(answer)

    def ask(self, request: Message) -> Message:
        reply = self.acquirer.handle(pack(BARE, request, tpdu=None, header=None).encode(), ManualClock().now())
        assert reply.data is not None
        packet = unpack(BARE, reply.data)
        assert (packet.tpdu, packet.header) == (None, None)
        return packet.message


def test_a_sale_is_approved_without_a_mac_and_voided_by_its_reference_alone() -> None:
    host = Host()
    sale = host.client.sale(1_000)
    answer = host.ask(sale)
    assert answer[39] == "00"
    assert 64 not in answer
    original = host.client.original(sale, answer)
    assert host.ask(host.client.void(1_000, dataclasses.replace(original, rrn="000000000000")))[39] == "25"
    assert host.ask(host.client.void(1_000, original))[39] == "00"
    assert host.acquirer.ledger.balance(merchant_account(MID)) == 0


def test_requests_without_a_batch_belong_to_the_open_one() -> None:
    host = Host()
    host.acquirer.ledger.close_batch(TID)
    sale = host.client.sale(1_000)
    assert host.ask(sale)[39] == "00"
    assert host.acquirer.ledger.effects_of(TID, "000002", sale[11]) == 1_000
    assert host.ask(host.client.sale(1_910, partial=True))[4] in {"000000001910", "000000000955"}


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x02\x00" + bytes(8), b"\xff" * 40, b"\x02\x00\xff" + bytes(20)])
def test_no_bytes_raise_out_of_the_host(data: bytes) -> None:
    reply = Host().acquirer.handle(data, ManualClock().now())
    assert reply.event.effect_minor == 0


def test_a_sign_on_hands_out_what_the_dialect_has_room_for() -> None:
    assert BARE.kinds[Kind.SIGN_ON].answered_with >= {62}
    assert Host().client.mac_key is not None
