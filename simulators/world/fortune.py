"""What goes wrong in a random life: drawn from the world's seed, by a temperament that is drawn first.

Each life is afflicted by some faults and spared by others, because a world in which everything goes wrong at once shows
only the first thing that does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from simulators.scenario import Action, Do, Form
from simulators.world.disk import Ailment, DiskFault
from simulators.world.mishaps import SMOOTH, Break, Deed, Follows, Mishap, Passage

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

FRAME_BITS: Final = 1600
FRAME_BYTES: Final = 200
LAST_BITS: Final = 320
"""Field 62, the working keys, is the end of a sign-on's answer."""
TIMEOUT_S: Final = 60.0
REFUSALS: Final = ("05", "51", "68", "91", "96", "98")
DEMANDS: Final = ("77", "99", "A0")
APPROVALS: Final = ("11", "A2", "A4", "A5", "A6")
LATE_S: Final = (59.98, 59.99, 60.0, 60.01, 60.02, 61.0, 75.0, 130.0, 400.0)
HOUR_S: Final = 3600.0
DAY_S: Final = 24 * HOUR_S
PAUSES_S: Final = (0.0, 0.5, 2.0, 5.0, 61.0, 600.0, 13 * HOUR_S, 25 * HOUR_S)
LEAPS: Final[tuple[datetime | timedelta, ...]] = (
    *(timedelta(seconds=each) for each in (-1, 1, -HOUR_S, HOUR_S, -DAY_S, DAY_S, 3653 * DAY_S)),
    *(datetime(1970, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC), datetime(2028, 2, 29, 12, tzinfo=UTC)),
    *(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)),
    *(datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC), datetime(2026, 10, 25, 0, 59, 59, tzinfo=UTC)),
)
"""What a wall clock may do: leap by so much, or to there."""


@dataclass(slots=True)
class Temperament:
    """How likely each sort of trouble is, from 0 to 1."""

    line: float
    power: float
    disk: float
    clock: float
    host: float

    @classmethod
    def draw(cls, random: Random) -> Temperament:
        """Draw one."""
        return cls(
            line=random.choice((0.0, 0.1, 0.3, 0.5)),
            power=random.choice((0.0, 0.0, 0.1, 0.3)),
            disk=random.choice((0.0, 0.0, 0.0, 0.05)),
            clock=random.choice((0.0, 0.05, 0.2)),
            host=random.choice((0.0, 0.02, 0.1)),
        )


def leap(random: Random, wall: datetime) -> datetime:
    """Return what the wall clock shows after a leap."""
    found = random.choice(LEAPS)
    return found if isinstance(found, datetime) else wall + found


def disk_fault(random: Random) -> DiskFault:
    """Draw what happens to a save that fails."""
    return DiskFault(random.choice(tuple(Ailment)), kept=random.random() < 0.5)  # noqa: PLR2004 - heads or tails


def mishap(random: Random) -> Mishap:
    """Draw what goes wrong with a request."""
    return random.choice(_MISHAPS)(random)


def _request_lost(_random: Random) -> Mishap:
    return Mishap(title="a request is lost", request=Passage(lost=True))


def _request_held(random: Random) -> Mishap:
    return Mishap(title="a request is held up", request=Passage(at=random.choice((0, 1, 40)), breaks=Break.RESUME))


def _answer_lost(_random: Random) -> Mishap:
    return Mishap(title="an answer is lost", answer=Passage(lost=True))


def _request_cut(random: Random) -> Mishap:
    return Mishap(title="a request is cut", request=_cut(random))


def _answer_cut(random: Random) -> Mishap:
    return Mishap(title="an answer is cut", answer=_cut(random))


def _cut(random: Random) -> Passage:
    return Passage(at=random.randrange(FRAME_BYTES), breaks=random.choice(tuple(Break)))


def _request_flipped(random: Random) -> Mishap:
    return Mishap(title="a bit of a request is flipped", request=Passage(flips=random.randrange(FRAME_BITS)))


def _answer_flipped(random: Random) -> Mishap:
    return Mishap(title="a bit of an answer is flipped", answer=Passage(flips=random.randrange(-LAST_BITS, FRAME_BITS)))


def _answer_late(random: Random) -> Mishap:
    follows = random.choice(tuple(Follows))
    return Mishap(title="an answer is late", answer=Passage(delay_s=random.choice(LATE_S), follows=follows))


def _answer_strays(random: Random) -> Mishap:
    follows = random.choice((Follows.FIRST, Follows.BEHIND))
    return Mishap(title="an answer goes to a later connection", answer=Passage(strays=True, follows=follows))


def _answer_slow(random: Random) -> Mishap:
    return Mishap(title="an answer is slow", answer=Passage(delay_s=random.uniform(0.1, TIMEOUT_S)))


def _answer_repeated(random: Random) -> Mishap:
    return Mishap(title="an answer comes several times", answer=Passage(copies=random.choice((2, 3))))


def _answer_on_two(random: Random) -> Mishap:
    again = random.choice((Follows.FIRST, Follows.BEHIND))
    return Mishap(title="an answer comes on two connections", answer=Passage(again=again))


def _half_open(_random: Random) -> Mishap:
    return Mishap(title="a connection is half open", half_open=True)


def _host_dies(random: Random) -> Mishap:
    return Mishap(title="the host dies before it answers", deed=random.choice((Deed.DIE, Deed.DIE_AND_FORGET)))


def _taken_back(_random: Random) -> Mishap:
    return Mishap(title="the host takes back what it did", deed=Deed.TAKE_BACK)


def _refused(random: Random) -> Mishap:
    return _does("the host declines", Action(do=Do.DECLINE, code=random.choice(REFUSALS)))


def _demanded(random: Random) -> Mishap:
    by_header = random.random() < 0.3  # noqa: PLR2004 - now and then
    action = Action(do=Do.DEMAND_SIGN_ON, code=random.choice(DEMANDS), by_header=by_header)
    return _does("the host demands a sign-on", action)


def _wrong_mac(_random: Random) -> Mishap:
    return _does("the host answers with a wrong MAC", Action(do=Do.WRONG_MAC))


def _wrong_stan(_random: Random) -> Mishap:
    return _does("the host answers with another STAN", Action(do=Do.WRONG_STAN))


def _malformed(random: Random) -> Mishap:
    return _does("the host answers with no message", Action(do=Do.MALFORMED, form=random.choice(tuple(Form))))


def _other_approval(random: Random) -> Mishap:
    return _does("the host approves with another code", Action(do=Do.APPROVE, code=random.choice(APPROVALS)))


def _in_part(random: Random) -> Mishap:
    return _does("the host approves in part", Action(do=Do.PARTIAL, percent=random.choice((1, 50, 99))))


def _does(title: str, action: Action) -> Mishap:
    return Mishap(title=title, actions=(action,))


_MISHAPS: Final[tuple[Callable[[Random], Mishap], ...]] = (
    *(_request_lost, _request_held, _answer_lost, _request_cut, _answer_cut, _request_flipped, _answer_flipped),
    *(_answer_lost, _answer_strays, _answer_late, _answer_slow, _answer_repeated, _answer_on_two),
    *(_half_open, _host_dies, _taken_back, _refused, _demanded, _wrong_mac, _wrong_stan, _malformed),
    *(_other_approval, _in_part),
)


def line_draw(random: Random, likely: float) -> Callable[[bytes], Mishap]:
    """Return what says what happens to each request."""
    return lambda _payload: mishap(random) if random.random() < likely else SMOOTH
