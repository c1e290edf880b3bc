"""Forgeries that need no key: what the linear MAC lets through, and which elements a terminal believes all the same.

    swap/STORY/I-J          two whole blocks of an answer trade places
    pair/STORY/I-J-BIT      the same bit is flipped in two blocks
    code/STORY/CODE-I       a decline that the host sealed becomes an approval; block I takes up the difference
    trick/STORY/NAME        no MAC, part of one, the MAC of something else; the request sent back; an older answer

The MAC folds a message by XOR, so it accepts the first three whole. The claim is about what they may say: fields 3, 4,
11, 41, 42, 49 and 60.2 are what was asked for, or the terminal does not believe them. What else a forger can change is
counted, because nothing but a link that authenticates itself prevents it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind, unpack
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.errors import UsageError
from pos_engine.flow.effects import Answered, MacState
from pos_engine.flow.responses import classify
from pos_engine.values import Text
from simulators.prove.answers import BITS, PARTS, conversation, in_a_terminal
from simulators.prove.campaign import Finding, Scale, Shard, Tally
from simulators.prove.exchanges import BODY_AT, STORIES, TAKEN, Captured, capture
from simulators.prove.tricks import DECLINED_CODES, TRICKS, Trick, sealed_decline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.wire.message import Message
    from simulators.prove.exchanges import Classify

BLOCK: Final = 8
MAC_BYTES: Final = 8
CODE: Final = 39
PROTECTED: Final = (3, 4, 11, 41, 42, 49)
"""Elements that an answer cannot name otherwise than the request did, whatever its MAC says; and 60.2."""
BATCH: Final = "60.2"
EXEMPT: Final = {
    # What the host approves in part is an amount that the request did not name, so there is nothing to compare.
    "sale-in-part": {"4": "sale-in-part: taken with another amount than the host's"},
    # An inquiry moves no money, so the batch is not looked at.
    "balance": {BATCH: "balance: taken with another batch"},
}
"""By sort of answer: elements that rules.md leaves unprotected there. They are counted, and no finding."""
ALLOWED: Final = {
    (Kind.REVERSAL, "no-mac"): "trick: a reversal ended by an answer without a MAC",
    (Kind.BALANCE, "older-batch"): "trick: an inquiry answered under another batch",
}
"""Tricks that the rules let pass. They are counted, and no finding."""
FOLDED: Final = ("sale", "sale-in-part", "void", "refund", "balance", "reversal")
"""The sorts of answers whose blocks are moved: one of each kind, and a sale of which a part may be approved."""
STRIDES: Final = {Scale.QUICK: 29, Scale.RELEASE: 1}
TITLE: Final = Text("forged answers that need no key", "无需密钥的应答伪造")
SWAP, PAIR, RECODE, TRICK = "swap", "pair", "code", "trick"


@dataclass(frozen=True, slots=True)
class Forgery:
    """One forged answer: its case's name, what it is about, and its bytes."""

    case: str
    sort: str
    payload: bytes
    trick: Trick | None = None


@dataclass(frozen=True, slots=True)
class Forgeries:
    """The campaign. `classify` is the engine's, unless a test wants to see a worse one caught."""

    classify: Classify = classify
    stories: tuple[str, ...] = tuple(STORIES)
    """By name, so that a campaign can be sent to another process."""
    name: str = "forgeries"
    title: Text = TITLE

    def lacks(self) -> str:
        """Lack nothing."""
        return ""

    def run(self, shard: Shard) -> Tally:
        """Try the shard's forgeries."""
        cases, findings, counts, number = 0, list[Finding](), Counter[str](), 0
        for name in self.stories:
            captured = capture(STORIES[name], shard.seed)
            for forgery in _forgeries(captured, shard.scale):
                number += 1
                if not shard.takes(number - 1):
                    continue
                cases += 1
                wrong = self._judge(captured, forgery, shard.seed, counts)
                findings += [Finding(each, f"{forgery.sort}/{name}/{forgery.case}") for each in wrong]
        return Tally(cases, tuple(findings), counts)

    def repeat(self, case: str, seed: int) -> str:
        """Try one again and tell what was said."""
        parts = case.split("/")
        if len(parts) == PARTS and parts[1] in STORIES:
            captured = capture(STORIES[parts[1]], seed)
            for forgery in _forgeries(captured, Scale.RELEASE):
                if (forgery.sort, forgery.case) == (parts[0], parts[2]):
                    return self._told(captured, forgery, seed)
        reason = f"no case of forgeries is called {case!r}: SORT/ANSWER/PLACE, as in pair/sale/2-5-11"
        raise UsageError(reason)

    def _told(self, captured: Captured, forgery: Forgery, seed: int) -> str:
        counts = Counter[str]()
        wrong = self._judge(captured, forgery, seed, counts)
        said = conversation(captured.story, seed, forgery.payload)
        return "\n".join([*sorted(counts), said, *(wrong or ["nothing is wrong"])])

    def _judge(self, captured: Captured, forgery: Forgery, seed: int, counts: Counter[str]) -> list[str]:
        counts[f"{forgery.sort}: tried"] += 1
        try:
            if forgery.trick is not None:
                return self._tricked(captured, forgery, forgery.trick, seed, counts)
            return self._folded(captured, forgery, counts)
        except Exception as error:  # noqa: BLE001 - whatever an answer makes the engine raise is what is looked for
            return [f"the answer made the engine raise {type(error).__name__}"]

    def _folded(self, captured: Captured, forgery: Forgery, counts: Counter[str]) -> list[str]:
        """Judge a forgery whose MAC holds by itself."""
        happened = captured.meet(forgery.payload)
        if not isinstance(happened, Answered):
            counts[f"{forgery.sort}: no message any more"] += 1
            return []
        if happened.mac is not MacState.VALID:
            return ["the MAC is not linear here, so this campaign proves less than it says"]
        counts[f"{forgery.sort}: the MAC holds"] += 1
        if captured.leads(happened, self.classify) not in TAKEN:
            return []
        counts[f"{forgery.sort}: {'a sealed decline ' if forgery.sort == RECODE else ''}taken for an approval"] += 1
        changed = _changed(captured, happened.message)
        for number in changed:
            counts[f"{forgery.sort}: taken with another field {number}"] += 1
        if forgery.sort == RECODE:
            return []
        return self._forbidden(captured, changed, counts)

    def _forbidden(self, captured: Captured, changed: list[str], counts: Counter[str]) -> list[str]:
        wrong = {each for each in changed if each in {*map(str, PROTECTED), BATCH}}
        for exempt, what in EXEMPT.get(captured.story.name, {}).items():
            counts[what] += exempt in wrong
            wrong.discard(exempt)
        return [f"a {captured.story.kind.value} was believed with another field {each}" for each in sorted(wrong)]

    def _tricked(
        self, captured: Captured, forgery: Forgery, trick: Trick, seed: int, counts: Counter[str]
    ) -> list[str]:
        taken = captured.taken(forgery.payload, self.classify)
        known = ALLOWED.get((captured.story.kind, trick.name))
        if known is not None:
            counts[known] += taken
            return []
        wrong = [f"a {captured.story.kind.value} took it for an approval: {trick.title}"] if taken else []
        return wrong + in_a_terminal(captured, forgery.payload, seed, counts)


def _forgeries(captured: Captured, scale: Scale) -> Iterator[Forgery]:
    if not captured.story.signed:
        return
    if captured.story.name in FOLDED:
        folded = [*_swaps(captured), *_pairs(captured)]
        yield from folded[:: STRIDES[scale]]
        if captured.story.kind is not Kind.REVERSAL:
            yield from list(_recoded(captured))[:: STRIDES[scale]]
    for trick in TRICKS:
        payload = trick.forge(captured)
        if payload is not None:
            yield Forgery(trick.name, TRICK, payload, trick)


def _covered(captured: Captured) -> tuple[bytes, bytearray, bytes]:
    """Return what stands before the message, what the MAC covers, and the MAC."""
    payload = captured.payload
    return payload[:BODY_AT], bytearray(payload[BODY_AT:-MAC_BYTES]), payload[-MAC_BYTES:]


def _swaps(captured: Captured) -> Iterator[Forgery]:
    before, covered, mac = _covered(captured)
    for one, other in combinations(range(len(covered) // BLOCK), 2):
        moved = bytearray(covered)
        first, second = _block(one), _block(other)
        moved[first], moved[second] = moved[second], moved[first]
        if moved != covered:
            yield Forgery(f"{one}-{other}", SWAP, before + bytes(moved) + mac)


def _pairs(captured: Captured) -> Iterator[Forgery]:
    before, covered, mac = _covered(captured)
    blocks = -(-len(covered) // BLOCK)
    for one, other in combinations(range(blocks), 2):
        for bit in range(BLOCK * BITS):
            at = (one * BLOCK + bit // BITS, other * BLOCK + bit // BITS)
            if at[1] >= len(covered):
                break
            changed = bytearray(covered)
            for place in at:
                changed[place] ^= 0x80 >> bit % BITS
            yield Forgery(f"{one}-{other}-{bit}", PAIR, before + bytes(changed) + mac)


def _recoded(captured: Captured) -> Iterator[Forgery]:
    """Seal a decline as a host would that signs those too, then make an approval of it."""
    for code in DECLINED_CODES:
        before, covered, mac, at = sealed_decline(captured, code)
        difference = bytes(one ^ other for one, other in zip(code.encode(), b"00", strict=True))
        for block in range(-(-len(covered) // BLOCK)):
            places = [block * BLOCK + (at + index) % BLOCK for index in range(len(difference))]
            if max(places) >= len(covered) or at in places or at + 1 in places:
                continue
            changed = bytearray(covered)
            changed[at : at + 2] = b"00"
            for place, byte in zip(places, difference, strict=True):
                changed[place] ^= byte
            yield Forgery(f"{code}-{block}", RECODE, before + bytes(changed) + mac)


def _block(number: int) -> slice:
    return slice(number * BLOCK, (number + 1) * BLOCK)


def _changed(captured: Captured, message: Message) -> list[str]:
    """Name the elements that differ from the host's answer; of field 60 also the batch by itself."""
    genuine = unpack(UNIONPAY, captured.payload).message
    numbers = sorted({*genuine, *message} - {64})
    names = [str(number) for number in numbers if genuine.get(number) != message.get(number)]
    layout = UNIONPAY.layouts[60]
    batches = [layout.get(each.get(60, ""), "60.2") for each in (genuine, message)]
    return [*names, BATCH] if batches[0] != batches[1] else names


FORGERIES: Final = Forgeries()
