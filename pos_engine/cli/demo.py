"""`pos-engine demo`: a terminal and a simulated acquirer in two processes, told as a story with every message decoded.

The acquirer is a child process that listens on a free loopback port and reports what it booked as JSON lines; the
terminal is this process. Their only connection is TCP. The last act compares the terminal's journal with the acquirer's
books, and the demo fails when they differ.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pos_engine.cli.border import command
from pos_engine.cli.exits import Exit
from pos_engine.cli.stage import Stage
from pos_engine.errors import PosError
from pos_engine.flow.outcomes import Approved, InDoubt
from pos_engine.values import Amount, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pos_engine.cli.output import Output
    from pos_engine.flow.outcomes import Line, Outcome
    from pos_engine.terminal import Terminal

SOLD: Final = Amount.cny("12.34")
RETURNED: Final = Amount.cny("2.34")
LOST: Final = Amount.cny("9.96")
"""The simulated host books amounts that end in 9.96 and closes the link before it answers."""
STOP_S: Final = 5.0

INTRODUCTION: Final = Text(
    "Two programs on this machine: a shop's payment terminal, and the acquirer, the host at the bank that it asks for "
    "money. Between them is TCP, and nothing else. They speak ISO 8583: each message has a type (the MTI, four "
    "digits) and numbered fields. Card numbers are masked here, PINs and keys are never shown. Whatever the terminal "
    "is about to send, it writes into its journal on disk first.",
    "本机上有两个程序: 商户的支付终端和收单主机, 两者之间只有TCP连接. "
    "双方使用ISO 8583: 每条报文有四位数字的消息类型(MTI)和编号的域. "
    "卡号已屏蔽, 密码与密钥从不显示. 终端发送任何请求之前, 先将其写入磁盘流水.",
)
SIGN_ON: Final = Text(
    "The terminal signs on: it tells who it is and receives fresh working keys, wrapped under the master key that "
    "both sides hold. It believes them only when their check values fit.",
    "终端签到: 表明身份, 取得以主密钥加密的新工作密钥; 校验值相符才会启用.",
)
SALE: Final = Text(
    "A customer pays 12.34. The PIN travels encrypted (field 52), and a code over the whole message (the MAC, "
    "field 64) shows the host that it comes from a holder of the key. The answer carries a MAC too.",
    "顾客支付12.34元. 密码加密传送(52域), 报文鉴别码(MAC, 64域)证明报文出自持有密钥的一方; 应答同样带有MAC.",
)
REFUND: Final = Text(
    "The customer returns something worth 2.34. The refund names the sale it belongs to (fields 37 and 61).",
    "顾客退货2.34元. 退货报文指明原交易(37域与61域).",
)
LOSS: Final = Text(
    "Another customer pays 9.96. The host books it, then the link breaks before the answer arrives. The terminal "
    "cannot know whether money moved, and says so instead of guessing.",
    "另一位顾客支付9.96元. 主机已记账, 但应答到达之前线路中断. 终端无法知道是否扣款, 它如实说明, 而不猜测.",
)
REVERSAL: Final = Text(
    "The journal remembers what is owed, over a power cut too. Before anything else is sent, the terminal takes the "
    "doubtful sale back: a reversal with the same trace number (STAN, field 11) and the reason in field 39.",
    "磁盘流水记得未了结的交易, 断电也不会丢失. 终端在发送其他任何请求之前先冲正: 相同的流水号(11域), 39域为冲正原因.",
)
BOOKS: Final = Text("Both ends compare their books, trace number by trace number.", "双方按流水号逐笔对账.")
AGREED: Final = Text(
    "The books agree to the cent: nothing was lost, nothing was taken twice.", "账目一分不差: 没有丢失, 没有重复扣款."
)
DIFFERED: Final = Text("The books differ.", "账目不符.")


@dataclass(slots=True)
class Host:
    """The acquirer's process."""

    process: subprocess.Popen[str]
    port: int
    moved: Counter[str] = field(default_factory=Counter)
    """Fen that reached the merchant, by STAN; filled when the host stops."""

    def stop(self) -> None:
        """End the process in order and read what it reported."""
        self.process.terminate()
        output, _ = self.process.communicate(timeout=STOP_S)
        for line in output.splitlines():
            event: dict[str, Any] = json.loads(line)
            self.moved[event.get("stan", "")] += event.get("effect_minor", 0)


@command("demo", example="pos-engine demo\npos-engine demo --lang zh\npos-engine demo --json")
def demo(output: Output) -> Exit:
    """Show the whole thing once: sign on, sell, refund, lose the link, reverse, and compare the books.

    A terminal and a simulated acquirer in two processes, over TCP, with every message decoded. Nothing is left behind.
    """
    stage = Stage(output)
    stage.introduce(INTRODUCTION)
    with tempfile.TemporaryDirectory(prefix="pos-engine-demo-") as folder, _host() as host:
        with _terminal(Path(folder), host, output, stage) as terminal:
            as_told = _play(terminal, stage)
            history = terminal.status(recent=100).recent
        host.stop()
    believed = Counter({line.stan: line.moved_minor for line in history if line.moved_minor})
    agree = believed == +host.moved or believed == Counter({k: v for k, v in host.moved.items() if v})
    stage.books(BOOKS, _rows(history, host), AGREED if agree else DIFFERED)
    stage.end(agree=agree)
    return Exit.DONE if agree and as_told else Exit.NOTHING_FOUND


def _play(terminal: Terminal, stage: Stage) -> bool:
    """Play the acts; whether each ended as it is told."""
    stage.act(SIGN_ON)
    signed_on = stage.outcome(terminal.sign_on())
    stage.act(SALE)
    sold = stage.outcome(terminal.sale(SOLD))
    if not isinstance(sold, Approved):
        return False
    stage.act(REFUND)
    returned = stage.outcome(terminal.refund(RETURNED, original=sold.reference))
    stage.act(LOSS)
    lost = stage.outcome(terminal.sale(LOST))
    stage.act(REVERSAL)
    done: list[Outcome] = [stage.outcome(each) for each in terminal.tick().done]
    approvals = (signed_on, returned, *done)
    return all(isinstance(each, Approved) for each in approvals) and isinstance(lost, InDoubt) and len(done) == 1


def _rows(history: tuple[Line, ...], host: Host) -> list[tuple[Line, int]]:
    """Pair each request that is about money, oldest first, with what the host has booked under its STAN."""
    return [(line, host.moved[line.stan]) for line in reversed(history) if line.about_money]


@contextmanager
def _host() -> Iterator[Host]:
    """Start the acquirer in a process of its own, wait until it listens, and make sure that it ends."""
    command_line = [sys.executable, "-m", "pos_engine", "acquirer", "--port", "0", "--json"]
    process = subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this very program
    with process:
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            if not line:
                reason = "the simulated acquirer did not start"
                raise PosError(reason)
            yield Host(process, int(json.loads(line)["port"]))
        finally:
            process.kill()


def _terminal(folder: Path, host: Host, output: Output, stage: Stage) -> Terminal:
    from pos_engine.cli.start import write_simulated
    from pos_engine.config import load
    from pos_engine.terminal import Terminal

    path = write_simulated(folder, output)
    address = f"tcp://127.0.0.1:{host.port}"
    return Terminal.open(load(path, overrides={"acquirer.address": address}, environment={}), trace=stage)
