"""Every bit of every answer that has a MAC, flipped: none of them may pass for an approval.

    wire/STORY/BIT        the answer alone: unpacked, its MAC verified, and classified for the request it answers
    terminal/STORY/BIT    a whole terminal that gets it: the call ends, the record is not approved by it, what is owed
                          is worked off, and then both books agree

Bits of addresses and header stand before the message, where no MAC covers them. They are counted apart: such an answer
may be believed, because it says what the host said.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.errors import UsageError
from pos_engine.flow.effects import Answered
from pos_engine.flow.responses import classify
from pos_engine.values import Text
from simulators.prove.campaign import Finding, Scale, Shard, Tally
from simulators.prove.exchanges import BODY_AT, STORIES, TAKEN, Captured, Scene, capture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulators.prove.exchanges import Classify, Story

BITS: Final = 8
WIRE: Final = "wire"
TERMINAL: Final = "terminal"
STRIDES: Final = {
    Scale.QUICK: {WIRE: 5, TERMINAL: 61},
    Scale.RELEASE: {WIRE: 1, TERMINAL: 1},
}
"""Of how many bits one is flipped. Neither stride divides the eight bits of a byte, so every place is met."""
PARTS: Final = 3
"""Of a case's name."""
TITLE: Final = Text("every bit of every answer with a MAC, flipped", "逐位翻转每一种带MAC的应答")


@dataclass(frozen=True, slots=True)
class Answers:
    """The campaign. `classify` is the engine's, unless a test wants to see a worse one caught."""

    classify: Classify = classify
    stories: tuple[str, ...] = tuple(STORIES)
    """By name, so that a campaign can be sent to another process."""
    name: str = "answers"
    title: Text = TITLE

    def lacks(self) -> str:
        """Lack nothing."""
        return ""

    def run(self, shard: Shard) -> Tally:
        """Flip the shard's bits."""
        cases, findings, counts, number = 0, list[Finding](), Counter[str](), 0
        if shard.index == 0:
            counts["sorts of answers"] = len(self.stories)
        for name in self.stories:
            captured = capture(STORIES[name], shard.seed)
            for level, bit in _bits(captured, shard.scale):
                number += 1
                if not shard.takes(number - 1):
                    continue
                cases += 1
                wrong = self._judge(captured, level, bit, shard.seed, counts)
                findings += [Finding(each, f"{level}/{name}/{bit}") for each in wrong]
        return Tally(cases, tuple(findings), counts)

    def repeat(self, case: str, seed: int) -> str:
        """Flip one bit again and tell what was said."""
        level, story, bit = _parse(case)
        captured = capture(story, seed)
        if bit >= len(captured.payload) * BITS:
            raise _unknown(case)
        counts = Counter[str]()
        place = f"{story.name}: bit {bit % BITS} of byte {bit // BITS}, {_place(bit)}"
        wrong = self._judge(captured, level, bit, seed, counts)
        happened = captured.meet(flipped(captured.payload, bit))
        said = f"the performer said {type(happened).__name__}, {_why(happened, captured, self.classify)}"
        story_told = [] if level == WIRE else [conversation(story, seed, flipped(captured.payload, bit))]
        return "\n".join([place, said, *story_told, *(wrong or ["nothing is wrong"])])

    def _judge(self, captured: Captured, level: str, bit: int, seed: int, counts: Counter[str]) -> list[str]:
        answer = flipped(captured.payload, bit)
        signed = "" if captured.story.signed else ", without a MAC"
        counts[f"{level}: bits of the {_place(bit)}{signed}"] += 1
        try:
            if level == WIRE:
                return self._on_the_wire(captured, answer, bit, counts)
            return in_a_terminal(captured, answer, seed, counts, believable=bit < BODY_AT * BITS)
        except Exception as error:  # noqa: BLE001 - whatever an answer makes the engine raise is what is looked for
            return [f"the answer made the engine raise {type(error).__name__}"]

    def _on_the_wire(self, captured: Captured, answer: bytes, bit: int, counts: Counter[str]) -> list[str]:
        taken = captured.taken(answer, self.classify)
        if not taken or bit < BODY_AT * BITS:
            counts[f"{WIRE}: {'taken' if taken else 'not taken'}, {_place(bit)}"] += 1
            return []
        return [f"a {captured.story.kind.value} took an answer with a flipped bit for an approval"]


def flipped(payload: bytes, bit: int) -> bytes:
    """Flip one bit; bits are counted from the highest of the first byte."""
    at, inside = divmod(bit, BITS)
    return payload[:at] + bytes([payload[at] ^ 0x80 >> inside]) + payload[at + 1 :]


def in_a_terminal(
    captured: Captured, answer: bytes, seed: int, counts: Counter[str], *, believable: bool = False
) -> list[str]:
    """Play a captured exchange again with another answer; say what is wrong then and after the recovery.

    `believable`: the answer may be taken for the host's.
    """
    scene = Scene(captured.story, seed)
    try:
        how = scene.play(answer)
        state = scene.witness.state
        counts[f"{TERMINAL}: {captured.story.kind.value}, the call ended with {how}"] += 1
        wrong = []
        if scene.middleman.genuine != captured.payload:
            wrong.append("the host did not answer as it did before: the case cannot be repeated")
        if state is None:
            wrong.append("the call ended and left its record pending")
        if state in TAKEN and not believable:
            wrong.append(f"the record of a {captured.story.kind.value} was approved by a forged answer")
        return wrong + scene.recover()
    finally:
        scene.close()


def conversation(story: Story, seed: int, answer: bytes) -> str:
    """Tell what was said when a story was played with another answer; masked, as every conversation is."""
    scene = Scene(story, seed)
    try:
        scene.play(answer)
        scene.recover()
        return scene.bench.conversation.text()
    finally:
        scene.close()


def _bits(captured: Captured, scale: Scale) -> Iterator[tuple[str, int]]:
    for level, stride in STRIDES[scale].items():
        # Each sort begins elsewhere, so that together they meet every place.
        first = list(STORIES).index(captured.story.name) % stride
        yield from ((level, bit) for bit in range(first, len(captured.payload) * BITS, stride))


def _place(bit: int) -> str:
    return "message" if bit >= BODY_AT * BITS else "addresses and header"


def _why(happened: object, captured: Captured, judge: Classify) -> str:
    if not isinstance(happened, Answered):
        return str(getattr(happened, "why", ""))
    cue, why = judge(captured.record, happened, captured.profile)
    return f"its MAC {happened.mac.value}; classified as {cue.name} {why}".rstrip()


def _parse(case: str) -> tuple[str, Story, int]:
    parts = case.split("/")
    if len(parts) != PARTS or parts[0] not in {WIRE, TERMINAL} or parts[1] not in STORIES or not parts[2].isdecimal():
        raise _unknown(case)
    return parts[0], STORIES[parts[1]], int(parts[2])


def _unknown(case: str) -> UsageError:
    return UsageError(f"no case of answers is called {case!r}: LEVEL/SORT/BIT, as in wire/sale/100")


ANSWERS: Final = Answers()
