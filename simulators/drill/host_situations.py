"""Situations of what the host says, or does not say: 77, silence, 51, and keys that do not match."""

from __future__ import annotations

from typing import Final

from pos_engine.values import Text
from simulators.drill.acts import Choice, Decision, Moment, Move, Situation, Upset
from simulators.drill.scoring import Grade

DEMANDED: Final = Situation(
    name="demanded",
    title=Text("The host refuses the sale until a sign-on (77)", "刷卡后主机要求重新签到(77)"),
    scene=Text(
        "A customer buys a tin of tea for 68.00. Card and PIN are taken; the host was restarted a minute ago.",
        "顾客购买茶叶一罐, 共68.00元, 已刷卡输密。一分钟前主机刚刚重启。",
    ),
    upset=Upset.DEMAND,
    lesson=Text(
        "a sale refused with 77 was not charged: repeat it here, once", "应答77未扣款: 在本机重做一次即可, 不要另刷"
    ),
    decisions=(
        Decision(
            Moment.CONFIRMING,
            Text(
                "The terminal is signed on again and offers the repeat. What do you do?",
                "终端已重新签到, 询问是否重做。您怎么做?",
            ),
            (
                Choice(
                    Text("Tell the customer that the card does not work", "告诉顾客卡不能用, 请其离开"),
                    (Move.LEAVE,),
                    Grade.COSTLY,
                    Text(
                        "the card is in order: the host wanted a sign-on, and has had it",
                        "卡没有问题, 主机只是要求重新签到, 而且已经签好",
                    ),
                ),
                Choice(
                    Text(
                        "Say that nothing was charged; say yes, card and PIN once more",
                        "说明未扣款, 选择“是”, 请顾客重新刷卡输密",
                    ),
                    (Move.GO_ON,),
                    Grade.RIGHT,
                    Text(
                        "the refused sale charged nothing; the repeat is a new one under a new number",
                        "被拒的交易没有扣款, 重做是一笔新的交易, 只扣一次",
                    ),
                ),
                Choice(
                    Text("Say no, and ring the sale up anew", "选择“否”, 重新收款"),
                    (Move.STOP, Move.SELL_ANEW),
                    Grade.HARMLESS,
                    Text(
                        "it comes to the same: one charge; the repeat is one key less", "同样只扣一次, 直接重做更省事"
                    ),
                ),
                Choice(
                    Text(
                        "Take the card at the next till to be safe, and say yes here too",
                        "保险起见到旁边的收银台刷一次, 这里也点“是”",
                    ),
                    (Move.OTHER_TILL, Move.GO_ON),
                    Grade.DANGEROUS,
                    Text("two terminals, two charges", "两台终端各刷一次, 顾客被扣两次款"),
                ),
            ),
        ),
        Decision(
            Moment.ENDED,
            Text(
                'The customer: "You read my card twice. Have I paid twice?" What do you do?',
                "顾客问: “刷了两次卡, 是不是扣了我两次钱?” 您怎么做?",
            ),
            (
                Choice(
                    Text("Void the sale to be safe, and hand over the goods", "保险起见把这笔撤销, 货照给"),
                    (Move.VOID, Move.GOODS),
                    Grade.DANGEROUS,
                    Text(
                        "there was one charge, and it is gone: the goods leave unpaid",
                        "本来只扣了一次, 撤销后等于没收到钱, 货白白给了",
                    ),
                ),
                Choice(
                    Text("Tell the customer to ask the bank", "让顾客自己去问银行"),
                    (Move.GO_ON,),
                    Grade.COSTLY,
                    Text("the terminal's status says it in seconds", "终端上几秒就能查到, 把顾客推给银行会失去信任"),
                ),
                Choice(
                    Text("Void the sale, and ring it up anew", "撤销这笔, 再重新收一次"),
                    (Move.VOID, Move.SELL_ANEW),
                    Grade.HARMLESS,
                    Text(
                        "one charge in the end, and two more lines on the customer's statement",
                        "最后还是一次, 但账单上多了两笔, 更容易误会",
                    ),
                ),
                Choice(
                    Text("Show the status: one refused, one approved", "查看交易记录: 一笔被拒, 一笔成功"),
                    (Move.LOOK,),
                    Grade.RIGHT,
                    Text("what was refused charged nothing, and the status says so", "被拒的那笔未扣款, 有记录为证"),
                ),
            ),
            paid=True,
        ),
    ),
)

NO_ANSWER: Final = Situation(
    name="no-answer",
    title=Text("The answer to the sale stays away", "签到成功, 但消费没有应答"),
    scene=Text(
        "A customer buys a tin of tea for 68.00. The terminal signs on, card and PIN are taken, and then it waits.",
        "顾客购买茶叶一罐, 共68.00元。终端签到成功, 已刷卡输密, 然后一直在等待应答。",
    ),
    upset=Upset.SILENCE,
    lesson=Text(
        "in doubt: let the terminal reverse, look at the status, and give no goods before",
        "结果未知时先让终端冲正, 查看状态, 未确认前不交货, 不另刷",
    ),
    decisions=(
        Decision(
            Moment.ENDED,
            Text("The outcome is unknown. What do you do?", "交易结果未知, 您怎么做?"),
            (
                Choice(
                    Text("Take the card at the next till", "到旁边的收银台另刷一次"),
                    (Move.OTHER_TILL,),
                    Grade.DANGEROUS,
                    Text(
                        "the host has booked the first one: until it is reversed, the customer is charged twice",
                        "主机已经记了第一笔账, 冲正之前顾客被扣两次款",
                    ),
                ),
                Choice(
                    Text("Hand over the goods: the bank will have it", "把货给顾客: 银行那边应该扣成功了"),
                    (Move.GOODS,),
                    Grade.DANGEROUS,
                    Text(
                        "the terminal reverses what it does not know: the goods leave unpaid",
                        "终端会冲正结果未知的交易, 货给了却收不到钱",
                    ),
                ),
                Choice(
                    Text(
                        "Wait: let the terminal reverse, then look at the status",
                        "请顾客稍候, 让终端冲正, 再查看交易状态",
                    ),
                    (Move.SETTLE,),
                    Grade.RIGHT,
                    Text("only then is it known that nothing was charged", "冲正成功后才能确定没有扣款"),
                ),
                Choice(
                    Text("Ring the sale up again on this terminal at once", "马上在本机重新收款"),
                    (Move.SELL_ANEW,),
                    Grade.HARMLESS,
                    Text(
                        "this terminal reverses first, so there is one charge; look first all the same: the customer "
                        "wants to know",
                        "本机会先冲正再交易, 只扣一次; 但仍应先查清结果, 给顾客一个交代",
                    ),
                ),
            ),
        ),
        Decision(
            Moment.ENDED,
            Text(
                'The first sale was reversed. The customer: "My phone says I have paid." What do you do?',
                "第一笔已冲正。顾客说: “手机短信显示已扣款。” 您怎么做?",
            ),
            (
                Choice(
                    Text("Look at the status once more", "再查一次交易状态"),
                    (Move.SETTLE,),
                    Grade.HARMLESS,
                    Text("it says the same; nobody has paid yet", "结果一样: 已冲正, 货款还没有收到"),
                ),
                Choice(
                    Text("Explain the reversal, and ring the sale up anew", "说明已冲正、款项会退回, 重新收款"),
                    (Move.SELL_ANEW,),
                    Grade.RIGHT,
                    Text("one charge that stands, one that was taken back", "退回一笔, 成功一笔, 顾客只付一次"),
                ),
                Choice(
                    Text("Hand over the goods: there is the message", "有短信为证, 把货给顾客"),
                    (Move.GOODS,),
                    Grade.DANGEROUS,
                    Text(
                        "the message is of the first charge, and that was taken back",
                        "短信说的是第一笔, 而第一笔已经退回, 等于没有收款",
                    ),
                ),
                Choice(
                    Text("Send the customer away until it is cleared up", "请顾客离开, 等查清再来"),
                    (Move.LEAVE,),
                    Grade.COSTLY,
                    Text("it is cleared up: the status says reversed", "已经查清了: 状态是已冲正, 生意白白丢了"),
                ),
            ),
        ),
    ),
)

BALANCE: Final = Situation(
    name="balance",
    title=Text("The sign-on was renewed, and the sale is declined (51)", "刚刚签到, 消费被拒(51)"),
    scene=Text(
        "A customer buys a tin of tea for 68.00. The terminal signs on first; then card and PIN are taken.",
        "顾客购买茶叶一罐, 共68.00元。终端先自动签到, 随后刷卡输密。",
    ),
    upset=Upset.NOTHING,
    card="poor",
    lesson=Text(
        "tell a decline of the card from a fault of the sign-on", "分清是卡片被拒还是签到有问题, 不要遇拒就签到"
    ),
    decisions=(
        Decision(
            Moment.ENDED,
            Text("The sale was declined. What do you do?", "交易被拒, 您怎么做?"),
            (
                Choice(
                    Text(
                        "Say quietly that the bank has declined, and ask for another card",
                        "轻声告知银行未批准, 请顾客换一张卡",
                    ),
                    (Move.OTHER_CARD,),
                    Grade.RIGHT,
                    Text(
                        "51 is about the customer's money; terminal and sign-on are in order",
                        "51是余额不足, 与终端和签到无关",
                    ),
                ),
                Choice(
                    Text(
                        "Sign on by hand and try the card again; then send the customer away",
                        "手工签到后再刷原卡, 还不行就请顾客离开",
                    ),
                    (Move.SIGN_ON, Move.SELL_ANEW, Move.LEAVE),
                    Grade.COSTLY,
                    Text(
                        "the sign-on had just succeeded: another changes nothing, and the sale is lost",
                        "签到刚刚成功, 再签也没有用, 生意还丢了",
                    ),
                ),
                Choice(
                    Text("Hand over the goods; it can be paid tomorrow", "先把货给顾客, 明天再来补款"),
                    (Move.GOODS,),
                    Grade.DANGEROUS,
                    Text("declined is not paid: the goods leave unpaid", "被拒就是没有付款, 货白白给了"),
                ),
                Choice(
                    Text("Try the same card once more, then ask for another", "原卡再刷一次, 不行再换卡"),
                    (Move.SELL_ANEW, Move.OTHER_CARD),
                    Grade.HARMLESS,
                    Text("the same card has the same money a minute later", "余额不会在一分钟内变多, 多刷一次没有用处"),
                ),
            ),
        ),
    ),
)

KEYS: Final = Situation(
    name="keys",
    title=Text("The new keys fail their check value", "签到时密钥校验值不符"),
    scene=Text(
        "The terminal came back from repair this morning. A customer buys a tin of tea for 68.00.",
        "终端今天早上刚从维修处取回。顾客购买茶叶一罐, 共68.00元。",
    ),
    upset=Upset.KEYS,
    lesson=Text(
        "wrong keys are no matter for the shop: call the acquirer, and never tell a key",
        "密钥不符门店无法自行解决: 联系收单机构, 密钥不告诉任何人",
    ),
    decisions=(
        Decision(
            Moment.ENDED,
            Text("The terminal has given the sale up. What do you do?", "终端已放弃该笔交易, 您怎么做?"),
            (
                Choice(
                    Text(
                        'Somebody calls: "terminal service, read me the paper with the key"; do so, and take cash',
                        "接到自称“终端服务”的电话, 按要求念出密钥信封内容, 并收现金",
                    ),
                    (Move.TELL_KEY, Move.CASH),
                    Grade.DANGEROUS,
                    Text(
                        "whoever knows the key can read PINs; no service ever asks for it",
                        "知道密钥就能解出顾客密码, 正规服务人员绝不会索要密钥",
                    ),
                ),
                Choice(
                    Text("Press sign-on until it works; the customer leaves", "反复按“签到”, 顾客等不及走了"),
                    (Move.SIGN_ON, Move.SIGN_ON, Move.LEAVE),
                    Grade.COSTLY,
                    Text(
                        "the host sends keys under another master key each time; signing on again cannot help",
                        "主密钥不一致, 签到多少次都一样, 生意还丢了",
                    ),
                ),
                Choice(
                    Text(
                        "Switch the terminal off and on and try again, then take cash",
                        "关机重启再试一次, 不行就收现金",
                    ),
                    (Move.RESTART, Move.SELL_ANEW, Move.CASH),
                    Grade.HARMLESS,
                    Text("a restart changes no key", "重启不会改变密钥, 没有用处"),
                ),
                Choice(
                    Text(
                        "Take cash, and call the acquirer's terminal service with terminal and merchant number",
                        "改收现金, 并致电收单机构终端服务部门, 报终端号和商户号",
                    ),
                    (Move.CASH, Move.CALL),
                    Grade.RIGHT,
                    Text("the master key has to be loaded anew, by those who may", "须由有权人员重新灌装主密钥"),
                ),
            ),
        ),
    ),
)
