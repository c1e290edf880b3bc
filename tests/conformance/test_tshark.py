"""Wireshark as an independent judge, on captures written by dpkt.

Our own dissector, made from the dialect, must read a UnionPay conversation as `wire.describe` does; Wireshark's own
ISO 8583 dissector, which shares no code and no table with us, must read our ISO 8583:1987 messages as we meant them.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import dpkt
import pytest

from pos_engine.dialects.base import Packet, pack
from pos_engine.dialects.registry import DIALECTS
from pos_engine.dialects.unionpay import UNIONPAY
from pos_engine.dialects.wireshark import dissector
from pos_engine.framing.tpdu import Tpdu
from pos_engine.wire import codec
from pos_engine.wire.describe import masked
from pos_engine.wire.field import Content, Encoding, FieldSpec, Length
from pos_engine.wire.message import Message
from pos_engine.wire.spec import MessageSpec, table
from tests.support import specs
from tests.vectors.messages import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pos_engine.values import Language

pytestmark = pytest.mark.needs("tshark")

PORT = 9583
CARD = "6229990000000012"
TRACK = f"{CARD}D49122010000000000000"
PIN_BLOCK = "0123456789ABCDEF"


def capture(path: Path, segments: Sequence[tuple[bool, bytes]], port: int = PORT) -> Path:
    """Write TCP segments of one connection, each with whether the terminal sent it."""
    ends = ((b"\x7f\x00\x00\x01", 40000), (b"\x7f\x00\x00\x02", port))
    following = [1, 1]
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for place, (sent, data) in enumerate(segments):
            source, target = ends if sent else ends[::-1]
            flags = dpkt.tcp.TH_ACK | dpkt.tcp.TH_PUSH
            tcp = dpkt.tcp.TCP(
                sport=source[1],
                dport=target[1],
                seq=following[not sent],
                ack=following[sent],
                flags=flags,
                data=data,
            )
            ip = dpkt.ip.IP(src=source[0], dst=target[0], p=dpkt.ip.IP_PROTO_TCP, data=tcp, len=40 + len(data))
            frame = dpkt.ethernet.Ethernet(type=dpkt.ethernet.ETH_TYPE_IP, data=ip)
            writer.writepkt(bytes(frame), 1_700_000_000 + place / 10)
            following[not sent] += len(data)
    return path


def tshark(path: Path, *arguments: str) -> list[dict[str, Any]]:
    """The layers of every packet, as tshark prints them."""
    done = subprocess.run(
        ["tshark", "-r", str(path), *arguments, "-T", "json", "--no-duplicate-keys"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "Lua" not in done.stderr, done.stderr
    packets: list[dict[str, Any]] = json.loads(done.stdout)
    return [packet["_source"]["layers"] for packet in packets]


def framed(packet: Packet) -> bytes:
    payload = packet.encode()
    return len(payload).to_bytes(2) + payload


def conversation() -> list[tuple[bool, Packet]]:
    tpdu, back = Tpdu.decode(bytes.fromhex("6000030000")), Tpdu.decode(bytes.fromhex("6000000003"))
    request = Message(
        "0200",
        {
            2: CARD,
            3: "000000",
            4: "000000001234",
            11: "000002",
            14: "4912",
            22: "051",
            23: "001",
            25: "00",
            26: "12",
            35: TRACK,
            41: "T0000001",
            42: "M00000000000001",
            49: "156",
            52: PIN_BLOCK,
            53: "2600000000000000",
            55: "9F2608ACF958C80FF744039F27018095050000000000",
            60: "22000001000500",
        },
    )
    answer = Message(
        "0210",
        {
            3: "000000",
            4: "000000001234",
            11: "000002",
            12: "101112",
            13: "1231",
            32: "00096500",
            37: "000000000017",
            38: "A1B2C3",
            39: "51",
            41: "T0000001",
            42: "M00000000000001",
            44: "03080000   48025800   ",
            49: "156",
            54: "1002156C000000009999",
            60: "220000010005",
            63: "CUP",
        },
    )
    mac = b"5B7C91A0"
    return [
        (True, pack(UNIONPAY, request, tpdu=tpdu, header="603200320000", mac=lambda _: mac)),
        (False, pack(UNIONPAY, answer, tpdu=back, header="603200320300", mac=lambda _: mac)),
    ]


def test_our_dissector_reads_a_sale_as_we_do(tmp_path: Path) -> None:
    program = tmp_path / "unionpay.lua"
    program.write_text(dissector(UNIONPAY, PORT))
    said = conversation()
    path = capture(tmp_path / "sale.pcap", [(sent, framed(packet)) for sent, packet in said])
    for layers, (_, packet) in zip(tshark(path, "-X", f"lua_script:{program}"), said, strict=True):
        seen = layers["pos_unionpay"]
        assert packet.tpdu is not None
        assert (seen["pos_unionpay.tpdu"], seen["pos_unionpay.header"]) == (
            packet.tpdu.encode().hex(),
            packet.header,
        )
        assert seen["pos_unionpay.mti"] == packet.message.mti
        assert int(seen["pos_unionpay.length"]) == len(packet.encode())
        fields = {
            key.removeprefix("pos_unionpay.f"): value
            for key, value in seen.items()
            if key.startswith("pos_unionpay.f") and not key.endswith("_tree")
        }
        assert fields == masked(packet.message, UNIONPAY.spec)
        assert seen["pos_unionpay.f60_tree"]["pos_unionpay.p60_2"] == "000001"
        text = json.dumps(seen)
        assert not any(secret in text for secret in (CARD, TRACK, PIN_BLOCK))


def test_our_dissector_says_what_code_points_mean_in_either_language(tmp_path: Path) -> None:
    path = capture(tmp_path / "sale.pcap", [(sent, framed(packet)) for sent, packet in conversation()])
    languages: tuple[tuple[Language, str], ...] = (("en", "51 (insufficient funds)"), ("zh", "51 (可用余额不足)"))
    for language, words in languages:
        program = tmp_path / f"{language}.lua"
        program.write_text(dissector(UNIONPAY, PORT, language), encoding="utf-8")
        done = subprocess.run(
            ["tshark", "-r", str(path), "-X", f"lua_script:{program}", "-V"], capture_output=True, check=True
        )
        assert words in done.stdout.decode()
        assert ("(sale)" if language == "en" else "(消费)") in done.stdout.decode()


def test_our_dissector_puts_frames_together_and_parts_them(tmp_path: Path) -> None:
    program = tmp_path / "unionpay.lua"
    program.write_text(dissector(UNIONPAY, 7000))
    frame = framed(conversation()[0][1])
    pieces = [(True, frame[:1]), (True, frame[1:30]), (True, frame[30:] + frame)]
    path = capture(tmp_path / "pieces.pcap", pieces, port=7000)
    done = subprocess.run(
        ["tshark", "-r", str(path), "-X", f"lua_script:{program}", "-T", "fields", "-e", "pos_unionpay.f11"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["000002,000002"]


def test_our_dissector_reads_every_captured_frame(tmp_path: Path) -> None:
    program = tmp_path / "unionpay.lua"
    program.write_text(dissector(UNIONPAY, PORT))
    whole = [
        sample
        for sample in SAMPLES
        if not sample.negative and not sample.decode["notes"] and sample.decode["length"] and sample.decode["header"]
    ]
    assert len(whole) > 15
    path = capture(tmp_path / "all.pcap", [(True, sample.raw) for sample in whole])
    for layers, sample in zip(tshark(path, "-X", f"lua_script:{program}"), whole, strict=True):
        seen = layers["pos_unionpay"]
        expected = masked(Message(sample.decode["mti"], sample.fields), UNIONPAY.spec)
        # A string of blanks, or none at all, is shown without them.
        assert {number: value.strip() for number, value in expected.items()} == {
            number: seen[f"pos_unionpay.f{number}"].strip() for number in expected
        }, sample.name


@pytest.mark.parametrize("cut", [3, 8, 14, 16, 22, 30, 60, 100])
def test_our_dissector_survives_a_message_that_breaks_off(tmp_path: Path, cut: int) -> None:
    program = tmp_path / "unionpay.lua"
    program.write_text(dissector(UNIONPAY, PORT))
    body = framed(conversation()[0][1])[2:cut]
    path = capture(tmp_path / "cut.pcap", [(True, len(body).to_bytes(2) + body)])
    (layers,) = tshark(path, "-X", f"lua_script:{program}")
    assert "pos_unionpay" in layers
    assert "Malformed" in json.dumps(layers) or "malformed" in json.dumps(layers)


def numeric(number: int, size: int, prefix: int = 0, content: Content = Content.N) -> FieldSpec:
    return specs.field(number, content, Length(size, prefix), Encoding.ASCII, Encoding.ASCII)


ISO_1987 = MessageSpec(
    "iso 8583:1987",
    mti=Encoding.ASCII,
    bitmap=Encoding.ASCII,
    bitmaps=2,
    fields=table(
        numeric(2, 19, 2),
        numeric(3, 6),
        numeric(4, 12),
        numeric(7, 10),
        numeric(11, 6),
        numeric(12, 6),
        numeric(13, 4),
        numeric(14, 4),
        numeric(18, 4),
        numeric(22, 3),
        numeric(25, 2),
        numeric(32, 11, 2),
        numeric(37, 12, content=Content.AN),
        numeric(38, 6, content=Content.AN),
        numeric(39, 2, content=Content.AN),
        numeric(41, 8, content=Content.ANS),
        numeric(42, 15, content=Content.ANS),
        numeric(43, 40, content=Content.ANS),
        numeric(48, 999, 3, content=Content.ANS),
        numeric(49, 3),
        numeric(60, 999, 3, content=Content.ANS),
        numeric(70, 3),
        numeric(90, 42),
        numeric(102, 28, 2, content=Content.ANS),
        numeric(128, 16, content=Content.AN),
    ),
)
FIRST = Message(
    "0200",
    {
        2: CARD,
        3: "000000",
        4: "000000001234",
        7: "1231101112",
        11: "000002",
        12: "101112",
        13: "1231",
        14: "4912",
        18: "5411",
        22: "012",
        25: "00",
        32: "00096500",
        41: "T0000001",
        42: "M00000000000001",
        43: "A SHOP".ljust(38) + "CN",
        48: "private",
        49: "156",
        60: "22000001000500",
    },
)
SECOND = Message(
    "0400",
    {
        **{number: FIRST[number] for number in (2, 3, 4, 11)},
        37: "000000000017",
        38: "A1B2C3",
        39: "00",
        70: "301",
        90: "0200000002123110111200000096500" + "0" * 11,
        102: "account 1",
    },
)
OPTIONS = (
    "-d",
    f"tcp.port=={PORT},iso8583",
    "-o",
    "iso8583.len_endian:Big endian",
    "-o",
    "iso8583.charset:Digits represented as ASCII Characters",
    "-o",
    "iso8583.binencode:Bin data represented as Hex Ascii characters",
)


def judged(layers: dict[str, Any]) -> dict[str, str]:
    """The fields that Wireshark's own dissector found, by number as text."""
    found: dict[str, str] = {}
    stack: list[Any] = [layers["iso8583"]]
    while stack:
        node = stack.pop()
        for key, value in node.items() if isinstance(node, dict) else ():
            if isinstance(value, dict):
                stack.append(value)
            elif key.startswith("iso8583.bit") and key != "iso8583.bit1":
                found[key.removeprefix("iso8583.bit")] = value
    return found


def specs_to_judge() -> list[Any]:
    own = [pytest.param(ISO_1987, id="tests")]
    shipped = DIALECTS.get("iso87")
    if shipped is not None and shipped.spec.bitmap is Encoding.ASCII:
        own.append(pytest.param(shipped.spec, id="iso87"))
    return own


@pytest.mark.parametrize("spec", specs_to_judge())
@pytest.mark.parametrize("message", [FIRST, SECOND], ids=["request", "reversal"])
def test_wireshark_reads_our_iso_8583_messages_field_for_field(
    tmp_path: Path, spec: MessageSpec, message: Message
) -> None:
    known = {number: value for number, value in message.items() if number in spec.fields}
    body = codec.encode(Message(message.mti, known), spec)
    path = capture(tmp_path / "iso.pcap", [(True, len(body).to_bytes(2) + body)])
    (layers,) = tshark(path, *OPTIONS)
    assert layers["iso8583"]["iso8583.mti"] == message.mti
    # Wireshark drops the blanks that fill a field.
    assert {number: value.strip() for number, value in judged(layers).items()} == {
        str(number): value.strip() for number, value in known.items()
    }
