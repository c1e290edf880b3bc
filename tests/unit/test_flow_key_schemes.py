"""What the flow does about key schemes: tracks are enciphered as a request is made, and other keys are not used."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine.crypto.keys import KeyUsage
from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import UNIONPAY, with_scheme
from pos_engine.flow.effects import Ask, CheckKeys, Done, Enciphered, EncipherTrack, TakeCard
from pos_engine.flow.profile import Profile
from pos_engine.journal.record import State
from pos_engine.values import Card, EncipheredTrack
from tests.support.exchange import IDENTITY, TRACK, Script, approve, sale, signed_on

if TYPE_CHECKING:
    from pos_engine.clock import Instant
    from pos_engine.flow.effects import Effect, Happening
    from pos_engine.journal.memory import MemoryJournal
    from pos_engine.wire.message import Message
    from tests.support.exchange import Reply

TRACKING = Profile(with_scheme("3des-track"), IDENTITY)
HEX = "6229990000000004D30" + "0123456789ABCDEF" + "00"


def signed_on_with_a_track_key(batch: str = "000001") -> Reply:
    def reply(request: Message, now: Instant) -> Happening:
        return approve({60: f"00{batch}004", 62: "11" * 60})(request, now)

    return reply


class Enciphering(Script):
    """Enciphers tracks, or answers something else than was asked."""

    def __init__(self, *replies: Reply, journal: MemoryJournal | None = None, is_odd: bool = False) -> None:
        super().__init__(*replies, journal=journal, profile=TRACKING)
        self.is_odd = is_odd

    def perform(self, effect: Effect) -> Happening:
        if isinstance(effect, Ask) and isinstance(effect.question, EncipherTrack):
            now = self.clock.now()
            return Done(now) if self.is_odd else Enciphered(now, EncipheredTrack(HEX))
        return super().perform(effect)

    @property
    def asked(self) -> list[type]:
        return [type(effect.question) for effect in self.effects if isinstance(effect, Ask)]


def test_a_swiped_track_is_enciphered_before_its_request_is_saved() -> None:
    script = Enciphering(signed_on_with_a_track_key(), approve())
    finished = script.run(sale())
    assert finished.record is not None
    assert finished.record.state is State.APPROVED
    questions = [each.question for each in script.effects if isinstance(each, Ask)]
    (question,) = (each for each in questions if isinstance(each, EncipherTrack))
    assert question.track.reveal() == TRACK
    sign_on = script.journal.find(1)
    assert sign_on is not None
    assert question.key == next(key for key in sign_on.keys if key.usage is KeyUsage.TRACK)
    assert script.sent[-1][35] == HEX
    assert script.sent[-1][53] == "0610000000000000"
    assert TRACK not in repr(script.effects)
    assert HEX not in repr(script.effects)


def test_a_keyed_card_has_no_track_to_encipher() -> None:
    script = Enciphering(signed_on_with_a_track_key(), approve())
    script.card = Card.keyed("6229990000000004", "3012")
    assert script.run(sale()).record is not None
    assert EncipherTrack not in script.asked
    assert 35 not in script.sent[-1]


def test_an_answer_to_another_question_is_a_fault_of_the_performer() -> None:
    script = Enciphering(signed_on_with_a_track_key(), is_odd=True)
    with pytest.raises(AssertionError, match="Done does not answer the effect that was yielded"):
        script.run(sale())
    assert [message.mti for message in script.sent] == ["0800"]


def test_keys_of_another_scheme_are_renewed_before_a_card_is_taken() -> None:
    before = Script(signed_on(), approve())
    before.run(sale())
    script = Enciphering(signed_on_with_a_track_key("000001"), approve(), journal=before.journal)
    finished = script.run(sale("1.00"))
    assert finished.record is not None
    assert finished.record.state is State.APPROVED
    assert [message.mti for message in script.sent] == ["0800", "0200"]
    # The old keys are not even looked at: they are the wrong ones, whether or not they open.
    assert script.asked == [CheckKeys, TakeCard, EncipherTrack]
    asked = [each.question for each in script.effects if isinstance(each, Ask)]
    sign_on = script.journal.last_approved(Kind.SIGN_ON)
    assert sign_on is not None
    assert asked[0] == CheckKeys(sign_on.keys)


def test_a_dialect_without_schemes_takes_the_keys_that_come() -> None:
    script = Script(signed_on(), approve(), profile=Profile(replace(UNIONPAY, scheme=None, schemes={}), IDENTITY))
    finished = script.run(sale())
    assert finished.record is not None
    assert (finished.record.kind, finished.record.state) == (Kind.SALE, State.APPROVED)
    assert script.sent[-1][35] == TRACK
