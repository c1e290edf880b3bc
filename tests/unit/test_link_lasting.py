"""A link and what lasts longer than a request: a machine that sleeps, and a line that has neither beginning nor end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

from pos_engine.clock import ManualClock
from pos_engine.errors import NoAnswer, NotSent, Trouble
from pos_engine.framing.length import LengthFramer
from pos_engine.framing.line import ACK, EOT, NAK
from pos_engine.framing.registry import new_framer
from pos_engine.link import Link
from pos_engine.transport.memory import MemoryStream, memory_pair
from tests.support.echo_host import frame
from tests.support.stx_end import frame as stx

if TYPE_CHECKING:
    from collections.abc import Callable


SLEEP_S: Final = 12 * 3600.0


def waiting_link(idle: Callable[[MemoryStream, float], None], clock: ManualClock) -> Link:
    """Make a link to a host that does what `idle` does whenever the terminal waits."""
    terminal, host = memory_pair(idle=lambda seconds: idle(host, seconds))
    return Link(lambda: terminal, LengthFramer, monotonic=lambda: clock.now().elapsed_s)


def test_an_answer_that_is_read_after_the_deadline_is_late_and_kept() -> None:
    clock = ManualClock()

    def sleep(host: MemoryStream, _seconds: float) -> None:
        # The machine sleeps in the middle of its wait; what came meanwhile is read first thing afterwards.
        clock.advance(SLEEP_S)
        host.send(frame(b"answer"), 0)

    link = waiting_link(sleep, clock)
    link.send(b"request", 60.0)
    with pytest.raises(NoAnswer, match="read after the deadline") as caught:
        link.receive(60.0)
    assert caught.value.trouble is Trouble.TIMEOUT
    assert not link.connected
    assert link.leftovers() == (b"answer",)


def test_an_answer_that_is_read_at_the_deadline_counts() -> None:
    clock = ManualClock()

    def wait(host: MemoryStream, seconds: float) -> None:
        clock.advance(seconds)
        host.send(frame(b"answer"), 0)

    link = waiting_link(wait, clock)
    link.send(b"request", 60.0)
    assert link.receive(60.0) == b"answer"


class Wire:
    """A line that lasts: whatever opens it finds what is on it."""

    def __init__(self, *, alive: bool = True) -> None:
        self.terminal, self.host = memory_pair()
        self.terminal.connect(0)
        self.alive = alive
        self.opened = 0

    def stream(self) -> LineStream:
        return LineStream(self)


class LineStream:
    """One opening of a wire; the bytes are those of a `MemoryStream`."""

    is_line = True
    peer = "the wire"

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def connect(self, _timeout_s: float) -> None:
        self._wire.opened += 1

    def send(self, data: bytes, timeout_s: float) -> None:
        self._wire.terminal.send(data, timeout_s)

    def receive(self, timeout_s: float) -> bytes:
        return b"" if not self._wire.alive else self._wire.terminal.receive(timeout_s)

    def stale(self) -> bool:
        return self._wire.terminal.stale() or not self._wire.alive

    def close(self) -> None:
        pass


def test_what_lies_in_a_line_is_set_aside_and_the_line_is_used() -> None:
    wire, clock = Wire(), ManualClock()
    link = Link(wire.stream, LengthFramer, monotonic=lambda: clock.now().elapsed_s)
    # An old answer, and the beginning of a frame whose end nobody will send.
    wire.host.send(frame(b"old") + frame(b"broken off")[:5], 0)
    link.send(b"request", 60.0)
    assert wire.host.receive(0) == frame(b"request")
    wire.host.send(frame(b"answer"), 0)
    assert link.receive(60.0) == b"answer"
    assert link.leftovers() == (b"old",)


def test_noise_on_a_line_is_no_reason_not_to_use_it() -> None:
    wire, clock = Wire(), ManualClock()
    link = Link(wire.stream, LengthFramer, monotonic=lambda: clock.now().elapsed_s)
    wire.host.send(b"\xff\xff\xff", 0)
    link.send(b"request", 60.0)
    assert wire.host.receive(0) == frame(b"request")


@pytest.mark.parametrize("framing", ["be2", "stx"])
@pytest.mark.parametrize("stray", [b"\xff", b"\x00\x09half", b"\x04", b"\x02"])
def test_a_stray_byte_on_a_line_does_not_cost_its_opening(framing: str, stray: bytes) -> None:
    wire, clock = Wire(), ManualClock()
    link = Link(wire.stream, partial(new_framer, framing), monotonic=lambda: clock.now().elapsed_s)
    link.send(b"one", 60.0)
    wire.host.send(new_framer(framing).send(b"answer"), 0)
    assert link.receive(60.0) == b"answer"
    wire.host.send(stray, 0)
    clock.advance(1.0)
    link.send(b"two", 60.0)
    assert b"two" in wire.host.receive(0)
    wire.host.send(new_framer(framing).send(b"another"), 0)
    assert link.receive(60.0) == b"another"
    assert wire.opened == 1


def test_a_frame_that_came_unasked_on_a_line_is_kept_and_the_line_too() -> None:
    wire, clock = Wire(), ManualClock()
    link = Link(wire.stream, LengthFramer, monotonic=lambda: clock.now().elapsed_s)
    link.send(b"one", 60.0)
    wire.host.send(frame(b"unasked"), 0)
    link.send(b"two", 60.0)
    assert link.leftovers() == (b"unasked",)
    wire.host.send(frame(b"answer"), 0)
    assert link.receive(60.0) == b"answer"
    assert wire.opened == 1


def test_a_line_that_is_gone_is_opened_anew() -> None:
    wire, clock = Wire(), ManualClock()
    link = Link(wire.stream, LengthFramer, monotonic=lambda: clock.now().elapsed_s)
    link.send(b"one", 60.0)
    wire.alive = False
    with pytest.raises(NotSent):
        link.send(b"two", 60.0)
    assert wire.opened == 2
    wire.alive = True
    link.send(b"three", 60.0)
    assert wire.opened == 3


def test_a_line_that_ends_at_once_is_not_sent_a_request() -> None:
    wire, clock = Wire(alive=False), ManualClock()
    link = Link(wire.stream, LengthFramer, monotonic=lambda: clock.now().elapsed_s)
    with pytest.raises(NotSent):
        link.send(b"request", 60.0)


def lasting_link(wire: Wire, clock: ManualClock) -> Link:
    """Make a link over a line whose frames are acknowledged."""
    return Link(wire.stream, partial(new_framer, "stx"), monotonic=lambda: clock.now().elapsed_s)


def test_a_request_that_was_answered_is_not_repeated_for_a_word_behind_the_answer() -> None:
    wire, clock = Wire(), ManualClock()
    link = lasting_link(wire, clock)
    request = bytes([EOT]) + stx(b"sale one")
    link.send(b"sale one", 60.0)
    # Its ACK was lost; what the host refuses is a repetition that met the answer on the line.
    wire.host.send(stx(b"approved") + bytes([NAK]), 0)
    assert link.receive(60.0) == b"approved"
    clock.advance(0.5)
    link.send(b"sale two", 60.0)
    link.close()
    assert wire.host.receive(0) == request + bytes([ACK]) + stx(b"sale two")


def test_a_request_is_not_repeated_while_its_line_is_left() -> None:
    wire, clock = Wire(), ManualClock()
    link = lasting_link(wire, clock)
    link.send(b"sale one", 60.0)
    # The time for its ACK has run out, and a byte that means nothing has the framer look at its timer.
    wire.host.send(b"\x00", 0)
    clock.advance(30.0)
    link.leave()
    link.send(b"sale two", 60.0)
    opened = bytes([EOT])
    assert wire.host.receive(0) == opened + stx(b"sale one") + opened + stx(b"sale two")


def test_a_line_that_fails_while_it_is_looked_at_is_taken_up_anew() -> None:
    wire, clock = Wire(), ManualClock()
    link = lasting_link(wire, clock)
    bad = stx(b"noise")[:-1] + b"\xee"
    link.send(b"sale one", 60.0)
    wire.host.send(bytes([ACK]) + stx(b"approved") + bad * 3 + stx(b"noise")[:5], 0)
    assert link.receive(60.0) == b"approved"
    clock.advance(2.0)
    link.send(b"sale two", 60.0)
    assert wire.host.receive(0).endswith(stx(b"sale two"))
