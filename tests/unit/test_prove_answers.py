"""Forged answers: what the campaigns count, and that a terminal which believes too much is caught."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pos_engine.dialects.base import unpack
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import UsageError
from pos_engine.flow import drive
from pos_engine.flow.effects import Answered, MacState
from pos_engine.flow.responses import classify
from simulators.prove.answers import ANSWERS, BITS, Answers, flipped
from simulators.prove.campaign import Scale, Shard, Tally
from simulators.prove.exchanges import BODY_AT, STORIES, Scene, capture
from simulators.prove.forgeries import FORGERIES, Forgeries
from simulators.prove.secrets import SECRETS
from simulators.prove.tricks import TRICKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pos_engine.flow.profile import Profile
    from pos_engine.flow.states import Cue
    from pos_engine.journal.record import Record

PART = Shard(Scale.QUICK, index=1, count=12)
SALE = ("sale",)


def blind_to(number: int) -> Callable[[Record, Answered, Profile], tuple[Cue, str]]:
    """A judgement that takes one element of an answer for what was asked."""

    def judge(record: Record, answer: Answered, profile: Profile) -> tuple[Cue, str]:
        asked = {number: record.request[number]} if number in answer.message and number in record.request else {}
        return classify(record, replace(answer, message=answer.message.replace(asked)), profile)

    return judge


def trusting(record: Record, answer: Answered, profile: Profile) -> tuple[Cue, str]:
    """A judgement that believes every MAC, and that there is one."""
    return classify(record, replace(answer, mac=MacState.VALID), profile)


def test_there_are_enough_bits_and_every_story_goes_as_it_says() -> None:
    bits = 0
    for story in STORIES.values():
        captured = capture(story, 0)
        bits += (len(captured.payload) - BODY_AT) * BITS if story.signed else 0
        assert captured.taken(captured.payload, classify) is story.signed
        assert captured.record.kind is story.kind
        assert len(captured.mac_keys) == 2
    assert bits >= 19_000


@pytest.mark.parametrize("name", STORIES)
def test_a_story_that_nobody_disturbs_ends_with_equal_books(name: str) -> None:
    scene = Scene(STORIES[name], 3)
    scene.play()
    assert scene.recover() == []
    scene.close()


def test_a_flipped_bit_is_flipped_once() -> None:
    assert [flipped(b"\x00\xff", bit).hex() for bit in (0, 7, 8)] == ["80ff", "01ff", "007f"]


@pytest.mark.parametrize("campaign", [ANSWERS, FORGERIES])
def test_a_part_of_the_campaign_finds_nothing(campaign: Answers | Forgeries) -> None:
    tally = campaign.run(PART)
    assert tally.findings == ()
    assert tally.cases > 100


@pytest.mark.parametrize("campaign", [ANSWERS, FORGERIES, SECRETS])
def test_a_campaign_can_be_sent_to_another_process(campaign: object) -> None:
    assert pickle.loads(pickle.dumps(campaign)) == campaign  # noqa: S301 - made right here


def test_shards_share_the_cases() -> None:
    campaign = Forgeries(stories=SALE)
    whole = campaign.run(Shard(Scale.QUICK))
    parts = sum((campaign.run(Shard(Scale.QUICK, index=index, count=3)) for index in range(3)), Tally())
    assert (parts.cases, parts.counts) == (whole.cases, whole.counts)


@pytest.mark.parametrize("number", [3, 4, 11, 41, 42, 49])
def test_a_terminal_that_does_not_compare_an_element_is_caught(number: int) -> None:
    tally = Forgeries(classify=blind_to(number), stories=SALE).run(Shard(Scale.RELEASE, count=5))
    assert any(each.what.endswith(f"with another field {number}") for each in tally.findings)


def test_a_terminal_that_does_not_compare_the_batch_is_caught() -> None:
    tally = Forgeries(classify=blind_to(60), stories=SALE).run(Shard(Scale.QUICK))
    assert any(each.case.endswith("older-batch") for each in tally.findings)


def test_a_terminal_that_does_not_verify_the_mac_is_caught() -> None:
    tally = Answers(classify=trusting).run(PART)
    assert {each.what.partition(" took ")[2] for each in tally.findings} == {
        "an answer with a flipped bit for an approval"
    }
    found = Forgeries(classify=trusting, stories=SALE).run(Shard(Scale.QUICK)).findings
    assert {"no-mac", "zero-mac", "lower-case-mac", "older-keys"} <= {each.case.rpartition("/")[2] for each in found}


def test_a_whole_terminal_that_does_not_verify_the_mac_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive, "classify", trusting)
    captured = capture(STORIES["sale"], 0)
    reference = unpack(UNIONPAY, captured.payload).message[37].encode()
    last_bit = (captured.payload.index(reference) + len(reference)) * BITS - 1
    told = ANSWERS.repeat(f"terminal/sale/{last_bit}", 0)
    assert told.endswith("the record of a sale was approved by a forged answer")


def test_a_terminal_that_falls_over_is_caught() -> None:
    def broken(record: Record, answer: Answered, profile: Profile) -> tuple[Cue, str]:
        del record, answer, profile
        raise LookupError

    found = Answers(classify=broken).run(PART).findings
    assert found
    assert {each.what for each in found} == {"the answer made the engine raise LookupError"}


def test_a_case_is_told_again_and_shows_no_card() -> None:
    told = ANSWERS.repeat("terminal/sale-keyed/500", 0)
    assert "622999******0012" in told
    assert "6229990000000012" not in told
    assert told.endswith("nothing is wrong")
    assert FORGERIES.repeat("trick/void/no-mac", 0).endswith("nothing is wrong")
    assert FORGERIES.repeat("pair/sale/0-1-5", 0).endswith("nothing is wrong")


@pytest.mark.parametrize("case", ["", "wire/sale", "wire/sale/x", "wire/nothing/1", "other/sale/1", "wire/sale/99999"])
def test_a_case_that_is_none_is_refused(case: str) -> None:
    with pytest.raises(UsageError, match="no case of answers"):
        ANSWERS.repeat(case, 0)
    with pytest.raises(UsageError, match="no case of forgeries"):
        FORGERIES.repeat(case, 0)


def test_the_linear_mac_lets_declines_be_turned_into_approvals_and_that_is_counted() -> None:
    counts = Forgeries(stories=SALE).run(Shard(Scale.QUICK)).counts
    assert counts["code: a sealed decline taken for an approval"] > 0
    assert counts["pair: taken with another field 37"] > 0
    assert counts["pair: the MAC holds"] + counts["pair: no message any more"] == counts["pair: tried"]


def test_every_trick_makes_another_answer_than_the_host_s() -> None:
    captured = capture(STORIES["sale"], 0)
    forged = [trick.forge(captured) for trick in TRICKS]
    assert captured.payload not in forged
    assert len({each for each in forged if each is not None}) >= len(TRICKS) - 1
