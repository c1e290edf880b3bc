"""Situations of the line and of time: a sign-on that is too old, and a host that cannot be reached."""

from __future__ import annotations

from typing import Final

from pos_engine.values import Text
from simulators.drill.acts import Choice, Decision, Moment, Move, Situation, Upset
from simulators.drill.scoring import Grade

EXPIRED: Final = Situation(
    name="expired",
    title=Text("The sign-on is too old when a sale is rung up", "收款时签到已过期"),
    scene=Text(
        "A customer buys a tin of tea for 68.00 and holds out a card. You key the amount in.",
        "顾客购买茶叶一罐, 共68.00元, 已取出银行卡。您输入金额, 开始收款。",
    ),
    upset=Upset.SLOW,
    lesson=Text("let a terminal that signs on by itself finish", "终端自动签到时耐心等待, 不要打断"),
    decisions=(
        Decision(
            Moment.SIGNING_ON,
            Text("The terminal is busy signing on. What do you do?", "终端正在签到, 您怎么做?"),
            (
                Choice(
                    Text("Key the amount in once more", "再次输入金额, 重新收款"),
                    (Move.KEY_IN_AGAIN, Move.GO_ON),
                    Grade.HARMLESS,
                    Text(
                        "a busy terminal takes no second order; it only costs attention",
                        "终端忙时不受理新的交易, 重复操作没有用处",
                    ),
                ),
                Choice(
                    Text(
                        "Take the payment at the next till meanwhile, then finish here",
                        "先到旁边的收银台刷卡, 再回来把这里做完",
                    ),
                    (Move.OTHER_TILL, Move.GO_ON),
                    Grade.DANGEROUS,
                    Text(
                        "this terminal goes on by itself once it is signed on: the customer is charged at both",
                        "本机签到后会自动继续交易, 两台终端各扣一次款",
                    ),
                ),
                Choice(
                    Text("Ask the customer for a moment, and wait", "请顾客稍候, 等待终端完成签到"),
                    (Move.GO_ON,),
                    Grade.RIGHT,
                    Text(
                        "the terminal signs on by itself and goes on with the sale; nothing else is needed",
                        "终端会自动签到并继续交易, 无需任何操作",
                    ),
                ),
                Choice(
                    Text("Switch the terminal off and on, and begin anew", "关机重启终端, 重新收款"),
                    (Move.RESTART, Move.SELL_ANEW),
                    Grade.COSTLY,
                    Text(
                        "a restart cuts the sign-on short; the terminal has to begin it again",
                        "重启会中断签到, 终端还要从头再来, 白白耽误时间",
                    ),
                ),
            ),
        ),
    ),
)

_LINE_IS_DEAD: Final = Decision(
    Moment.WAITING,
    Text("The terminal cannot reach the host. What do you do?", "终端连不上主机, 您怎么做?"),
    (
        Choice(
            Text(
                "Say that nothing was charged, ask the customer to keep the card and wait",
                "告诉顾客尚未扣款, 请收好银行卡稍候",
            ),
            (Move.GO_ON,),
            Grade.RIGHT,
            Text(
                "nothing was sent; the terminal tries on, and no card is needed until it is signed on",
                "交易尚未发出; 终端会继续重试, 签到成功之前不需要银行卡",
            ),
        ),
        Choice(
            Text("Send the customer away at once", "请顾客改日再来"),
            (Move.LEAVE,),
            Grade.COSTLY,
            Text("many failures of a line last seconds; the sale is lost", "线路往往几十秒就会恢复, 这笔生意丢了"),
        ),
        Choice(
            Text("Press sign-on by hand", "手工按“签到”"),
            (Move.SIGN_ON, Move.GO_ON),
            Grade.HARMLESS,
            Text(
                "the terminal tries by itself as often as is useful; it helps nothing, and harms nothing",
                "终端已在自动重试, 手工签到没有坏处, 也没有用处",
            ),
        ),
        Choice(
            Text("Take the card at the next till, while this one goes on", "本机不取消, 到旁边的收银台另刷一次"),
            (Move.OTHER_TILL, Move.GO_ON),
            Grade.DANGEROUS,
            Text(
                "the sale is still under way here: when the line comes back, it may be charged a second time",
                "本机的交易还没有结束, 线路一恢复就可能再扣一次款",
            ),
        ),
    ),
)

GAP: Final = Situation(
    name="line-gap",
    title=Text("The line is dead for some seconds", "签到时线路短时中断"),
    scene=Text(
        "A customer buys a tin of tea for 68.00. It is the first sale after a long break.",
        "顾客购买茶叶一罐, 共68.00元。这是长时间停业后的第一笔交易。",
    ),
    upset=Upset.GAP,
    lesson=Text(
        "wait while the line is dead, then have goods and amount confirmed",
        "线路中断时先等待, 恢复后与顾客核对商品和金额再继续",
    ),
    decisions=(
        _LINE_IS_DEAD,
        Decision(
            Moment.CONFIRMING,
            Text("The line is back, and the till asks. What do you do?", "线路已恢复, 收银台请您确认。您怎么做?"),
            (
                Choice(
                    Text("Take the customer's cash, and say yes as well", "收下顾客的现金, 同时点“确认”"),
                    (Move.CASH, Move.GO_ON),
                    Grade.DANGEROUS,
                    Text("yes is a sale: the customer pays in cash and by card", "确认就是刷卡: 顾客付了现金又被扣款"),
                ),
                Choice(
                    Text("Say no, and ring the sale up anew", "选择“否”, 重新收款"),
                    (Move.STOP, Move.SELL_ANEW),
                    Grade.HARMLESS,
                    Text(
                        "the same sale, begun twice: nothing was charged the first time",
                        "前一次没有扣款, 重做也只扣一次, 只是多此一举",
                    ),
                ),
                Choice(
                    Text(
                        "Check goods and amount with the customer, then say yes", "与顾客核对商品和金额, 无误后点“确认”"
                    ),
                    (Move.GO_ON,),
                    Grade.RIGHT,
                    Text(
                        "minutes may have passed: the customer says again what is bought, and is charged once",
                        "可能已过了几分钟, 经顾客再次确认后继续, 只扣一次款",
                    ),
                ),
                Choice(
                    Text("Say no, and send the customer away", "选择“否”, 请顾客离开"),
                    (Move.LEAVE,),
                    Grade.COSTLY,
                    Text("the terminal is ready again; the sale is lost", "终端已经恢复, 这笔生意白白丢了"),
                ),
            ),
        ),
    ),
)

DEAD: Final = Situation(
    name="line-dead",
    title=Text("The line stays dead", "线路一直不通"),
    scene=Text(
        "A customer buys a tin of tea for 68.00. Outside, somebody is digging up the road.",
        "顾客购买茶叶一罐, 共68.00元。门外正在施工挖路。",
    ),
    upset=Upset.DEAD,
    lesson=Text(
        "when the terminal gives a sale up: cash, and no card number on paper",
        "终端放弃交易后改收现金, 绝不抄录卡号",
    ),
    decisions=(
        _LINE_IS_DEAD,
        Decision(
            Moment.ENDED,
            Text("The terminal has given the sale up. What do you do?", "终端已放弃该笔交易, 您怎么做?"),
            (
                Choice(
                    Text("Ring the sale up once more, then ask for cash", "再收一次款试试, 不行再收现金"),
                    (Move.SELL_ANEW, Move.CASH),
                    Grade.HARMLESS,
                    Text(
                        "the terminal has just tried for a minute; trying again makes the queue longer",
                        "终端刚刚重试了近一分钟, 再试只会让顾客久等",
                    ),
                ),
                Choice(
                    Text(
                        "Say that nothing was charged, and ask for cash",
                        "说明未扣款, 请顾客改付现金",
                    ),
                    (Move.CASH,),
                    Grade.RIGHT,
                    Text(
                        "nothing was sent and nothing was charged; the sale is made", "交易未发出, 未扣款, 生意也没有丢"
                    ),
                ),
                Choice(
                    Text(
                        "Write number and expiry of the card down, to key them in later; hand over the goods",
                        "抄下卡号和有效期, 等恢复后再补刷, 先让顾客把货拿走",
                    ),
                    (Move.NOTE_CARD, Move.GOODS),
                    Grade.DANGEROUS,
                    Text(
                        "card data on paper is card data stolen, and nobody has paid for the goods",
                        "抄录卡号属于泄露卡片信息, 严禁; 而且货款没有收到",
                    ),
                ),
                Choice(
                    Text("Send the customer away", "请顾客改日再来"),
                    (Move.LEAVE,),
                    Grade.COSTLY,
                    Text("many customers have cash; the sale is lost", "不少顾客带有现金, 这笔生意丢了"),
                ),
            ),
        ),
    ),
)
