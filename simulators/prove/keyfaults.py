"""Keys that are wrong, that end too soon, that change at one end alone: 18 faults, on every occasion keys change.

No wrong key ever becomes current, no key is used once another has replaced it, every case ends with a sound session and
agreeing books. Keys that nobody would choose - all of zeros, one for two purposes, of bad parity - are good keys where
their check values say so: a terminal that refused them could not trade, and would be none the safer for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from pos_engine.crypto.cipher import Algorithm, BlockCipher
from pos_engine.crypto.keys import KeyUsage
from pos_engine.dialects.base import Kind, pack, unpack
from pos_engine.dialects.unionpay import with_scheme
from pos_engine.dialects.unionpay.schemes import SCHEMES, USUAL
from pos_engine.errors import UsageError
from pos_engine.flow.effects import Ask, Save, Send, TakeCard
from pos_engine.journal.record import State
from pos_engine.values import Text
from simulators.acquirer import terminal_master_key
from simulators.prove.campaign import Finding, Scale, Shard, Tally
from simulators.prove.count import Count
from simulators.prove.crashes import TRUTHS
from simulators.prove.rotations import BRINKS, OCCASIONS, Rotation, follows_of
from simulators.prove.verdict import faults
from simulators.scenario import Action, Do
from simulators.world.host import IDENTITY
from simulators.world.mishaps import SMOOTH, Break, Deed, Follows, Mishap, Passage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pos_engine.dialects.base import KeyPlace, KeyScheme
    from pos_engine.flow.effects import Effect
    from simulators.world import World

KEYS: Final = 62
MAC: Final = 64
NO_MAC: Final = bytes(8)
EXTRA: Final = bytes.fromhex("9F0A021234")
"""A TLV that no layout of keys has."""
TIMES: Final[Mapping[str, int]] = {"once": 1, "three times": 3}
SLOW_S: Final = 5.0
"""An answer that comes when its sign-on has ended, and long before its deadline."""
TOO_LATE_S: Final = 61.0
CUT: Final = "power cut"
SIDES: Final = ("before", "after")
QUICK_STRIDE: Final = 37
"""Every so manieth case is quick; a prime, so that it meets all occasions."""
PARTS: Final = 5
TITLE: Final = Text("wrong, ended and half-changed keys", "错误、过期或未同步的密钥")


# What becomes of the keys that a sign-on brings.


def _changed(world: World, change: Callable[[bytes], bytes], *, good: bool = False, again: bool = False) -> Mishap:
    """Let a sign-on's answer bring something else in field 62; `good`: it may become current all the same."""
    dialect, handed = world.profile.dialect, world.host.handed

    def rewrite(payload: bytes) -> bytes:
        packet = unpack(dialect, payload)
        if KEYS not in packet.message:
            return payload
        message = packet.message.replace({KEYS: change(bytes.fromhex(packet.message[KEYS])).hex().upper()})
        changed = pack(dialect, message, tpdu=packet.tpdu, header=packet.header).encode()
        if good:
            handed.append(changed)
        return changed

    answer = Passage(again=Follows.BEHIND) if again else Passage()
    return Mishap(title="the keys are changed", rewrite=rewrite, answer=answer)


def _places(world: World, field: bytes) -> Iterator[tuple[int, KeyPlace]]:
    """List where each key begins in field 62."""
    at, layout = 0, _scheme(world).layout(len(field))
    for place in layout.places if layout is not None else ():
        yield at, place
        at += place.key_bytes + place.check_bytes


def _scheme(world: World) -> KeyScheme:
    scheme = world.profile.dialect.scheme
    if scheme is None:
        reason = "the dialect has no key scheme"
        raise UsageError(reason)
    return scheme


def _flipped(field: bytes, at: int) -> bytes:
    return field[:at] + bytes([field[at] ^ 1]) + field[at + 1 :]


def _wrong(usage: KeyUsage, *, check: bool, again: bool = False) -> Callable[[World], Mishap]:
    """Let a bit of a key's check value, or else of its cryptogram, be another."""

    def make(world: World) -> Mishap:
        def change(field: bytes) -> bytes:
            at = next(at + check * place.key_bytes for at, place in _places(world, field) if place.usage is usage)
            return _flipped(field, at)

        return _changed(world, change, again=again)

    return make


def _other_master(world: World) -> Mishap:
    """Let all keys come under another master key."""

    def change(field: bytes) -> bytes:
        return _recoded(world, field, lambda clear, cipher: cipher.encrypt(cipher.encrypt(clear)))

    return _changed(world, change)


def _recoded(world: World, field: bytes, code: Callable[[bytes, BlockCipher], bytes]) -> bytes:
    """Make each cryptogram anew of the key in it."""
    algorithm = _scheme(world).algorithm
    cipher = BlockCipher(terminal_master_key(IDENTITY.terminal, algorithm), algorithm)
    for at, place in list(_places(world, field)):
        end = at + place.key_bytes
        field = field[:at] + code(cipher.decrypt(field[at:end]), cipher) + field[end:]
    return field


def _bad_parity(world: World) -> Mishap:
    """Let every byte of every key have another parity: with DES these are the same keys."""

    def code(clear: bytes, cipher: BlockCipher) -> bytes:
        return cipher.encrypt(bytes(byte ^ 1 for byte in clear))

    return _changed(world, lambda field: _recoded(world, field, code), good=True)


def _made_of(byte: int) -> Callable[[World], Mishap]:
    """Let the host make its next keys of one byte, as one without entropy does; they come as always."""

    def make(world: World) -> Mishap:
        honest = world.host.entropy

        def rewrite(payload: bytes) -> bytes:
            world.host.entropy = honest
            return payload

        world.host.entropy = lambda size: bytes([byte]) * size
        return Mishap(title="the host has no entropy", rewrite=rewrite)

    return make


def _zero_cryptograms(world: World) -> Mishap:
    def change(field: bytes) -> bytes:
        for at, place in _places(world, field):
            field = field[:at] + bytes(place.key_bytes) + field[at + place.key_bytes :]
        return field

    return _changed(world, change)


def _copied(world: World) -> Mishap:
    """Let the PIN key, with its check value, stand in the MAC key's place too: nobody needs a master key for that."""

    def change(field: bytes) -> bytes:
        (_, first), (at, second), *_ = _places(world, field)
        size = first.key_bytes + first.check_bytes
        fits = size == second.key_bytes + second.check_bytes
        return field[:at] + field[:size] + field[at + size :] if fits else field

    return _changed(world, change, good=True)


def _resized(change: Callable[[bytes], bytes]) -> Callable[[World], Mishap]:
    return lambda world: _changed(world, change)


def _with_mac(world: World) -> Mishap:
    """Let a sign-on's answer carry a MAC, of nothing."""
    dialect = world.profile.dialect

    def rewrite(payload: bytes) -> bytes:
        packet = unpack(dialect, payload)
        return pack(dialect, packet.message, tpdu=packet.tpdu, header=packet.header, mac=lambda _: NO_MAC).encode()

    return Mishap(title="the host puts a MAC on a sign-on's answer", rewrite=rewrite)


def _always(mishap: Mishap) -> Callable[[World], Mishap]:
    return lambda _world: mishap


def _does(*actions: Action) -> Callable[[World], Mishap]:
    return _always(Mishap(title="the host answers with a wrong MAC", actions=actions))


_WRONG_MAC: Final = Action(do=Do.WRONG_MAC)
_SPOILT: Final = {
    "approved": _does(_WRONG_MAC),
    "declined": _does(Action(do=Do.DECLINE, code="05"), _WRONG_MAC),
    "demanded": _does(Action(do=Do.DEMAND_SIGN_ON, code="A0"), _WRONG_MAC),
}
_UNHEARD: Final = {
    "the answer is lost": _always(Mishap(title="the answer is lost", answer=Passage(lost=True))),
    "the answer comes too late": _always(
        Mishap(title="the answer is late", answer=Passage(delay_s=TOO_LATE_S, follows=Follows.FIRST))
    ),
    "the answer goes astray": _always(
        Mishap(title="the answer strays", answer=Passage(strays=True, follows=Follows.BEHIND))
    ),
    "the answer is cut": _always(Mishap(title="the answer is cut", answer=Passage(at=70, breaks=Break.RST))),
    "the answer stalls": _always(Mishap(title="the answer stalls", answer=Passage(at=70, breaks=Break.STALL))),
    "the host dies": _always(Mishap(title="the host dies", deed=Deed.DIE)),
    "the host dies and forgets": _always(Mishap(title="the host dies", deed=Deed.DIE_AND_FORGET)),
}


def _check_values(usage: KeyUsage) -> Mapping[str, Callable[[World], Mishap]]:
    return {
        "its check value is wrong": _wrong(usage, check=True),
        "its cryptogram is wrong": _wrong(usage, check=False),
        "it comes again": _wrong(usage, check=True, again=True),
        "another master key": _other_master,
    }


# When a sign-on ends.


def _passes(rotation: Rotation, here: Callable[[Effect], bool]) -> None:
    """Let a sign-on end before one effect."""
    is_over = False

    def at(effect: Effect) -> None:
        nonlocal is_over
        if rotation.is_armed and not is_over and here(effect):
            is_over = True
            rotation.world.clock.advance(2.0)

    rotation.watch.at = at


def _takes_card(effect: Effect) -> bool:
    return isinstance(effect, Ask) and isinstance(effect.question, TakeCard)


def _saves(kind: Kind | None, effect: Effect) -> bool:
    return isinstance(effect, Save) and effect.record.state is State.PENDING and kind in {None, effect.record.kind}


def _sends(mti: str, effect: Effect) -> bool:
    return isinstance(effect, Send) and effect.message.mti.startswith(mti)


_ENDS: Final[Mapping[str, Callable[[Effect], bool]]] = {
    "while the card is taken": _takes_card,
    "before its intent is saved": partial(_saves, None),
    "once it is saved": partial(_sends, "02"),
    "before the reversal is saved": partial(_saves, Kind.REVERSAL),
    "once the reversal is saved": partial(_sends, "04"),
    "in silence": lambda _effect: False,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One of the 18: which requests it hits, in which variants, and on which occasions."""

    hits: tuple[Kind, ...]
    truths: Mapping[str, Callable[[World], Mishap]]
    occasions: tuple[str, ...] = tuple(OCCASIONS)
    ends: bool = False
    """Whether its variants are moments at which a sign-on ends."""
    needs: KeyUsage | None = None
    algorithm: Algorithm | None = None

    def lacks(self, scheme: KeyScheme) -> str:
        """Say why a scheme cannot have it; empty when it can."""
        if self.needs is not None and self.needs not in scheme.usages:
            return f"there is no {self.needs.value}"
        if self.algorithm not in {None, scheme.algorithm}:
            return "its keys have no parity"
        return ""

    def follows(self, occasion: str) -> tuple[Kind, ...]:
        """Name what follows: what is hit, where that is no sign-on or reversal."""
        found = follows_of(occasion)
        hit = tuple(kind for kind in found if kind in self.hits)
        return hit if self.hits[0] not in {Kind.SIGN_ON, Kind.REVERSAL} else found


_OWED: Final = tuple(name for name, each in OCCASIONS.items() if Kind.REVERSAL in each.mishaps or "owed" in name)
_AT_END, *_IN_RECOVERY = BRINKS

FAULTS: Final[Mapping[str, Fault]] = {
    "PIN key": Fault((Kind.SIGN_ON,), _check_values(KeyUsage.PIN)),
    "MAC key": Fault((Kind.SIGN_ON,), _check_values(KeyUsage.MAC)),
    "track key": Fault((Kind.SIGN_ON,), _check_values(KeyUsage.TRACK), needs=KeyUsage.TRACK),
    "bad parity": Fault((Kind.SIGN_ON,), {"at both ends": _bad_parity}, algorithm=Algorithm.TDES),
    "all zero": Fault((Kind.SIGN_ON,), {"at both ends": _made_of(0), "on the line": _zero_cryptograms}),
    "equal keys": Fault((Kind.SIGN_ON,), {"at both ends": _made_of(0x5B), "on the line": _copied}),
    "field 62 short": Fault(
        (Kind.SIGN_ON,), {"a byte": _resized(lambda field: field[:-1]), "half": _resized(lambda field: field[:20])}
    ),
    "field 62 long": Fault(
        (Kind.SIGN_ON,),
        {"a byte": _resized(lambda field: field + b"\0"), "twice": _resized(lambda field: field + field)},
    ),
    "field 62 with a TLV": Fault(
        (Kind.SIGN_ON,),
        {"behind": _resized(lambda field: field + EXTRA), "before": _resized(lambda field: EXTRA + field)},
    ),
    "MAC of a sign-on": Fault((Kind.SIGN_ON,), {"wrong": _with_mac}),
    "MAC of a sale": Fault((Kind.SALE,), _SPOILT),
    "MAC of a reversal": Fault((Kind.REVERSAL,), _SPOILT, _OWED),
    "MAC of a void or refund": Fault((Kind.VOID, Kind.REFUND), _SPOILT),
    "ends before it is sent": Fault(
        (Kind.SALE, Kind.VOID, Kind.REFUND, Kind.BALANCE),
        dict.fromkeys(tuple(_ENDS)[:3], _always(SMOOTH)),
        (_AT_END,),
        ends=True,
    ),
    "ends before the answer": Fault(
        (Kind.SALE, Kind.VOID, Kind.REFUND, Kind.BALANCE),
        {"slow": _always(Mishap(title="the answer is slow", answer=Passage(delay_s=SLOW_S))), **_UNHEARD},
        (_AT_END,),
    ),
    "ends in recovery": Fault(
        (Kind.REVERSAL,), dict.fromkeys(tuple(_ENDS)[3:], _always(SMOOTH)), tuple(_IN_RECOVERY), ends=True
    ),
    "the host changes first": Fault((Kind.SIGN_ON,), _UNHEARD),
    CUT: Fault(
        (Kind.SIGN_ON,), {"approved": _always(SMOOTH), **{name: _always(each) for name, each in TRUTHS.items()}}
    ),
}
"""The 18 faults. There is no settlement yet whose answer could have a wrong MAC."""


@dataclass(frozen=True, slots=True)
class Case:
    """A scheme, a fault and its variant, how often, the occasion, what follows, and where the power goes."""

    scheme: str
    fault: str
    truth: str
    occasion: str
    follow: Kind
    cuts: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Name it, as `repeat` reads it."""
        places = (f"{cut // 2 + 1} {SIDES[cut % 2]}" for cut in self.cuts)
        return "/".join((self.scheme, self.fault, self.truth, self.occasion, self.follow.value, *places))

    @classmethod
    def parse(cls, text: str) -> Case:
        """Read a case's name; `UsageError` when it is none."""
        parts = text.split("/")
        named = {str(each): each for each in cases(parts[:1], parts[1:2])}
        found = named.get("/".join(parts[:PARTS]))
        if found is None or len(parts) > PARTS + len(SIDES) or (len(parts) > PARTS and found.fault != CUT):
            reason = "a case is SCHEME/FAULT/TRUTH/OCCASION/FOLLOWS, after a power cut with at most two places"
            raise UsageError(reason)
        return cls(
            found.scheme, found.fault, found.truth, found.occasion, found.follow, tuple(map(_moment, parts[PARTS:]))
        )

    def live(self, *, tells: bool = False) -> tuple[Rotation, bool]:
        """Run it."""
        fault = FAULTS[self.fault]
        name, _, times = self.truth.rpartition(", ")
        rotation = Rotation(self.occasion, self.follow, dialect=with_scheme(self.scheme), tells=tells)
        hit = self.follow if self.follow in fault.hits else fault.hits[0]
        rotation.hit(hit, fault.truths[name], TIMES[times])
        if fault.ends:
            _passes(rotation, _ENDS[name])
        return rotation, rotation.run(self.cuts)


def _moment(place: str) -> int:
    number, _, side = place.partition(" ")
    if not (number.isascii() and number.isdigit() and side in SIDES and int(number) > 0):
        reason = 'a place is the number of an effect and a side: "12 after"'
        raise UsageError(reason)
    return 2 * (int(number) - 1) + SIDES.index(side)


def cases(schemes: list[str] | None = None, names: list[str] | None = None) -> Iterator[Case]:
    """Enumerate the cases, each without power cuts; of some schemes and faults, or all."""
    for scheme in SCHEMES if schemes is None else schemes:
        for name in FAULTS if names is None else names:
            fault = FAULTS.get(name)
            if fault is None or scheme not in SCHEMES or fault.lacks(SCHEMES[scheme]):
                continue
            for truth in fault.truths:
                for times in TIMES if not (fault.ends or name == CUT) else ("once",):
                    for occasion in fault.occasions:
                        for follow in fault.follows(occasion) if name != CUT else (Kind.SALE,):
                            yield Case(scheme, name, f"{truth}, {times}", occasion, follow)


@dataclass(frozen=True, slots=True)
class KeyFaults:
    """The campaign."""

    name: str = "keys"
    title: Text = TITLE

    def lacks(self) -> str:
        """Need nothing that is not here."""
        return ""

    def run(self, shard: Shard) -> Tally:
        """Run a shard's cases; all that begin with the same first cut belong to one shard."""
        count, number = Count(), 0
        stride = QUICK_STRIDE if shard.scale is Scale.QUICK else 1
        for case in cases():
            if case.fault == CUT and case.scheme != USUAL and shard.scale is Scale.QUICK:
                continue
            for group in _groups(case):
                number += 1
                if number % stride == 0 and shard.takes(number // stride):
                    rotation = _judge(group, count)
                    if group.cuts and group.scheme == USUAL:
                        _cut_again(group, rotation, count, stride)
        if shard.index == 0:
            for name, fault in FAULTS.items():
                for scheme in SCHEMES.values():
                    if fault.lacks(scheme):
                        count.counts[f"not there: {name} with {scheme.name}, {fault.lacks(scheme)}"] = 1
        return count.tally()

    def repeat(self, case: str, seed: int) -> str:
        """Tell one case's history."""
        del seed
        rotation, rests = Case.parse(case).live(tells=True)
        judged = faults(rotation.world, rests=rests)
        return rotation.world.history() + "".join(f"!! {each}\n" for each in (*judged, *rotation.objections()))


KEYFAULTS: Final = KeyFaults()


def _groups(case: Case) -> Iterator[Case]:
    """Yield a case, and with a power cut at every effect of it."""
    yield case
    if case.fault == CUT:
        rotation, _ = case.live()
        for cut in range(2 * rotation.effects):
            yield _with_cuts(case, cut)


def _cut_again(case: Case, rotation: Rotation, count: Count, stride: int) -> None:
    """Cut the power again, at every effect of the recovery from the first cut."""
    for second in range(case.cuts[0] % stride, 2 * rotation.effects_since_start, stride):
        _judge(_with_cuts(case, *case.cuts, second), count)


def _with_cuts(case: Case, *cuts: int) -> Case:
    return Case(case.scheme, case.fault, case.truth, case.occasion, case.follow, cuts)


def _judge(case: Case, count: Count) -> Rotation:
    rotation, rests = case.live()
    count.counts[f"cases of {case.fault}"] += 1
    count.counts["uses of a working key"] += rotation.watch.uses
    count.judge(str(case), rotation.world, rests=rests)
    for objection in rotation.objections():
        count.counts["findings"] += 1
        count.findings.append(Finding(objection, str(case)))
    return rotation
