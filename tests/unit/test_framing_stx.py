from __future__ import annotations

from contextlib import suppress
from functools import partial

import pytest

from pos_engine import limits
from pos_engine.errors import FrameError, LocalProtocolError, Trouble, UsageError
from pos_engine.framing import length
from pos_engine.framing.base import Received
from pos_engine.framing.line import ACK, ENQ, EOT, ETX, NAK, STX, LineTimers, lrc
from pos_engine.framing.registry import new_framer
from pos_engine.framing.stx import StxFramer
from tests.support.stx_end import ACKED, GIVEN_UP, NAKED, QUIET, RETRIES, SOON, TIMERS, frame, heard, new, sent


def test_a_frame_is_stx_length_data_etx_and_the_exclusive_or_of_what_follows_stx() -> None:
    assert frame(b"abc") == b"\x02\x00\x03abc\x03\x60"
    assert frame(b"x" * 123)[:3].hex() == "020123"
    assert StxFramer(length.FRAMINGS["be2"]).send(b"x" * 123)[:3].hex() == "02007b"
    assert lrc(frame(b"anything")[1:]) == 0
    assert lrc(b"") == 0


@pytest.mark.parametrize("name", ["stx", "stx+binary"])
def test_a_frame_is_acknowledged_and_handed_out_in_either_encoding(name: str) -> None:
    payload = bytes(range(256))
    framer = new_framer(name)
    assert framer.receive(new_framer(name).send(payload), 0.0) == Received(ACKED, (payload,), None)
    assert framer.pending == 0


@pytest.mark.parametrize("size", [0, 2049])
def test_what_no_frame_can_carry_is_refused_and_changes_nothing(size: int) -> None:
    framer = new()
    with pytest.raises(LocalProtocolError):
        framer.send(b"x" * size)
    assert framer.send(b"a") == frame(b"a")


@pytest.mark.parametrize(
    "make",
    [
        partial(LineTimers, ack_s=0),
        partial(LineTimers, inter_byte_s=-1.0),
        partial(LineTimers, byte_s=-0.001),
        partial(StxFramer, length.FRAMINGS["be4"]),
        partial(StxFramer, length.FRAMINGS["bcd2+self"]),
        partial(StxFramer, limit=0),
        partial(StxFramer, limit=10_000),
    ],
)
def test_a_line_that_cannot_be_is_refused(make: partial[object]) -> None:
    with pytest.raises(UsageError):
        make()


def test_a_frame_in_single_bytes_is_pending_until_it_is_whole() -> None:
    framer, data = new(), frame(b"abc")
    for count, byte in enumerate(data[:-1], start=1):
        received = framer.receive(bytes([byte]), 0.0625 * count)
        assert received == Received(wake_at=0.0625 * count + QUIET)
        assert framer.pending == count
    assert framer.receive(data[-1:], 0.5) == Received(ACKED, (b"abc",))


# The sender.


def test_an_ack_counts_after_the_silence_behind_it() -> None:
    framer, _ = sent(b"a")
    assert framer.receive(ACKED, 0.5) == Received(wake_at=0.625)
    assert framer.receive(b"", 0.625) == Received()
    assert framer.receive(b"", 100.0) == Received()


def test_an_ack_directly_before_the_answer_counts_with_it() -> None:
    framer, _ = sent(b"a")
    assert framer.receive(ACKED + frame(b"b"), 0.5) == Received(ACKED, (b"b",))
    assert framer.receive(b"", 100.0) == Received()


def test_a_new_frame_in_place_of_the_ack_is_the_ack() -> None:
    framer, _ = sent(b"a")
    assert framer.receive(frame(b"b"), 0.5) == Received(ACKED, (b"b",))
    assert framer.receive(b"", 100.0) == Received()


def test_silence_repeats_the_frame_three_times_and_then_gives_up_for_good() -> None:
    framer, data = sent(b"a")
    for attempt in range(1, RETRIES + 1):
        assert framer.receive(b"", attempt - 0.001).writes == b""
        assert framer.receive(b"", float(attempt)) == Received(data, wake_at=attempt + SOON)
        # The time for the ACK begins when the frame has been written.
        assert framer.receive(b"", float(attempt)) == Received(wake_at=attempt + 1.0)
    assert framer.receive(b"", 4.0) == Received(GIVEN_UP, wake_at=4.0 + SOON)
    for _ in range(2):
        with pytest.raises(FrameError, match="not acknowledged after 4 attempts") as caught:
            framer.receive(ACKED + frame(b"b"), 4.1)
        assert caught.value.trouble is Trouble.NOT_ACKNOWLEDGED
    with pytest.raises(LocalProtocolError, match="not acknowledged"):
        framer.send(b"c")


def test_refusals_repeat_the_frame_three_times_and_then_end_it() -> None:
    framer, data = sent(b"a")
    now = 0.0
    for _ in range(RETRIES):
        now += 0.2
        assert heard(framer, NAK, now).writes == data
        framer.receive(b"", now + QUIET)
    assert heard(framer, NAK, now + 0.2).writes == GIVEN_UP
    with pytest.raises(FrameError, match="not accepted after 4 attempts"):
        framer.receive(b"", now + 1.0)


def test_a_storm_of_refusals_without_a_pause_ends_by_the_timer() -> None:
    framer, data = sent(b"a")
    written, now = b"", 0.0
    for tick in range(1, 500):
        now = tick * 0.01
        try:
            written += framer.receive(NAKED * 5, now).writes
        except FrameError:
            break
    assert written == data * RETRIES + GIVEN_UP
    assert now < 5.0


def test_words_in_one_breath_count_once_and_the_ack_counts_most() -> None:
    framer, _ = sent(b"a")
    framer.receive(NAKED + ACKED + ACKED, 0.1)
    assert framer.receive(b"", 0.3) == Received()
    framer, data = sent(b"a")
    framer.receive(NAKED + NAKED, 0.1)
    assert framer.receive(b"", 0.3).writes == data


@pytest.mark.parametrize("behind", [b"x", b"xyz" + ACKED, bytes([ACK, ACK, ACK, ACK])])
def test_an_ack_with_noise_behind_it_is_noise(behind: bytes) -> None:
    framer, data = sent(b"a")
    framer.receive(ACKED, 0.1)
    framer.receive(behind, 0.15)
    assert framer.receive(b"", 0.3).writes == b""
    # So is one with noise before it.
    framer.receive(behind + ACKED, 0.5)
    assert framer.receive(b"", 1.0).writes == data


@pytest.mark.parametrize("fill", [b"\x00", b"\xff\xff", b"\x00" * 100])
def test_runs_of_00_and_ff_around_a_word_do_no_harm(fill: bytes) -> None:
    framer, _ = sent(b"a")
    framer.receive(fill + ACKED + fill, 0.1)
    assert framer.receive(b"", 0.3) == Received()
    assert framer.receive(b"", 9.0) == Received()


def test_an_ack_in_front_of_a_frame_that_is_spoilt_is_noise() -> None:
    framer, data = sent(b"a")
    bad = bytearray(frame(b"b"))
    bad[-1] ^= 1
    assert framer.receive(ACKED + bad, 0.5).writes == NAKED
    # The peer has its time again: this may have been its answer.
    assert framer.receive(b"", 1.4).writes == b""
    assert framer.receive(b"", 1.5).writes == data


def test_the_timer_rests_while_a_frame_comes_in() -> None:
    framer, _ = sent(b"a")
    answer = frame(b"answer")
    received = [framer.receive(bytes([byte]), 0.95 + 0.09 * count) for count, byte in enumerate(answer)]
    assert [each.writes for each in received] == [b""] * (len(answer) - 1) + [ACKED]
    assert received[-1].frames == (b"answer",)


def test_a_frame_sent_while_another_waits_goes_out_in_its_turn() -> None:
    framer, _ = sent(b"a")
    assert framer.send(b"b") == b""
    assert framer.send(b"c") == b""
    assert heard(framer, ACK, 0.1).writes == frame(b"b")
    framer.receive(b"", 0.2)
    # Behind the ACK for what the peer said, which could otherwise be taken for one of its next frame.
    assert framer.receive(ACKED + frame(b"x"), 0.3).writes == ACKED + frame(b"c")
    framer.receive(b"", 0.3)
    assert heard(framer, ACK, 0.4) == Received()


def test_too_many_waiting_frames_are_refused() -> None:
    framer, _ = sent(b"a")
    for _ in range(limits.LINE_WAITING_MAX):
        framer.send(b"b")
    with pytest.raises(LocalProtocolError, match="too many"):
        framer.send(b"c")


# The receiver.


@pytest.mark.parametrize("place", [-1, 3, 5])
def test_a_frame_whose_lrc_differs_is_refused_at_once(place: int) -> None:
    framer, bad = new(), bytearray(frame(b"abc"))
    bad[place] ^= 0x40
    assert framer.receive(bytes(bad), 0.0) == Received(NAKED)
    assert framer.receive(frame(b"abc"), 0.2).frames == (b"abc",)


@pytest.mark.parametrize(
    "bad",
    [
        bytes([STX, 0x00, 0x00]),
        bytes([STX, 0x0A, 0x00]),
        bytes([STX, 0x99, 0x99]),
        frame(b"abc")[:-2] + b"\x04" + frame(b"abc")[-1:],
    ],
    ids=["an empty frame", "no digits", "too long", "no ETX"],
)
def test_a_frame_that_cannot_be_is_refused_when_the_line_is_quiet(bad: bytes) -> None:
    framer = new()
    assert framer.receive(bad, 0.0) == Received(wake_at=QUIET)
    assert framer.pending == 0
    assert framer.receive(bytes([1, STX, ACK, 0, ETX]), 0.0625) == Received(wake_at=0.1875)
    assert framer.receive(b"", 0.1875) == Received(NAKED)


def test_a_silence_inside_a_frame_refuses_it() -> None:
    framer = new()
    framer.receive(frame(b"abc")[:4], 0.0)
    assert framer.receive(b"", QUIET) == Received(NAKED)
    # The same silence, when the rest comes behind it.
    framer.receive(frame(b"abc")[:4], 1.0)
    assert framer.receive(frame(b"def"), 1.2) == Received(NAKED + ACKED, (b"def",))


def test_bad_frames_without_end_are_refused_three_times_in_a_row() -> None:
    framer, bad = new(), frame(b"abc")[:-1] + b"\x00"
    for tick in range(RETRIES):
        assert framer.receive(bad, tick).writes == NAKED
    assert framer.receive(bad + frame(b"more"), 5.0) == Received(GIVEN_UP, wake_at=5.0 + SOON)
    with pytest.raises(FrameError, match="4 bad frames in a row") as caught:
        framer.receive(b"", 5.1)
    assert caught.value.trouble is Trouble.BAD_FRAME


def test_a_good_frame_ends_the_row_of_bad_ones() -> None:
    framer, bad = new(), frame(b"abc")[:-1] + b"\x00"
    for tick in range(20):
        assert framer.receive(bad, tick).writes == NAKED
        assert framer.receive(frame(b"%d" % tick), tick + 0.5).writes == ACKED


def test_frames_before_the_fault_are_handed_out_first() -> None:
    framer, bad = new(), frame(b"abc")[:-1] + b"\x00"
    received = framer.receive(frame(b"good") + bad * (RETRIES + 1), 0.0)
    assert received.frames == (b"good",)
    assert received.writes == ACKED + NAKED * RETRIES + GIVEN_UP


def test_noise_before_a_frame_is_dropped_and_is_not_kept() -> None:
    framer = new()
    for tick in range(100):
        assert framer.receive(b"\xff\x00noise" * 100, tick * 0.01).writes == b""
        assert framer.pending == 0
    assert framer.receive(b"\x00\xff!" + frame(b"abc"), 1.0) == Received(ACKED, (b"abc",))


# What was delivered before.


def test_a_frame_that_is_repeated_because_its_ack_was_lost_is_acknowledged_and_not_delivered() -> None:
    framer, data = new(), frame(b"request")
    assert framer.receive(data, 0.0).frames == (b"request",)
    for attempt in range(1, RETRIES + 1):
        assert framer.receive(data, attempt * 1.01) == Received(ACKED)


def test_a_frame_cannot_be_repeated_more_often_than_the_line_repeats() -> None:
    framer, data = new(), frame(b"request")
    for tick in range(RETRIES + 1):
        framer.receive(data, tick)
    assert framer.receive(data, RETRIES + 1).frames == (b"request",)


def test_a_repeated_frame_is_no_ack_of_ours() -> None:
    host, data = new(), frame(b"request")
    host.receive(data, 0.0)
    answer = host.send(b"answer")
    host.receive(b"", 0.1)
    # An ACK behind our answer could be taken for one of what the peer says to it.
    assert host.receive(data, 1.0) == Received(wake_at=1.1)
    assert host.receive(b"", 1.1).writes == answer


def test_the_same_request_after_the_answer_timeout_is_a_new_one() -> None:
    host, data = new(), frame(b"reversal")
    assert host.receive(data, 0.0).frames == (b"reversal",)
    assert host.receive(data, TIMERS.repeat_s(len(data))) == Received(ACKED, (b"reversal",))


def test_the_same_request_after_its_answer_was_acknowledged_is_a_new_one_at_once() -> None:
    host, data = new(), frame(b"reversal")
    host.receive(data, 0.0)
    host.send(b"answer")
    assert host.receive(b"", 0.0).wake_at == 1.0
    heard(host, ACK, 0.1)
    assert host.receive(data, 0.3).frames == (b"reversal",)
    # Also with the ACK directly in front of it.
    host.send(b"answer")
    host.receive(b"", 0.3)
    assert host.receive(ACKED + data, 0.4).frames == (b"reversal",)


def test_the_window_slides_with_every_frame_on_the_line() -> None:
    host, data = new(), frame(b"request")
    host.receive(data, 0.0)
    assert host.receive(data[:-1] + b"\x00", 3.5).writes == NAKED
    assert host.receive(data, 7.0).frames == host.receive(data, 10.5).frames == ()
    assert host.receive(data, 14.5).frames == (b"request",)


def test_while_an_answer_waits_the_same_request_is_a_repetition_however_late_it_is_read() -> None:
    host, data = new(), frame(b"request")
    host.receive(data, 0.0)
    host.send(b"answer")
    host.receive(b"", 0.0)
    assert host.receive(data, 100.0).frames == ()


def test_the_next_framer_of_a_line_has_nothing_to_say_and_knows_what_was_delivered() -> None:
    framer, data = sent(b"request")
    framer.receive(frame(b"answer"), 0.5)
    framer.send(b"abandoned")
    framer.receive(b"\x02\x00", 0.6)
    heir = framer.renewed()
    assert heir.pending == 0
    assert heir.receive(b"", 0.6) == Received()
    # Whoever opens a line says so, once.
    assert heir.send(b"next") == GIVEN_UP + frame(b"next")
    heir.receive(b"", 0.7)
    assert heir.receive(frame(b"answer"), 1.0) == Received(wake_at=1.7)
    assert heir.receive(data, 1.1).frames == (b"request",)


def test_the_next_framer_of_a_line_that_failed_is_whole_and_knows_that_the_line_echoes() -> None:
    framer, data = sent(b"a")
    framer.receive(data, 0.1)
    for now in (0.2, 0.5):
        framer.receive(GIVEN_UP, now)
        with suppress(FrameError):
            assert framer.receive(b"", now + QUIET).writes == data
    heir = framer.renewed()
    assert heir.receive(data, 0.8) == Received()
    assert heir.receive(frame(b"b"), 0.9).frames == (b"b",)


# Words without a frame of ours.


@pytest.mark.parametrize("word", [ACK, NAK, EOT])
def test_words_for_nobody_are_ignored(word: int) -> None:
    framer = new()
    assert heard(framer, word, 0.0) == Received()
    assert framer.receive(frame(b"a"), 1.0).frames == (b"a",)


def test_whoever_asks_hears_the_last_word() -> None:
    framer = new()
    assert heard(framer, ENQ, 0.0).writes == NAKED
    framer.receive(frame(b"a")[:-1] + b"\x00", 1.0)
    assert heard(framer, ENQ, 2.0).writes == NAKED
    framer.receive(frame(b"a"), 3.0)
    assert heard(framer, ENQ, 4.0).writes == ACKED
    # Past the time of repetitions nobody can be asking for that one.
    assert heard(framer, ENQ, 9.0).writes == NAKED


def test_whoever_asks_after_noise_does_not_hear_that_it_was_good() -> None:
    framer = new()
    framer.receive(frame(b"a"), 0.0)
    framer.receive(frame(b"b")[1:], 1.0)
    assert heard(framer, ENQ, 2.0).writes == NAKED


def test_whoever_asks_while_ours_waits_hears_ours_but_not_without_end() -> None:
    framer, data = sent(b"a")
    for attempt in range(RETRIES):
        assert heard(framer, ENQ, attempt * 0.2 + 0.2).writes == data
        framer.receive(b"", attempt * 0.2 + 0.3)
    assert heard(framer, ENQ, 1.0).writes == b""
    assert framer.receive(b"", 1.8).writes == GIVEN_UP


def test_a_peer_that_gives_up_ends_what_waits_for_it() -> None:
    framer, data = sent(b"a")
    # One bit makes it of an ACK.
    assert heard(framer, EOT, 0.1).writes == data
    framer.receive(GIVEN_UP, 0.4)
    with pytest.raises(FrameError, match="the other side gave up"):
        framer.receive(b"", 0.6)


def test_a_peer_that_gives_up_in_the_middle_of_a_frame_costs_only_that_frame() -> None:
    framer = new()
    framer.receive(frame(b"abc")[:4] + GIVEN_UP, 0.0)
    assert framer.receive(b"", QUIET).writes == NAKED
    assert framer.receive(frame(b"abc"), 1.0).frames == (b"abc",)


# A line that echoes.


def test_our_own_frame_that_comes_back_is_ignored() -> None:
    framer, data = sent(b"a")
    assert framer.receive(data, 0.1) == Received(wake_at=1.0)
    assert framer.receive(ACKED + frame(b"b"), 0.3).frames == (b"b",)


def test_an_ack_of_ours_that_comes_back_in_front_of_our_frame_acknowledges_nothing() -> None:
    host = new()
    host.receive(frame(b"request"), 0.0)
    answer = host.send(b"answer")
    host.receive(b"", 0.0)
    assert host.receive(ACKED + answer, 0.1) == Received(wake_at=1.0)
    assert host.receive(b"", 1.0).writes == answer


def test_on_a_line_that_echoes_an_ack_of_ours_alone_acknowledges_nothing_either() -> None:
    host = new()
    request = frame(b"request")
    host.receive(request, 0.0)
    answer = host.send(b"answer")
    host.receive(b"", 0.0)
    host.receive(ACKED + answer, 0.1)
    assert host.receive(frame(b"next"), 0.5).writes == ACKED
    host.send(b"another")
    host.receive(b"", 0.5)
    assert host.receive(ACKED, 0.51) == Received(wake_at=1.5)
    # The next one is the peer's.
    host.receive(ACKED, 0.6)
    assert host.receive(b"", 0.75) == Received()


def test_a_word_of_ours_that_does_not_come_back_shows_that_the_line_does_not_echo() -> None:
    host = new()
    host.receive(frame(b"request"), 0.0)
    answer = host.send(b"answer")
    host.receive(b"", 0.0)
    host.receive(answer, 0.1)
    assert host.receive(frame(b"next"), 0.5) == Received(ACKED, (b"next",))
    another = host.send(b"another")
    host.receive(b"", 0.5)
    assert host.receive(b"", 1.5).writes == another
    host.receive(b"", 1.5)
    assert heard(host, ACK, 1.75) == Received()


def test_our_own_frame_that_comes_back_behind_the_answer_is_ignored_on_a_line_that_echoes() -> None:
    framer, data = sent(b"a")
    framer.receive(data, 0.1)
    framer.receive(b"", 1.0)
    assert framer.receive(frame(b"b"), 1.1).frames == (b"b",)
    assert framer.receive(data, 1.2) == Received()


def test_an_answer_that_is_read_as_the_timer_runs_out_is_in_time() -> None:
    framer, _ = sent(b"a")
    assert framer.receive(frame(b"b"), 1.5) == Received(ACKED, (b"b",))


def test_another_word_than_ours_is_the_peers_also_on_a_line_that_echoes() -> None:
    host = new()
    host.receive(frame(b"request"), 0.0)
    answer = host.send(b"answer")
    host.receive(b"", 0.0)
    host.receive(answer, 0.1)
    host.receive(frame(b"next"), 0.2)
    another = host.send(b"another")
    host.receive(b"", 0.2)
    assert heard(host, NAK, 0.3).writes == another
