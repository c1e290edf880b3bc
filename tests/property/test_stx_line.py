"""Two ends of a serial line, and everything that goes wrong between them: each byte, each word, in any order."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import count, pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pos_engine import limits
from pos_engine.errors import FrameError
from pos_engine.framing.line import ACK, ENQ, EOT, ETX, NAK, STX
from pos_engine.framing.stx import StxFramer
from tests.support.stx_line import TIMERS, Fault, Line, Mishap, untouched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ATTEMPTS_MAX = limits.LINE_RETRIES_MAX + 1
# Every byte that means something stands in the payloads too.
REQUEST = b"Q" + bytes([STX, 0, 1, ACK, ETX, ACK, NAK, EOT, ENQ, 0xFF]) + bytes(range(0x60, 0x70))
ANSWER = b"A" + bytes([ACK, ACK, STX, 0, 2, EOT, NAK, ETX, 0, 0xFF]) + bytes(range(0x70, 0x80))
WORDS = (ACK, NAK, ENQ, EOT)
INSERTED = (STX, ETX, *WORDS, 0x00, 0xFF, 0x41)
VALUES = {Mishap.DROP: (0,), Mishap.DOUBLE: (0,), Mishap.FLIP: tuple(range(8)), Mishap.INSERT: INSERTED}
# An answer at once, after the silence behind the ACK, after one repetition, and when the window is long over.
DELAYS_S = (0.0, 0.3, 1.5, 20.0)


def exchange(
    *faults: Fault,
    delay_s: float = 0.0,
    echoes: bool = False,
    passes: Callable[[str, bytes], bytes] = untouched,
    noise: tuple[tuple[str, float, bytes], ...] = (),
    opens: bool = False,
) -> Line:
    """One request and its answer over a line, to the end."""
    line = Line(*faults, delay_s=delay_s, echoes=echoes, passes=passes, opens=opens)
    line.answer(REQUEST, ANSWER)
    for end, at, data in noise:
        line.put(end, data, at=at)
    line.send("terminal", REQUEST)
    line.run()
    return line


def check(line: Line, *, honest: bool = True, asked: int = 0) -> None:
    """What holds of every exchange. With `honest`, no word of an end was made up: a sender then knows what was lost.

    `asked`: how often somebody asked what was said; each time he hears it.
    """
    terminal, host = line.terminal, line.host
    assert host.delivered in ([], [REQUEST])
    assert terminal.delivered in ([], [ANSWER])
    check_bounds(line, asked)
    if honest:
        assert host.delivered or terminal.failed
        assert not host.delivered or terminal.delivered or host.failed or terminal.failed


def check_bounds(line: Line, asked: int = 0) -> None:
    """Nothing goes on without end."""
    for end in (line.terminal, line.host):
        assert all(count <= ATTEMPTS_MAX for count in end.frames.values())
        assert end.words[NAK] <= 2 * ATTEMPTS_MAX + asked
        assert end.words[EOT] <= 1
        assert end.failed is not None or end.wake_at is None, "something still waits"


def faults_of(end: str, *, echoes: bool) -> Iterator[Fault]:
    """Every mishap of every byte that an end writes in an exchange where nothing goes wrong."""
    for at in range(exchange(echoes=echoes).ends[end].wrote):
        for mishap, values in VALUES.items():
            yield from (Fault(end, at, mishap, value) for value in values)


@pytest.mark.parametrize("echoes", [False, True])
@pytest.mark.parametrize("end", ["terminal", "host"])
@pytest.mark.parametrize("delay_s", DELAYS_S)
def test_any_mishap_of_any_one_byte_costs_a_repetition_at_most(delay_s: float, end: str, *, echoes: bool) -> None:
    cases = 0
    for fault in faults_of(end, echoes=echoes):
        line = exchange(fault, delay_s=delay_s, echoes=echoes)
        check(line)
        assert line.terminal.delivered == [ANSWER], fault
        assert line.terminal.failed is None, fault
        assert line.host.failed is None, fault
        cases += 1
    assert cases > 500


@pytest.mark.parametrize("echoes", [False, True])
def test_any_two_bytes_may_be_lost(*, echoes: bool) -> None:
    bytes_of = {name: range(0, exchange().ends[name].wrote, 3) for name in ("terminal", "host")}
    for mine in bytes_of["terminal"]:
        for theirs in bytes_of["host"]:
            faults = (Fault("terminal", mine, Mishap.DROP), Fault("host", theirs, Mishap.FLIP, 6))
            check(exchange(*faults, echoes=echoes, delay_s=0.3))


@pytest.mark.parametrize("delay_s", DELAYS_S)
@pytest.mark.parametrize("lost", [("terminal",), ("host",), ("terminal", "host")])
def test_all_acks_lost(lost: tuple[str, ...], delay_s: float) -> None:
    line = exchange(delay_s=delay_s, passes=lambda end, data: b"" if end in lost and data == bytes([ACK]) else data)
    check(line)
    # Whoever is never acknowledged says so, whatever was delivered.
    assert line.terminal.failed is None or "host" in lost
    assert line.host.delivered == [REQUEST]


@pytest.mark.parametrize("delay_s", DELAYS_S)
@pytest.mark.parametrize("end", ["terminal", "host"])
@pytest.mark.parametrize("written", range(6))
def test_each_write_lost(written: int, end: str, delay_s: float) -> None:
    writes = count()

    def passes(writer: str, data: bytes) -> bytes:
        return b"" if writer == end and next(writes) == written else data

    line = exchange(delay_s=delay_s, passes=passes)
    check(line)
    assert line.terminal.delivered == [ANSWER]
    assert line.terminal.failed is line.host.failed is None


@pytest.mark.parametrize("dead", ["terminal", "host"])
def test_a_line_that_is_dead_in_one_direction_ends_with_an_error_at_the_sender(dead: str) -> None:
    line = exchange(passes=lambda end, data: b"" if end == dead else data)
    check(line)
    assert line.terminal.failed == "not acknowledged after 4 attempts"


@pytest.mark.parametrize("period_s", [0.01, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("end", ["terminal", "host"])
def test_a_storm_of_words_ends(end: str, word: int, period_s: float) -> None:
    storm = tuple((end, tick * period_s, bytes([word])) for tick in range(300))
    check(exchange(noise=storm, delay_s=0.3), honest=word != ACK, asked=len(storm) if word == ENQ else 0)


@pytest.mark.parametrize("word", [*WORDS, 0x00, 0xFF, STX])
@pytest.mark.parametrize("end", ["terminal", "host"])
@pytest.mark.parametrize("delay_s", [0.0, 0.3])
def test_a_stray_word_at_any_moment(delay_s: float, end: str, word: int) -> None:
    for tick in range(40):
        line = exchange(noise=((end, tick * 0.025, bytes([word])),), delay_s=delay_s)
        check(line, honest=word != ACK)


def opened_anew(fault: Fault, delay_s: float) -> Line:
    """The same request twice within the window: the terminal has opened the line anew, and something goes wrong."""
    line = Line(delay_s=delay_s, opens=True)
    line.answer(REQUEST, ANSWER)
    line.send("terminal", REQUEST)
    line.run(line.now + delay_s + 0.5)
    line.terminal.framer = line.terminal.framer.renewed()
    line.answer(REQUEST, b"another " + ANSWER)
    line.strike(replace(fault, at=line.ends[fault.end].wrote + fault.at))
    line.send("terminal", REQUEST)
    line.run()
    return line


@pytest.mark.parametrize("delay_s", DELAYS_S[:3])
@pytest.mark.parametrize("end", ["terminal", "host"])
def test_a_line_that_is_opened_anew_delivers_the_same_request_once_more_whatever_happens(
    end: str, delay_s: float
) -> None:
    cases = 0
    for fault in faults_of(end, echoes=False):
        # The word that says so has no check of its own; with it the request is lost, never doubled.
        is_told = fault.at > 0 or end == "host"
        line = opened_anew(fault, delay_s)
        assert line.host.delivered in ([REQUEST] * 2, [REQUEST] * (2 if is_told else 1)), fault
        assert line.terminal.failed is line.host.failed is None, fault
        cases += 1
    assert cases > 500


def test_both_may_begin_at_once() -> None:
    line = Line()
    line.send("terminal", REQUEST)
    line.send("host", b"unasked")
    line.run()
    assert line.host.delivered == [REQUEST]
    assert line.terminal.delivered == [b"unasked"]
    assert line.host.failed is line.terminal.failed is None


def test_the_same_request_again_after_the_window_and_after_an_answer_is_delivered_each_time() -> None:
    line = Line()
    line.answer(REQUEST, ANSWER)
    for _ in range(3):
        line.send("terminal", REQUEST)
        line.run(line.now + 0.5)
    line.host.answers.clear()
    for _ in range(3):
        # Nobody answers; the terminal asks again when its own time is up.
        line.send("terminal", REQUEST)
        line.run(line.now + 60.0)
    assert line.host.delivered == [REQUEST] * 6
    assert line.host.failed is line.terminal.failed is None


FAULTS = st.builds(
    Fault,
    st.sampled_from(["terminal", "host"]),
    st.integers(0, 200),
    st.sampled_from([Mishap.DROP, Mishap.DOUBLE, Mishap.FLIP]),
    st.integers(0, 7),
)
LOST = st.sets(st.integers(0, 30), max_size=8)


def exchange_with(faults: list[Fault], lost: set[int], delay_s: float, *, echoes: bool) -> Line:
    """An exchange in which the writes with these numbers, of both ends together, never arrive."""
    written = count()
    return exchange(
        *faults, delay_s=delay_s, echoes=echoes, passes=lambda _, data: b"" if next(written) in lost else data
    )


@given(st.lists(FAULTS, max_size=1), LOST, st.sampled_from(DELAYS_S), st.booleans())
def test_one_mishap_and_any_number_of_losses(
    faults: list[Fault],
    lost: set[int],
    delay_s: float,
    echoes: bool,  # noqa: FBT001 - Hypothesis fills it in
) -> None:
    check(exchange_with(faults, lost, delay_s, echoes=echoes))


@given(st.lists(FAULTS, max_size=8), LOST, st.sampled_from(DELAYS_S), st.booleans())
def test_any_number_of_mishaps_and_losses_ends(
    faults: list[Fault],
    lost: set[int],
    delay_s: float,
    echoes: bool,  # noqa: FBT001 - Hypothesis fills it in
) -> None:
    # Two mishaps can make another frame of one, which an exclusive or does not tell: the MAC is there for that.
    check_bounds(exchange_with(faults, lost, delay_s, echoes=echoes))


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), st.lists(st.integers(0, 300)))
def test_any_chunking_delivers_the_same(payloads: list[bytes], cuts: list[int]) -> None:
    # No two are alike: the second of those would be a repetition.
    sent = [bytes([place]) + each for place, each in enumerate(payloads)]
    stream = b"".join(StxFramer().send(each) for each in sent)
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for pieces in ([stream], [stream[start:end] for start, end in pairwise(edges)], [bytes([byte]) for byte in stream]):
        framer = StxFramer(timers=TIMERS)
        received = [framer.receive(piece, 0.0) for piece in pieces]
        assert [frame for each in received for frame in each.frames] == sent
        assert b"".join(each.writes for each in received) == bytes([ACK]) * len(sent)


NOISE = st.lists(
    st.tuples(
        st.binary(max_size=20) | st.sampled_from([bytes([each]) for each in (STX, ETX, *WORDS)]),
        st.sampled_from([0.0, 0.01, 0.15, 1.1]),
    ),
    max_size=30,
)


@given(NOISE, st.booleans())
def test_random_bytes_raise_nothing_but_frame_errors_and_never_pile_up(
    noise: list[tuple[bytes, float]],
    sending: bool,  # noqa: FBT001 - Hypothesis fills it in
) -> None:
    framer, now = StxFramer(timers=TIMERS), 0.0
    if sending:
        framer.send(REQUEST)
    failed = False
    for data, pause in noise:
        now += pause
        try:
            received = framer.receive(data, now)
        except FrameError:
            failed = True
            continue
        assert not failed
        assert received.wake_at is None or received.wake_at > now
        assert framer.pending <= limits.FRAME_BYTES_MAX + 5


@given(NOISE)
def test_how_bytes_of_one_moment_are_cut_makes_no_difference(noise: list[tuple[bytes, float]]) -> None:
    def outcome(*, singly: bool) -> tuple[list[bytes], bytes]:
        framer, now, writes = StxFramer(timers=TIMERS), 0.0, b""
        frames: list[bytes] = []
        with suppress(FrameError):
            for data, pause in noise:
                now += pause
                for piece in ([bytes([byte]) for byte in data] or [b""]) if singly else [data]:
                    received = framer.receive(piece, now)
                    frames += received.frames
                    writes += received.writes
        return frames, writes

    assert outcome(singly=True) == outcome(singly=False)
