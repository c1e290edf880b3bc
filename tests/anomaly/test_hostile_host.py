"""A host that knows the keys and means harm, against a whole terminal over a real socket.

It books each sale at an honest host first, so that money is at stake, and then answers with an attack instead. Whatever
it does, the call ends within its deadline and a second, in a definite state, with at most one MiB more memory than
before; the next sale of the same terminal is approved, and the books of both ends agree.

A flood may be of up to a million frames. A terminal that waits for an answer reads for as long as its deadline lets it
and then breaks the connection, so the flood is usually cut short; that is what is wanted.
"""

from __future__ import annotations

import gc
import socket
import threading
import time
import tracemalloc
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest

from pos_engine.crypto import mac
from pos_engine.crypto.des import BlockCipher
from pos_engine.crypto.keys import KeyUsage, unwrap
from pos_engine.dialects.base import Packet, pack, unpack
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.flow.outcomes import Approved, InDoubt
from pos_engine.limits import FRAME_BYTES_MAX
from pos_engine.values import Amount
from pos_engine.wire.describe import masked
from pos_engine.wire.field import Content
from simulators.acquirer import terminal_master_key
from simulators.server import BackgroundServer
from tests.support.echo_host import EchoHost, frame, read_frame
from tests.support.shop import IDENTITY, Shop, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.wire.field import FieldSpec

DEADLINE_S: Final = 1.0
GRACE_S: Final = 1.0
"""What a call may take beyond its deadline: journal, keystore, and a loaded machine."""
MEMORY_BYTES_MAX: Final = 1_048_576
FLOOD_FRAMES: Final = 1_000_000
CHUNK_FRAMES: Final = 250
PACE_S: Final = 0.02
"""Between two pieces of a dribble: many of them fit into one deadline."""
DRIBBLES_MAX: Final = 1_000
BITMAP: Final = slice(13, 21)
"""Where the bitmap stands in a payload: behind five bytes of TPDU, six of header and two of MTI."""
assert UNIONPAY.mac is not None
RULE: Final = UNIONPAY.mac
SALE: Final = Amount.cny("12.34")
WAIT_S: Final = 10.0


@dataclass
class Prey:
    """What an attack is given: the connection, the honest answer to the sale, and how to seal another."""

    connection: socket.socket
    answer: bytes
    mac_key: BlockCipher

    @property
    def packet(self) -> Packet:
        """The honest answer, taken apart."""
        return unpack(UNIONPAY, self.answer)

    def sealed(self, changes: Mapping[int, str]) -> bytes:
        """The honest answer with other fields, and a MAC that is right."""
        packet = self.packet
        message = packet.message.replace(changes)

        def seal(covered: bytes) -> bytes:
            return mac.compute(RULE.algorithm, self.mac_key, covered)

        return pack(UNIONPAY, message, tpdu=packet.tpdu, header=packet.header, mac=seal).encode()

    def flood(self, one: bytes, count: int = FLOOD_FRAMES) -> None:
        """Send the same bytes again and again, many at a time."""
        chunk = one * CHUNK_FRAMES
        for _ in range(count // CHUNK_FRAMES):
            self.connection.sendall(chunk)

    def dribble(self, pieces: Iterable[bytes]) -> None:
        """Send piece after piece, slowly, for as long as anybody listens."""
        for piece in pieces:
            self.connection.sendall(piece)
            threading.Event().wait(PACE_S)


@dataclass
class HostileHost:
    """Asks the honest host what a message is answered with, and attacks whoever sent the next sale."""

    honest: tuple[str, int]
    attack: Callable[[Prey], None] | None = None
    idle: Callable[[Prey], None] | None = None
    """What it does behind the honest answer to a sale, while nobody asks."""
    mac_key: BlockCipher | None = None
    attacked: int = 0
    idled: threading.Event = field(default_factory=threading.Event)

    def __call__(self, connection: socket.socket) -> None:
        """Serve one connection; the script of an `EchoHost`."""
        while (payload := read_frame(connection)) is not None:
            answer = self._ask(payload)
            if answer is None:
                return
            message = unpack(UNIONPAY, answer).message
            if 62 in message and message.mti == "0810":
                keys = {key.usage: key for key in UNIONPAY.read_keys(message)}
                self.mac_key = BlockCipher(unwrap(terminal_master_key(IDENTITY.terminal), keys[KeyUsage.MAC]))
            if message.mti == "0210" and self.attack is not None and self.mac_key is not None:
                attack, self.attack = self.attack, None
                self.attacked += 1
                attack(Prey(connection, answer, self.mac_key))
            else:
                connection.sendall(frame(answer))
                self._while_idle(connection, answer)

    def _while_idle(self, connection: socket.socket, answer: bytes) -> None:
        if self.idle is not None and self.mac_key is not None:
            idle, self.idle = self.idle, None
            with suppress(OSError):
                connection.settimeout(DEADLINE_S)
                idle(Prey(connection, answer, self.mac_key))
            self.idled.set()

    def _ask(self, payload: bytes) -> bytes | None:
        with socket.create_connection(self.honest, WAIT_S) as connection:
            connection.sendall(frame(payload))
            return read_frame(connection)


# The attacks.


def a_giant_length_and_then_a_dribble(prey: Prey) -> None:
    prey.dribble([b"\xff\xff", *[b"\x00"] * DRIBBLES_MAX])


def the_longest_frame_byte_by_byte(prey: Prey) -> None:
    prey.dribble([b"\x08\x00", *[b"\x00"] * DRIBBLES_MAX])


def the_right_answer_byte_by_byte(prey: Prey) -> None:
    prey.dribble(bytes([each]) for each in frame(prey.answer))


def frames_of_no_length(prey: Prey) -> None:
    prey.flood(frame(b""))


def a_foreign_answer_now_and_then(prey: Prey) -> None:
    prey.dribble([frame(prey.sealed({11: "999999"}))] * DRIBBLES_MAX)


def a_flood_of_foreign_answers(prey: Prey) -> None:
    prey.flood(frame(prey.sealed({11: "999999"})))


def a_flood_of_answers_for_another_terminal(prey: Prey) -> None:
    prey.flood(frame(prey.sealed({41: "T9999999"})))


def a_flood_of_requests(prey: Prey) -> None:
    packet = prey.packet
    asks = packet.message.replace({}, mti="0200")
    prey.flood(frame(pack(UNIONPAY, asks, tpdu=packet.tpdu, header=packet.header).encode()))


def a_flood_of_garbage(prey: Prey) -> None:
    prey.flood(frame(b"\xa5" * FRAME_BYTES_MAX), 100_000)


def the_right_answer_a_million_times(prey: Prey) -> None:
    prey.flood(frame(prey.answer))


def a_bitmap_of_ones(prey: Prey) -> None:
    prey.connection.sendall(frame(prey.answer[: BITMAP.start] + b"\xff" * 8 + prey.answer[BITMAP.stop :]))


def a_bitmap_of_ones_and_as_much_behind_it_as_fits(prey: Prey) -> None:
    prey.connection.sendall(frame((prey.answer[: BITMAP.start] + b"\xff" * 8).ljust(FRAME_BYTES_MAX, b"\x01")))


def a_bitmap_of_ones_but_the_first(prey: Prey) -> None:
    bitmap = b"\x7f" + b"\xff" * 7
    prey.connection.sendall(frame((prey.answer[: BITMAP.start] + bitmap).ljust(FRAME_BYTES_MAX, b"\x01")))


def a_second_bitmap_and_bit_65(prey: Prey) -> None:
    first = bytes([prey.answer[BITMAP.start] | 0x80]) + prey.answer[BITMAP.start + 1 : BITMAP.stop]
    for second in (b"\x80" + bytes(7), b"\xff" * 8):
        payload = prey.answer[: BITMAP.start] + first + second + prey.answer[BITMAP.stop :]
        prey.connection.sendall(frame(payload.ljust(1024, b"\x00")))


def nested(depth: int, size: int) -> bytes:
    """Constructed elements within each other, as deep as asked or as fits into so many bytes."""
    inner = b""
    for _ in range(depth):
        length = bytes([len(inner)]) if len(inner) < 0x80 else bytes([0x81, len(inner)])
        outer = b"\xe1" + length + inner
        if len(outer) > size:
            break
        inner = outer
    return inner


def chip_data_as_deep_as_it_can_be(prey: Prey) -> None:
    prey.connection.sendall(frame(prey.sealed({55: nested(10_000, 255).hex().upper()})))


def chip_data_ten_thousand_deep(prey: Prey) -> None:
    packet = prey.packet
    # Indefinite lengths, so that each level costs two bytes; the frame is ten times as long as any may be.
    body = packet.encode() + b"\x99\x99" + b"\xe1\x80" * 10_000
    prey.connection.sendall(frame(body))


def chip_data_longer_than_the_field(prey: Prey) -> None:
    answer = bytearray(prey.sealed({55: "E180" * 127}))
    at = answer.index(b"\x02\x54\xe1\x80")
    answer[at : at + 2] = b"\x09\x99"
    prey.connection.sendall(frame(bytes(answer)))


def a_length_of_four_gigabytes_in_chip_data(prey: Prey) -> None:
    prey.connection.sendall(frame(prey.sealed({55: "9F2684FFFFFFFF"})))


def every_field_at_its_longest(prey: Prey) -> None:
    """What the honest answer says stays; every field that it does not have is as long as it can be."""
    prey.connection.sendall(frame(prey.sealed(_longest_fields())))


def the_longest_fields_that_fit(prey: Prey) -> None:
    added: dict[int, str] = {}
    for number, value in sorted(_longest_fields().items(), key=lambda item: len(item[1])):
        if number not in prey.packet.message and len(prey.sealed({**added, number: value})) <= FRAME_BYTES_MAX:
            added[number] = value
    assert len(prey.sealed(added)) > FRAME_BYTES_MAX // 2
    prey.connection.sendall(frame(prey.sealed(added)))


def _longest_fields() -> dict[int, str]:
    kept = {2, 3, 4, 11, 12, 13, 25, 32, 37, 39, 41, 42, 49, 60, 64}
    return {number: _longest(each) for number, each in UNIONPAY.spec.fields.items() if number not in kept}


def _longest(listed: FieldSpec) -> str:
    size = max(listed.sizes) if listed.sizes else listed.length.size
    if listed.content is Content.B:
        return "5A" * size
    return ("9" if listed.content is Content.N else "D" if listed.content is Content.Z else "A") * size


ATTACKS: Final = (
    a_giant_length_and_then_a_dribble,
    the_longest_frame_byte_by_byte,
    the_right_answer_byte_by_byte,
    frames_of_no_length,
    a_foreign_answer_now_and_then,
    a_flood_of_foreign_answers,
    a_flood_of_answers_for_another_terminal,
    a_flood_of_requests,
    a_flood_of_garbage,
    the_right_answer_a_million_times,
    a_bitmap_of_ones,
    a_bitmap_of_ones_and_as_much_behind_it_as_fits,
    a_bitmap_of_ones_but_the_first,
    a_second_bitmap_and_bit_65,
    chip_data_as_deep_as_it_can_be,
    chip_data_ten_thousand_deep,
    chip_data_longer_than_the_field,
    a_length_of_four_gigabytes_in_chip_data,
    every_field_at_its_longest,
    the_longest_fields_that_fit,
)

HARMLESS: Final = frozenset(
    {
        the_right_answer_a_million_times,
        chip_data_as_deep_as_it_can_be,
        a_length_of_four_gigabytes_in_chip_data,
        the_longest_fields_that_fit,
    }
)
"""What still is an approval: it is proven, and nothing that a sale goes by is damaged."""


@pytest.fixture(name="honest")
def _honest() -> Iterator[BackgroundServer]:
    with BackgroundServer() as server:
        yield server


@pytest.fixture(name="traced")
def _traced() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


class Reading:
    """An observer that reads each message as a person would who captured it, chip data and all."""

    def before(self, effect: Effect) -> None:
        pass

    def after(self, effect: Effect, happened: Happening) -> None:
        pass

    def message(self, _direction: str, packet: Packet) -> None:
        masked(packet.message, UNIONPAY.spec, capture=True)


@dataclass
class Measured:
    """How a sale went."""

    outcome: object
    seconds: float
    memory: int


def measured(sell: Callable[[], object]) -> Measured:
    """Sell, and measure time and the most memory that was in use beyond what was before."""
    gc.collect()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    started = time.monotonic()
    outcome = sell()
    seconds = time.monotonic() - started
    _, peak = tracemalloc.get_traced_memory()
    return Measured(outcome, seconds, peak - before)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_costs_neither_time_nor_memory_nor_money(
    attack: Callable[[Prey], None], tmp_path: Path, honest: BackgroundServer
) -> None:
    hostile = HostileHost((honest.host, honest.port))
    with EchoHost(hostile) as host:
        shop = Shop(tmp_path, host.address[1], answer_timeout_s=DEADLINE_S)
        with shop.open(Reading()) as terminal:
            terminal.sign_on()
            # Once over everything that a sale loads and caches.
            assert isinstance(terminal.sale(SALE), Approved)
            hostile.attack = attack
            sold = measured(lambda: terminal.sale(SALE))
            assert hostile.attacked == 1
            assert isinstance(sold.outcome, Approved if attack in HARMLESS else InDoubt)
            assert sold.seconds < DEADLINE_S + GRACE_S
            assert sold.memory <= MEMORY_BYTES_MAX
            terminal.tick()
            assert isinstance(terminal.sale(SALE), Approved)
        assert shop.owed() == 0
    assert differences(shop.records(), honest.ledger()) == []


@pytest.mark.usefixtures("traced")
def test_a_flood_between_two_sales_is_thrown_away(tmp_path: Path, honest: BackgroundServer) -> None:
    hostile = HostileHost((honest.host, honest.port))
    with EchoHost(hostile) as host:
        shop = Shop(tmp_path, host.address[1], answer_timeout_s=DEADLINE_S)
        with shop.open() as terminal:
            terminal.sign_on()
            for flood in (a_flood_of_foreign_answers, the_right_answer_a_million_times, frames_of_no_length):
                hostile.idle = flood
                hostile.idled.clear()
                assert isinstance(terminal.sale(SALE), Approved)
                # The kernel holds all it can hold by then.
                assert hostile.idled.wait(WAIT_S)
                sold = measured(lambda: terminal.sale(SALE))
                assert isinstance(sold.outcome, Approved)
                assert sold.seconds < DEADLINE_S + GRACE_S
                assert sold.memory <= MEMORY_BYTES_MAX
        assert shop.owed() == 0
    assert differences(shop.records(), honest.ledger()) == []
