"""What a line that is opened anew, frames that cross and a line of known speed promise."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pos_engine import limits
from pos_engine.errors import FrameError
from pos_engine.framing.base import Received
from pos_engine.framing.line import ACK, EOT, NAK, LineTimers
from pos_engine.framing.registry import new_framer
from pos_engine.framing.stx import StxFramer
from tests.support.stx_end import ACKED, GIVEN_UP, NAKED, QUIET, RETRIES, TIMERS, frame, heard, new, sent

if TYPE_CHECKING:
    from collections.abc import Callable

# A line that is opened, and ends that give up: what follows is new.


def test_whoever_opens_a_line_says_so_in_front_of_his_first_frame_and_of_no_repetition() -> None:
    framer = StxFramer(timers=TIMERS, opens=True)
    assert framer.send(b"a") == GIVEN_UP + frame(b"a")
    framer.receive(b"", 0.0)
    assert framer.receive(b"", 1.0).writes == frame(b"a")
    framer.receive(b"", 1.0)
    heard(framer, ACK, 1.1)
    assert framer.send(b"b") == frame(b"b")


def test_an_eot_takes_nothing_from_the_frame_behind_it() -> None:
    framer, data = new(), frame(b"request")
    framer.receive(data, 0.0)
    assert framer.receive(GIVEN_UP + data, 0.5) == Received(ACKED, (b"request",))
    # Nor where an answer of ours waits: it was for somebody who is gone.
    framer.send(b"answer")
    framer.receive(b"", 0.5)
    assert framer.receive(GIVEN_UP + data, 0.6) == Received(ACKED, (b"request",))
    assert framer.receive(b"", 60.0) == Received()


@pytest.mark.parametrize("spoil", [lambda bad: bad[:-1] + b"\x00", lambda bad: bad[:-2], lambda bad: b"\x02\xee" + bad])
def test_an_eot_holds_where_the_frame_behind_it_is_spoilt(spoil: Callable[[bytes], bytes]) -> None:
    framer, data = new(), frame(b"request")
    framer.receive(data, 0.0)
    framer.receive(GIVEN_UP + spoil(data), 0.5)
    framer.receive(b"", 0.75)
    assert framer.receive(data, 1.0).frames == (b"request",)


def test_an_eot_alone_ends_all_repetitions_also_while_ours_waits() -> None:
    for waits in (False, True):
        framer, data = new(), frame(b"request")
        framer.receive(data, 0.0)
        if waits:
            framer.send(b"answer")
            framer.receive(b"", 0.0)
        heard(framer, EOT, 0.5)
        assert framer.receive(data, 1.0).frames == (b"request",)


def test_an_eot_that_came_before_our_frame_still_ends_repetitions() -> None:
    framer, data = new(), frame(b"request")
    framer.receive(data, 0.0)
    framer.receive(GIVEN_UP, 0.5)
    framer.send(b"answer")
    assert framer.receive(b"", 0.55).wake_at == 1.55
    assert framer.receive(data, 0.6).frames == (b"request",)


def test_what_is_waiting_for_its_end_when_ours_goes_out_is_not_disturbed() -> None:
    framer, data = new(), frame(b"request")
    framer.receive(data[:4], 0.0)
    framer.send(b"ours")
    framer.receive(b"", 0.05)
    assert framer.receive(data[4:], 0.1).frames == (b"request",)


def test_whoever_gave_up_himself_still_knows_what_he_delivered() -> None:
    host, data = new(), frame(b"request")
    host.receive(data, 0.0)
    host.send(b"answer")
    host.receive(b"", 0.0)
    with suppress(FrameError):
        for tick in range(20):
            heard(host, NAK, 0.2 * tick + 0.1)
    # His EOT may have been lost, so the other side may go on.
    assert host.renewed().receive(data, 2.0) == Received(ACKED)


# Frames that cross.


def test_a_refusal_behind_the_frame_that_came_in_place_of_an_ack_repeats_ours() -> None:
    framer, data = sent(b"a")
    framer.receive(frame(b"b"), 0.5)
    assert heard(framer, NAK, 0.5).writes == data
    framer.receive(b"", 0.625)
    assert heard(framer, ACK, 0.75) == Received()
    assert heard(framer, NAK, 1.0) == Received()


@pytest.mark.parametrize("word", [ACK, NAK])
def test_what_an_ack_or_time_has_settled_is_not_repeated_for_a_refusal(word: int) -> None:
    framer, _ = sent(b"a")
    framer.receive(frame(b"b"), 0.5)
    if word == ACK:
        assert heard(framer, ACK, 0.6) == Received()
        assert heard(framer, NAK, 0.8) == Received()
    assert heard(framer, NAK, 0.5 + TIMERS.answer_s(6)) == Received()


def test_refusals_behind_such_a_frame_count_with_those_before() -> None:
    framer, data = sent(b"a")
    now = 0.0
    for number in range(RETRIES):
        now += 0.5
        framer.receive(frame(b"b%d" % number), now)
        assert heard(framer, NAK, now).writes == data
        framer.receive(b"", now + QUIET)
    framer.receive(frame(b"c"), now + 0.5)
    assert heard(framer, NAK, now + 0.5).writes == GIVEN_UP
    with pytest.raises(FrameError, match="not accepted after 4 attempts"):
        framer.receive(b"", now + 1.0)


# A line whose speed is known.


def test_the_timers_allow_for_the_time_that_bytes_take() -> None:
    timers = LineTimers(ack_s=1.0, inter_byte_s=QUIET, byte_s=0.0625)
    framer = StxFramer(timers=timers)
    data = framer.send(b"x" * 59)
    assert framer.receive(b"", 0.0).wake_at == 5.0
    assert framer.receive(data[:1], 5.0).wake_at == 5.0 + QUIET + 1.0
    assert LineTimers(ack_s=1.0).repeat_s(64) == 4.0
    assert timers.repeat_s(64) == 36.0


def test_the_timers_of_a_named_framing_know_the_speed_they_are_given() -> None:
    framer = new_framer("stx", 0.5)
    framer.send(b"a")
    assert framer.receive(b"", 0.0).wake_at == limits.LINE_ACK_S + 3.0


def test_a_bad_frame_does_not_shorten_the_time_that_ours_has() -> None:
    framer = StxFramer(timers=LineTimers(ack_s=1.0, inter_byte_s=QUIET, byte_s=1.0))
    framer.send(b"a")
    framer.receive(b"", 0.0)
    assert framer.receive(frame(b"b")[:-1] + b"\x00", 0.5) == Received(NAKED, wake_at=7.0)


def test_noise_that_ends_the_window_forgets_and_noise_within_it_slides_it() -> None:
    for began, is_known in ((3.5, True), (4.0, False)):
        host, data = new(), frame(b"request")
        host.receive(data, 0.0)
        host.receive(b"noise", began)
        host.receive(b"", began + QUIET)
        assert (host.receive(data, 7.0).frames == ()) is is_known


def test_an_ack_for_nothing_in_front_of_a_frame_changes_nothing() -> None:
    framer = new()
    received = framer.receive(ACKED + frame(b"answer"), 0.0)
    assert (received.frames, received.writes) == ((b"answer",), ACKED)
    # The frame is remembered as delivered: its repetition is not taken again.
    received = framer.receive(frame(b"answer"), 0.5)
    assert (received.frames, received.writes) == ((), ACKED)


# A request whose exchange is over.


def test_a_request_that_is_withdrawn_is_not_written_again_nor_what_waits_behind_it() -> None:
    framer, _ = sent(b"request")
    assert framer.send(b"another") == b""
    framer.withdraw()
    assert heard(framer, NAK, 0.2) == Received()
    assert framer.receive(b"", 60.0) == Received()
    assert framer.receive(frame(b"unasked"), 61.0) == Received(ACKED, (b"unasked",))


def test_a_request_that_only_its_answer_acknowledged_is_not_written_again_once_it_is_withdrawn() -> None:
    framer, _ = sent(b"request")
    assert framer.receive(frame(b"answer") + NAKED, 0.1).frames == (b"answer",)
    framer.withdraw()
    assert framer.receive(b"", 0.1 + QUIET) == Received()
