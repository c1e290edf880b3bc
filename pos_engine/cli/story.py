"""The words of the demo: one text an act, in both languages, for somebody who never saw ISO 8583."""

from __future__ import annotations

from typing import Final

from pos_engine.values import Text

INTRODUCTION: Final = Text(
    "Two programs on this machine: a shop's payment terminal, and the acquirer, the host at the bank that it asks for "
    "money. Between them are a TCP connection and, for bad days, a serial line. They speak ISO 8583: each message has "
    "a type (the MTI, four digits) and numbered fields. Card numbers are masked here, PINs and keys are never shown. "
    "Whatever the terminal is about to send, it writes into its journal on disk first. This is one day in the shop.",
    "本机上有两个程序: 商户的支付终端和收单主机, 两者之间有TCP连接, 另有一条备用串口线路. "
    "双方使用ISO 8583: 每条报文有四位数字的消息类型(MTI)和编号的域. "
    "卡号已屏蔽, 密码与密钥从不显示. 终端发送任何请求之前, 先将其写入磁盘流水. 以下是商户的一天.",
)
SIGN_ON: Final = Text(
    "Morning. The terminal signs on: it tells who it is and receives fresh working keys, wrapped under the master key "
    "that both sides hold. It believes them only when their check values fit.",
    "早上, 终端签到: 表明身份, 取得以主密钥加密的新工作密钥; 校验值相符才会启用.",
)
SALE: Final = Text(
    "A customer pays 12.34. The PIN travels encrypted (field 52), and a code over the whole message (the MAC, field "
    "64) shows the host that it comes from a holder of the key. The answer carries a MAC too. The till has given the "
    "sale a key of its own, which will matter below.",
    "顾客支付12.34元. 密码加密传送(52域), 报文鉴别码(MAC, 64域)证明报文出自持有密钥的一方; 应答同样带有MAC. "
    "收银台为这笔消费指定了自己的标识, 后面会用到.",
)
REPEATED: Final = Text(
    "The till asks for the same sale again, under the same key: perhaps it lost the screen, perhaps somebody pressed "
    "twice. Nothing is sent. The terminal tells what became of it the first time.",
    "收银台用同一标识再次请求这笔消费(也许屏幕丢失, 也许按了两次). 终端不发送任何报文, 只告知第一次的结果.",
)
BALANCE: Final = Text(
    "A customer wants to know what is left on the card. No money moves, so nothing could be owed.",
    "顾客查询卡内余额. 不涉及资金变动, 因此不会留下未了结的交易.",
)
DECLINED: Final = Text(
    "A card without enough money. The host says no (field 39), and a no is an answer like any other.",
    "卡内余额不足. 主机拒绝(39域), 拒绝也是一种正常应答.",
)
MISTAKE: Final = Text(
    "The cashier types 88.00 where 8.00 was meant, and notices when it is approved.",
    "收银员把8.00误输为88.00, 批准之后才发现.",
)
VOID: Final = Text(
    "So the sale is voided: undone as a whole, on the same day, by the terminal that made it (field 61 names it).",
    "于是撤销这笔消费: 当日由原终端全额撤销(61域指明原交易).",
)
REFUND: Final = Text(
    "The first customer returns something worth 2.34. A refund gives part of a sale back, on any day; it names the "
    "sale it belongs to (fields 37 and 61).",
    "第一位顾客退回价值2.34元的商品. 退货可部分退回, 不限当日, 并指明原交易(37域与61域).",
)
LOSS: Final = Text(
    "Another customer pays 9.96. The host books it, then the link breaks before the answer arrives. The terminal "
    "cannot know whether money moved, and says so instead of guessing.",
    "另一位顾客支付9.96元. 主机已记账, 但应答到达之前线路中断. 终端无法知道是否扣款, 它如实说明, 而不猜测.",
)
REVERSAL: Final = Text(
    "The journal remembers what is owed, over a power cut too. Before anything else about money is sent, the terminal "
    "takes the doubtful sale back: a reversal with the same trace number (STAN, field 11) and the reason in field 39.",
    "磁盘流水记得未了结的交易, 断电也不会丢失. 终端在发送其他资金类请求之前先冲正: 相同的流水号(11域), 39域为冲正原因.",
)
POWER_CUT: Final = Text(
    "Late afternoon. A customer pays 25.00: the request is sent, the host books it, and the moment its approval "
    "arrives, the power fails. The terminal's process is killed where it stands; it can write nothing more, and nobody "
    "in the shop has seen an answer.",
    "傍晚, 顾客支付25.00元: 请求已发出, 主机已记账, 批准应答到达的瞬间突然断电. "
    "终端进程被当场杀死, 来不及写任何东西, 店里没有人看到应答.",
)
POWER_BACK: Final = Text(
    "The lights are on again, and a new process reads the journal. There is an intent without an outcome, so the sale "
    "is in doubt, and before anything else it is taken back. The customer was charged nothing and pays again.",
    "来电了. 新进程读取磁盘流水: 有交易意图而无结果, 即结果未知, 终端首先将其冲正. 顾客未被扣款, 重新付款.",
)
CABLE: Final = Text(
    "A digger cuts the cable in the street. Nobody can be reached over TCP, so nothing has left, and the terminal "
    "takes its second road: a serial line, which crackles.",
    "街上的挖掘机挖断了电缆. TCP无法连通, 未发出任何数据, 终端改走第二条线路: 一条有杂音的串口线.",
)
CRACKLED: Final = Text(
    "one bit arrived wrong; the other end refused the frame, and it was sent again",
    "有一位出错; 对方拒收该帧, 终端已重发",
)
SIGN_OFF: Final = Text(
    "Evening. The terminal signs off; its keys are of no use to anybody now.",
    "晚上, 终端签退; 其工作密钥不再有效.",
)
BOOKS: Final = Text("Both ends compare their books, trace number by trace number.", "双方按流水号逐笔对账.")
AGREED: Final = Text(
    "The books agree to the cent: nothing was lost, nothing was taken twice.", "账目一分不差: 没有丢失, 没有重复扣款."
)
DIFFERED: Final = Text("The books differ.", "账目不符.")
