"""What the host does on purpose when nothing else is said: the last three digits of an amount choose it.

9.51 CNY, 19.51 CNY and so on are declined with 51; 9.96 CNY is booked but never answered, as at many acquirers' test
hosts. At most sales and refunds are met: a reversal carries the same amount and must not meet it again.
"""

from __future__ import annotations

from typing import Final

from simulators.scenario.load import parse

AMOUNTS_TOML: Final = """\
title = { en = "the last three digits of an amount choose", zh = "金额后三位决定主机行为" }

[[rule]]
name = "905"
title = { en = "decline: not honoured", zh = "拒绝: 不予承兑" }
match = { kind = ["sale", "refund"], amount_suffix = "905" }
action = { do = "decline", code = "05" }

[[rule]]
name = "910"
title = { en = "approve half, where the terminal takes a part", zh = "部分承兑一半 (终端须支持部分承兑)" }
match = { kind = "sale", amount_suffix = "910", "60.6" = "1" }
action = { do = "partial", percent = 50 }

[[rule]]
name = "951"
title = { en = "decline: insufficient funds", zh = "拒绝: 可用余额不足" }
match = { kind = ["sale", "refund"], amount_suffix = "951" }
action = { do = "decline", code = "51" }

[[rule]]
name = "960"
title = { en = "claim that the MAC is wrong", zh = "拒绝: MAC校验错" }
match = { kind = ["sale", "refund"], amount_suffix = "960" }
action = { do = "demand_sign_on", by = "A0" }

[[rule]]
name = "977"
title = { en = "demand a new sign-on", zh = "要求重新签到" }
match = { kind = ["sale", "refund"], amount_suffix = "977" }
action = { do = "demand_sign_on", by = "77" }

[[rule]]
name = "991"
title = { en = "decline: issuer not available", zh = "拒绝: 发卡方状态不正常" }
match = { kind = ["sale", "refund"], amount_suffix = "991" }
action = { do = "decline", code = "91" }

[[rule]]
name = "994"
title = { en = "book nothing, close the link", zh = "不记账并断开连接" }
match = { kind = ["sale", "refund"], amount_suffix = "994" }
action = { do = "close", book = false }

[[rule]]
name = "995"
title = { en = "approve with a wrong MAC", zh = "批准但MAC错误" }
match = { kind = ["sale", "refund"], amount_suffix = "995" }
action = { do = "wrong_mac" }

[[rule]]
name = "996"
title = { en = "approve, then close the link without an answer", zh = "记账后断开连接, 不应答" }
match = { kind = ["sale", "refund"], amount_suffix = "996" }
action = { do = "close", book = true }

[[rule]]
name = "997"
title = { en = "approve, then say nothing", zh = "记账后不应答" }
match = { kind = ["sale", "refund"], amount_suffix = "997" }
action = { do = "drop", book = true }
"""

AMOUNTS: Final = parse(AMOUNTS_TOML, "amounts.toml")
"""The scenario of a host that was given none. A rule's name is the digits it listens to."""
