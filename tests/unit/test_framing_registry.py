from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pos_engine.errors import UsageError
from pos_engine.framing import length
from pos_engine.framing.length import LengthFramer
from pos_engine.framing.registry import FRAMINGS, SERIAL_DEFAULT, new_framer, parse
from pos_engine.framing.stx import StxFramer

if TYPE_CHECKING:
    from pos_engine.framing.base import Framer


def test_the_registry_names_the_lengths_and_the_lines_in_both_languages() -> None:
    assert set(FRAMINGS) == {*length.FRAMINGS, "stx", "stx+binary"}
    assert SERIAL_DEFAULT in FRAMINGS
    for name, framing in FRAMINGS.items():
        assert framing.name == name
        assert parse(name) is framing
        new_one: Framer = new_framer(name)
        assert isinstance(new_one, LengthFramer if name in length.FRAMINGS else StxFramer)
        assert new_framer(name) is not new_one
    for language in ("en", "zh"):
        assert len({framing.title.say(language) for framing in FRAMINGS.values()}) == len(FRAMINGS)


def test_another_name_is_refused_with_all_the_names() -> None:
    with pytest.raises(UsageError) as caught:
        new_framer("stx2")
    assert all(name in str(caught.value) for name in ("be2", "+self", "stx", "stx+binary"))


@pytest.mark.parametrize("name", FRAMINGS)
def test_the_next_framer_of_a_link_is_of_the_same_kind_and_has_nothing_under_way(name: str) -> None:
    framer = new_framer(name)
    sent = framer.send(b"x" * 20)
    framer.receive(sent[:5], 0.0)
    heir = framer.renewed()
    assert type(heir) is type(framer)
    assert heir.pending == 0
    assert heir.send(b"x" * 20) == sent
