from __future__ import annotations

import pytest

from pos_engine.values import Text, Track2
from simulators.cards import CARDS, SimulatedCard


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_every_card_is_a_test_card_with_a_sound_number(card: SimulatedCard) -> None:
    digits = card.pan.reveal()
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    assert digits.startswith("622999")
    assert sum(value // 10 + value % 10 for value in doubled) % 10 == 0
    assert (card.card.pan, card.card.expiry, card.card.entry) == (card.pan, card.expiry, "02")
    assert card.title.en
    assert card.title.zh


def test_names_and_numbers_are_unique_and_no_secret_is_shown() -> None:
    assert len({card.pan for card in CARDS.values()}) == len(CARDS)
    assert [card.name for card in CARDS.values()] == list(CARDS)
    shown = repr(CARDS["everyday"])
    assert CARDS["everyday"].pan.reveal() not in shown
    assert "pin=" not in shown


def test_the_kinds_of_cards_a_demonstration_needs_are_there() -> None:
    assert (CARDS["everyday"].pin, CARDS["everyday"].balance_minor) == ("123456", 10_000_000)
    assert CARDS["no-pin"].pin is None
    assert CARDS["lost"].refusal == "41"
    assert CARDS["expired"].expiry < "2601"


def test_a_card_whose_track_has_no_expiry_cannot_be_simulated() -> None:
    card = SimulatedCard("bare", Text("bare", "bare"), Track2("6229990000000012D"), 0)
    with pytest.raises(AssertionError, match="bare has no expiry"):
        _ = card.expiry
