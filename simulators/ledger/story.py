"""What happened to one trace number at the host: every message in order, what they come to, and a sentence about it.

It answers the question of two books that differ: what does the terminal believe, and what happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pos_engine.dialects.base import Kind
from pos_engine.values import Amount, Text
from simulators.ledger.changes import Booked, Standing, What

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simulators.ledger.accounts import Key
    from simulators.ledger.changes import Handled

NAMES: Final[Mapping[Kind, Text]] = {
    Kind.SIGN_ON: Text("sign-on", "签到"),
    Kind.SIGN_OFF: Text("sign-off", "签退"),
    Kind.BALANCE: Text("balance inquiry", "余额查询"),
    Kind.SALE: Text("sale", "消费"),
    Kind.VOID: Text("void", "撤销"),
    Kind.REFUND: Text("refund", "退货"),
    Kind.REVERSAL: Text("reversal", "冲正"),
}
MESSAGE: Final = Text("message", "报文")
BECAME: Final[Mapping[What, Text]] = {
    What.SIGNED_ON: Text("signed on", "签到成功"),
    What.SIGNED_OFF: Text("signed off", "签退成功"),
    What.ECHOED: Text("answered", "已应答"),
    What.NOTED: Text("noted", "已登记"),
    What.DOWNLOADED: Text("was given what it asked for", "已下发"),
    What.APPROVED: Text("approved", "已批准"),
    What.DECLINED: Text("declined", "已拒绝"),
    What.REVERSED: Text("took it back", "已冲正"),
    What.REVERSED_BEFORE: Text("came again, taken back before", "重复冲正"),
    What.REVERSED_UNSEEN: Text("found nothing to take back", "无可冲正"),
    What.REFUSED: Text("refused", "未受理"),
    What.LOST: Text("lost on purpose, as if it had never come", "按设定丢弃"),
    What.UNREADABLE: Text("not readable", "无法解析"),
}
UNANSWERED: Final = Text("not answered", "未应答")
NOTHING: Final = Text("no message came under this trace number", "此流水号下没有收到任何报文")
NO_MONEY: Final = Text("no money has moved", "未发生资金变动")


@dataclass(frozen=True, slots=True)
class Story:
    """What the host knows of one trace number."""

    key: Key
    messages: tuple[Handled, ...]
    """Every message that named it, oldest first."""
    complete: bool
    """False when so many came that later ones were not kept."""
    standing: Standing | None
    """How the transaction stands; `None` when none was filed."""
    net_effect_minor: int
    """Fen that moved to the merchant under this number, its reversal included."""
    refunded_minor: int
    """Fen that other transactions, refunds of this one, have given back."""
    voided_by: Key | None
    """The void that undid it and stands."""
    summary: Text


def tell(
    key: Key,
    lines: tuple[Handled, ...],
    *,
    complete: bool,
    booked: Booked | None,
    net_minor: int,
    refunded_minor: int,
    voided_by: Key | None,
) -> Story:
    """Put a story together."""
    facts = [*map(_line, lines)] or [NOTHING]
    facts.append(_net(net_minor))
    if refunded_minor:
        amount = str(Amount(refunded_minor))
        facts.append(Text(f"refunds have given back {amount}", f"已退货{amount}"))
    if voided_by is not None:
        facts.append(Text(f"voided by STAN {voided_by.stan}", f"已被流水号{voided_by.stan}撤销"))
    standing = booked.standing if booked is not None else None
    return Story(key, lines, complete, standing, net_minor, refunded_minor, voided_by, _joined(facts))


def _line(line: Handled) -> Text:
    name = MESSAGE if line.kind is None else NAMES.get(line.kind, Text(line.kind.value, line.kind.value))
    became = BECAME[line.what]
    code = f" {line.code}" if line.code else ""
    en, zh = f"{name.en}: {became.en}{code}", f"{name.zh}: {became.zh}{code}"
    return Text(en, zh) if line.answered else Text(f"{en}, {UNANSWERED.en}", f"{zh}, {UNANSWERED.zh}")


def _net(net_minor: int) -> Text:
    if net_minor == 0:
        return NO_MONEY
    amount = str(Amount(abs(net_minor)))
    if net_minor > 0:
        return Text(f"the merchant has {amount} of it", f"商户净收{amount}")
    return Text(f"the card has {amount} of it", f"持卡人净得{amount}")


def _joined(facts: Iterable[Text]) -> Text:
    facts = list(facts)
    return Text("; ".join(fact.en for fact in facts), "; ".join(fact.zh for fact in facts))
