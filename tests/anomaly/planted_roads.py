"""Bugs on the way to the host, planted like those of `planted`, to whose list they are added."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from pos_engine import limits
from pos_engine.errors import NoAnswer, NotSent
from pos_engine.framing.stx import StxFramer
from pos_engine.link import Link
from pos_engine.routes import Routes
from tests.anomaly.planted import bug
from tests.anomaly.planted_session import BUGS
from tests.unit import test_framing_stx, test_link_lasting

if TYPE_CHECKING:
    import pytest

__all__ = ["BUGS"]

LIVES: Final = "lives"


@bug("a request that may have left goes over the next road too", LIVES)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = Routes._try

    def hopeful(self: Any, *given: Any) -> Any:
        try:
            return honest(self, *given)
        except NoAnswer as error:
            return NotSent(str(error))

    patch.setattr(Routes, "_try", hopeful)


@bug(
    "an answer counts that is read after the deadline",
    test_link_lasting.test_an_answer_that_is_read_after_the_deadline_is_late_and_kept,
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limits, "WAIT_MIN_S", math.inf)


@bug(
    "what lies in a line is taken for the answer",
    test_link_lasting.test_what_lies_in_a_line_is_set_aside_and_the_line_is_used,
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Link, "_shelve", lambda _self: None)


@bug(
    "a frame that is repeated on a serial line is delivered again",
    test_framing_stx.test_a_frame_that_is_repeated_because_its_ack_was_lost_is_acknowledged_and_not_delivered,
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(StxFramer, "_is_repeated", lambda _self, _frame: False)


@bug(
    "a request that is made again on purpose is taken for a repeated frame",
    test_framing_stx.test_the_same_request_after_the_answer_timeout_is_a_new_one,
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(StxFramer, "_is_repeated", lambda self, frame: frame == self._last)


@bug(
    "a repeated frame of the peer acknowledges ours",
    test_framing_stx.test_a_repeated_frame_is_no_ack_of_ours,
)
def _(patch: pytest.MonkeyPatch) -> None:
    honest = StxFramer._is_repeated

    def careless(self: Any, frame: bytes) -> bool:
        repeated = honest(self, frame)
        if repeated:
            self._let_go()
        return repeated

    patch.setattr(StxFramer, "_is_repeated", careless)
