"""Messages that come when nobody waits for them, for tests that drive the flow by a script."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pos_engine import limits
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.flow.effects import Answered, MacState, Unreadable
from pos_engine.journal.record import State
from tests.support.exchange import Found, Reply, Script, approve, sale, signed_on

if TYPE_CHECKING:
    from pos_engine.journal.record import Record, Stray

SALE = 2
REVERSAL = 3
FIRST = "000001"
DIALECT = UNIONPAY


def kept(script: Script, number: int) -> Record:
    """Return the present form of a record."""
    record = script.journal.find(number)
    assert record is not None
    return record


def of_record(
    script: Script,
    number: int,
    changes: dict[int, str] | None = None,
    *,
    reply: Reply | None = None,
    mac: MacState = MacState.VALID,
) -> Answered:
    """Make a host's answer to a record's request, whenever it comes."""
    happened = (reply or approve())(kept(script, number).request, script.clock.now())
    assert isinstance(happened, Answered)
    return replace(happened, message=happened.message.replace(changes or {}), mac=mac)


def came(stray: Answered) -> Reply:
    """Let a message come while something else is waited for."""
    return lambda _request, now: replace(stray, now=now)


def found_before(reply: Reply, *strays: Answered | Unreadable) -> Reply:
    """Reply, having found something in the connection before the request left."""
    return Found(lambda _request, _now: strays, reply)


def after(first: Reply, *more: Reply) -> Script:
    """Sell once, do what is then owed by itself."""
    script = Script(signed_on(), first, *more)
    script.run(sale())
    while script.replies:
        script.clock.advance(limits.BACKOFF_MAX_S)
        script.run(None)
    return script


def met_by_next_sale(script: Script, *strays: Answered) -> tuple[Stray, ...]:
    """Let messages come while the next sale waits, which is then approved; returns what its record keeps."""
    script.replies = [*(came(stray) for stray in strays), approve()]
    record = script.run(sale("1.00")).record
    assert record is not None
    assert record.state is State.APPROVED
    return record.strays


def only(strays: tuple[Stray, ...]) -> Stray:
    """Return the one that there is."""
    (stray,) = strays
    return stray
