"""Lives made by hand, for the judge of invariants: records as JSON, frames as bytes, and the order in which both come.

Nothing here runs a terminal, so that a life may hold what no terminal would do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from pos_engine.dialects.base import pack
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.framing.tpdu import Tpdu
from pos_engine.wire.message import Message
from simulators.invariants import judge
from simulators.invariants.observations import Arrived, Attempted, Effect, Left, Life, Shown, Synced

TERMINAL: Final = "T0000001"
BATCH: Final = "000007"
PLACES: Final = {41: TERMINAL, 42: "M00000000000001"}
KEYS: Final = [["PIN", "11" * 16, "22" * 4, "3DES"], ["MAC", "33" * 16, "44" * 4, "3DES"]]
TYPES: Final = {"sale": "22", "void": "23", "refund": "25", "balance": "01"}
WORDS: Final = {"APPROVED": "approved", "DECLINED": "declined", "DOUBTFUL": "in doubt", "UNSENT": "not sent"}
SEAL: Final = bytes(8)
TPDU: Final = Tpdu.parse("6000060000")
Form = dict[str, Any]
Fields = dict[int, str]


def form(number: int, kind: str, mti: str, fields: Fields, **more: Any) -> Form:  # noqa: ANN401 - JSON
    """Make a record as it is when its request is about to leave."""
    amount = [int(fields[4]), "156", "CNY", 2] if 4 in fields else None
    usual = {
        "number": number,
        "kind": kind,
        "state": "PENDING",
        "stan": fields.get(11, f"{number:06d}"),
        "batch": fields[60][2:8],
        "request": [mti, as_kept(fields)],
        "opened": [float(number), "boot-1", "2026-01-02T03:04:05+00:00"],
        "changed": [float(number), "boot-1", "2026-01-02T03:04:05+00:00"],
        "amount": amount,
        "card": None,
        "answer": None,
        "keys": [],
        "new_batch": None,
        "reason": None,
        "original": None,
        "attempts": 1,
        "signed_on_by": None if kind == "sign-on" else 1,
        "demands_sign_on": False,
        "key": None,
        "approval_proven": False,
        "notes": [],
        "late": None,
        "resolution": None,
    }
    return usual | more


def as_kept(fields: Fields) -> dict[str, str]:
    return {str(number): value for number, value in fields.items()}


def of_money(kind: str, number: int, minor: int = 1234, **more: Any) -> Form:  # noqa: ANN401 - JSON
    """Make a sale, void or refund; its STAN is its number."""
    code = "200000" if kind in {"void", "refund"} else "000000"
    private = f"{TYPES[kind]}{BATCH}000501"
    fields = {3: code, 4: f"{minor:012d}", 11: f"{number:06d}", 22: "022", 25: "00", **PLACES, 49: "156", 60: private}
    if kind != "sale":
        fields |= {37: "000000000002", 61: BATCH + "000002" + ("" if kind == "void" else "0102")}
    return form(number, kind, "0220" if kind == "refund" else "0200", fields, **more)


def sign_on(number: int = 1, **more: Any) -> Form:  # noqa: ANN401 - JSON
    fields = {11: f"{number:06d}", **PLACES, 60: f"00{BATCH}003", 63: "01 "}
    return form(number, "sign-on", "0800", fields, **more)


def reversal(original: Form, number: int, *, reason: str = "98", changed: Fields | None = None) -> Form:
    kept = {int(name): value for name, value in original["request"][1].items() if int(name) != 37}
    itself = {61: BATCH + original["stan"]} if 61 in kept else {}
    fields = kept | itself | {39: reason} | (changed or {})
    return form(number, "reversal", "0400", fields, original=original["number"])


def frame(mti: str, fields: Fields) -> bytes:
    return _packed(mti, fields, sealed=3 in fields)


def bare_frame(mti: str, fields: Fields) -> bytes:
    """Make a frame without a MAC."""
    return _packed(mti, fields, sealed=False)


def _packed(mti: str, fields: Fields, *, sealed: bool) -> bytes:
    seal = (lambda _covered: SEAL) if sealed else None
    return pack(UNIONPAY, Message(mti, fields), tpdu=TPDU, header="603200320000", mac=seal).encode()


def request(of: Form) -> Fields:
    return {int(name): value for name, value in of["request"][1].items()}


def answer(of: Form, code: str, changed: Fields | None = None) -> tuple[str, Fields]:
    mti = of["request"][0]
    echoed = {number: value for number, value in request(of).items() if number in {3, 4, 11, 41, 42, 49, 60}}
    fields = echoed | {12: "030405", 13: "0102", 37: f"{of['number']:012d}", 39: code} | (changed or {})
    return f"{mti[:2]}{int(mti[2]) + 1}{mti[3]}", fields


@dataclass
class Story:
    """A life in the making."""

    seen: list[Any] = field(default_factory=list)
    final: dict[int, str] = field(default_factory=dict)
    books: list[Effect] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def save(self, body: Form) -> None:
        text = json.dumps(body)
        self.seen += [Attempted(text), Synced(text)]
        self.final[body["number"]] = text

    def begin(self, body: Form, changed: Fields | None = None) -> Form:
        """Save a request and let it leave."""
        self.save(body)
        self.leave(body, changed)
        return body

    def leave(self, body: Form, changed: Fields | None = None) -> None:
        self.seen.append(Left(frame(body["request"][0], request(body) | (changed or {}))))

    def end(self, body: Form, state: str, code: str = "00", **how: Any) -> Form:  # noqa: ANN401 - a test's own words
        """Let an answer arrive, save what it decided, and show that."""
        mti, fields = answer(body, code, how.get("answered"))
        self.seen.append(Arrived(frame(mti, fields), how.get("authentic", True)))
        kept = [mti, as_kept(fields | how.get("kept", {}))]
        return self.conclude(body, state, answer=kept, **how.get("saved", {}))

    def conclude(self, body: Form, state: str, **saved: Any) -> Form:  # noqa: ANN401 - JSON
        ended = body | {"state": state} | saved
        self.save(ended)
        self.show(ended)
        return ended

    def show(self, body: Form) -> None:
        amount = body["amount"][0] if body["amount"] is not None else None
        self.seen.append(Shown(body["number"], WORDS[body["state"]], amount))

    def book(self, body: Form, moved: int, net: int | None = None, reversals: int = 0) -> None:
        net = moved if net is None else net
        self.books.append(Effect(TERMINAL, body["batch"], body["stan"], body["kind"], moved, net, reversals))

    # Whole exchanges.

    def sign_on(self, number: int = 1, **saved: Any) -> None:  # noqa: ANN401 - JSON
        body = self.begin(sign_on(number))
        self.end(body, "APPROVED", saved={"keys": KEYS, "new_batch": BATCH} | saved)

    def sell(self, number: int, **more: Any) -> Form:  # noqa: ANN401 - JSON
        body = self.begin(of_money("sale", number, **more))
        self.book(body, 1234)
        return self.end(body, "APPROVED")

    def doubt(self, kind: str, number: int, **more: Any) -> Form:  # noqa: ANN401 - JSON
        body = self.begin(of_money(kind, number))
        return self.conclude(body, "DOUBTFUL", reason="98", **more)

    def reverse(self, original: Form, number: int, **how: Any) -> Form:  # noqa: ANN401 - a test's own words
        body = self.begin(reversal(original, number, **how))
        return self.end(body, "APPROVED")

    def life(self) -> Life:
        return Life(tuple(self.seen), tuple(self.books), tuple(self.final.values()), **self.more)

    def found(self) -> list[str]:
        return [violation.invariant for violation in judge(self.life())]


def signed_on() -> Story:
    """Begin a life with an approved sign-on, record 1."""
    story = Story()
    story.sign_on()
    return story
