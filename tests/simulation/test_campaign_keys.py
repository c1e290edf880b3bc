"""The campaign of keys: what it enumerates, how a case is named, a slice of it, and that its faults happen."""

from __future__ import annotations

import pytest

from pos_engine.dialects.base import Kind
from pos_engine.dialects.unionpay import with_scheme
from pos_engine.dialects.unionpay.schemes import SCHEMES
from pos_engine.errors import UsageError
from pos_engine.journal.record import State
from simulators.prove.campaign import Scale, Shard
from simulators.prove.keyfaults import CUT, FAULTS, KEYFAULTS, Case, cases
from simulators.prove.rotations import OCCASIONS, Rotation


def test_a_slice_of_the_campaign_finds_nothing() -> None:
    tally = KEYFAULTS.run(Shard(Scale.QUICK, index=0, count=20))
    assert tally.findings == ()
    assert tally.cases > 10
    assert tally.counts["uses of a working key"] > tally.cases


def test_there_are_the_eighteen_faults_and_every_scheme_has_what_it_can_have() -> None:
    assert len(FAULTS) == 18
    tried = {(case.scheme, case.fault) for case in cases()}
    missing = {(name, fault) for name in SCHEMES for fault in FAULTS} - tried
    with_parity_or_track = {("sm4", "bad parity"), *((name, "track key") for name in ("des", "3des", "sm4"))}
    assert missing == with_parity_or_track


def test_what_a_scheme_cannot_have_is_named() -> None:
    counts = KEYFAULTS.run(Shard(Scale.QUICK, index=0, count=500)).counts
    assert counts["not there: bad parity with sm4, its keys have no parity"] == 1
    assert counts["not there: track key with 3des, there is no track key"] == 1


@pytest.mark.parametrize("scheme", list(SCHEMES))
@pytest.mark.parametrize("occasion", list(OCCASIONS))
def test_on_every_occasion_keys_change_and_trade_goes_on(occasion: str, scheme: str) -> None:
    rotation = Rotation(occasion, Kind.SALE, dialect=with_scheme(scheme))
    assert rotation.run()
    assert rotation.objections() == []
    assert sign_ons(rotation, State.APPROVED) == 2


def sign_ons(rotation: Rotation, state: State) -> int:
    records = rotation.world.disk.contents.recent(99)
    return sum(each.kind is Kind.SIGN_ON and each.state is state for each in records)


@pytest.mark.parametrize(
    ("fault", "truth", "state"),
    [
        ("PIN key", "its check value is wrong", State.DECLINED),
        ("PIN key", "its cryptogram is wrong", State.DECLINED),
        ("MAC key", "it comes again", State.DECLINED),
        ("track key", "another master key", State.DECLINED),
        ("all zero", "on the line", State.DECLINED),
        ("field 62 short", "a byte", State.DOUBTFUL),
        ("field 62 long", "twice", State.DOUBTFUL),
        ("field 62 with a TLV", "behind", State.DOUBTFUL),
        ("the host changes first", "the answer is cut", State.DOUBTFUL),
    ],
)
def test_a_wrong_key_never_becomes_current(fault: str, truth: str, state: State) -> None:
    rotation, rests = Case("3des-track", fault, f"{truth}, once", "by hand", Kind.SALE).live()
    assert rests
    assert rotation.objections() == []
    assert sign_ons(rotation, state) == 1
    assert sign_ons(rotation, State.APPROVED) == 2


@pytest.mark.parametrize("fault", ["bad parity", "all zero", "equal keys"])
def test_a_key_that_nobody_would_choose_is_good_where_its_check_value_says_so(fault: str) -> None:
    rotation, rests = Case("3des", fault, "at both ends, once", "by hand", Kind.SALE).live()
    assert rests
    assert rotation.objections() == []
    assert sign_ons(rotation, State.APPROVED) == 2
    assert sign_ons(rotation, State.DECLINED) == 0


def test_a_pin_key_that_was_copied_over_the_mac_key_moves_no_money() -> None:
    rotation, rests = Case("3des", "equal keys", "on the line, once", "by hand", Kind.SALE).live()
    assert rests
    sales = [each for each in rotation.world.disk.contents.recent(99) if each.kind is Kind.SALE]
    assert [each.code for each in reversed(sales)] == ["00", "A0", "00"]
    assert sign_ons(rotation, State.APPROVED) == 3


def test_a_key_that_is_not_in_force_is_noticed() -> None:
    rotation = Rotation("by hand", Kind.SALE)
    rotation.run()
    world = rotation.world
    first = next(each for each in reversed(world.disk.contents.recent(99)) if each.kind is Kind.SIGN_ON)
    world.keys.mac(next(key for key in first.keys if key.usage.name == "MAC"), "unionpay-ecb", b"anything")
    assert rotation.objections() == ["a MAC key was used that is not in force"]


@pytest.mark.parametrize(
    ("fault", "truth", "occasion", "under"),
    [
        ("ends before it is sent", "while the card is taken", "at its end", {Kind.SALE: [1, 1, 5]}),
        ("ends before it is sent", "once it is saved", "at its end", {Kind.SALE: [1, 1, 5]}),
        ("ends before the answer", "slow", "at its end", {Kind.SALE: [1, 1, 5]}),
        ("ends in recovery", "in silence", "at its end, in silence", {Kind.SALE: [1, 1, 5, 5], Kind.REVERSAL: [5]}),
        (
            "ends in recovery",
            "once the reversal is saved",
            "at its end, in recovery",
            {Kind.SALE: [1, 1, 6, 6], Kind.REVERSAL: [1]},
        ),
    ],
)
def test_what_was_begun_under_a_sign_on_is_finished_under_it(
    fault: str, truth: str, occasion: str, under: dict[Kind, list[int]]
) -> None:
    rotation, rests = Case("3des", fault, f"{truth}, once", occasion, Kind.SALE).live()
    assert rests
    assert rotation.objections() == []
    records = list(reversed(rotation.world.disk.contents.recent(99)))[2:]
    assert {kind: [each.signed_on_by for each in records if each.kind is kind] for kind in under} == under


@pytest.mark.parametrize("cuts", [(), (7,), (20, 3)])
def test_a_power_cut_is_named_and_found_again(cuts: tuple[int, ...]) -> None:
    case = Case("3des", CUT, "approved, answer lost, once", "by hand, a reversal owed", Kind.SALE, cuts)
    assert Case.parse(str(case)) == case
    history = KEYFAULTS.repeat(str(case), 0)
    assert history.count("the power goes") == len(cuts)
    assert "!!" not in history


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "3des",
            "3des/PIN key/its check value is wrong, once/by hand",
            "des/track key/it comes again, once/by hand",
        ),
        "3des/PIN key/its check value is wrong, once/by hand/sale/1 after",
        "3des/power cut/approved, once/by hand/sale/1 after/1 after/1 after",
        "3des/power cut/approved, once/by hand/sale/0 after",
    ],
)
def test_what_is_no_case_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        KEYFAULTS.repeat(text, 0)
