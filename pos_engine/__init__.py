"""The terminal side of ISO 8583: a POS client that can neither lose a charge nor take it twice.

    from pos_engine import Amount, Terminal

    with Terminal.open("pos-engine.toml") as terminal:
        outcome = terminal.sale(Amount.cny("12.34"))        # Approved | Declined | InDoubt

Names are imported when they are first used, so that a program pays only for the parts it takes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.clock import Clock, Instant, ManualClock
    from pos_engine.config import Config, load
    from pos_engine.dialects.base import Kind, OriginalRef, ResponseCode
    from pos_engine.errors import (
        ConfigError,
        JournalFault,
        KeyFault,
        LinkError,
        NoAnswer,
        NotSent,
        NotSignedOn,
        PosError,
        ProtocolError,
        UsageError,
    )
    from pos_engine.flow.outcomes import Approved, Declined, InDoubt, Outcome
    from pos_engine.merchant.till import Till, TillFace
    from pos_engine.peripherals.base import CardReader, PinPad
    from pos_engine.session.contingency import Contingency
    from pos_engine.status import Status, Tick
    from pos_engine.terminal import Terminal
    from pos_engine.trace import Trace
    from pos_engine.values import CNY, Amount, Card, Currency, Pan, PinBlock, Text

__version__: Final = "0.1.0"

_HOMES: Final[Mapping[str, tuple[str, ...]]] = {
    "pos_engine.clock": ("Clock", "Instant", "ManualClock"),
    "pos_engine.config": ("Config", "load"),
    "pos_engine.dialects.base": ("Kind", "OriginalRef", "ResponseCode"),
    "pos_engine.errors": (
        "ConfigError",
        "JournalFault",
        "KeyFault",
        "LinkError",
        "NoAnswer",
        "NotSent",
        "NotSignedOn",
        "PosError",
        "ProtocolError",
        "UsageError",
    ),
    "pos_engine.flow.outcomes": ("Approved", "Declined", "InDoubt", "Outcome"),
    "pos_engine.merchant.till": ("Till", "TillFace"),
    "pos_engine.peripherals.base": ("CardReader", "PinPad"),
    "pos_engine.session.contingency": ("Contingency",),
    "pos_engine.status": ("Status", "Tick"),
    "pos_engine.terminal": ("Terminal",),
    "pos_engine.trace": ("Trace",),
    "pos_engine.values": ("CNY", "Amount", "Card", "Currency", "Pan", "PinBlock", "Text"),
}
_HOME_OF: Final = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "CNY",
    "Amount",
    "Approved",
    "Card",
    "CardReader",
    "Clock",
    "Config",
    "ConfigError",
    "Contingency",
    "Currency",
    "Declined",
    "InDoubt",
    "Instant",
    "JournalFault",
    "KeyFault",
    "Kind",
    "LinkError",
    "ManualClock",
    "NoAnswer",
    "NotSent",
    "NotSignedOn",
    "OriginalRef",
    "Outcome",
    "Pan",
    "PinBlock",
    "PinPad",
    "PosError",
    "ProtocolError",
    "ResponseCode",
    "Status",
    "Terminal",
    "Text",
    "Tick",
    "Till",
    "TillFace",
    "Trace",
    "UsageError",
    "load",
]


def __getattr__(name: str) -> object:
    """Import a public name on its first use."""
    if name not in _HOME_OF:
        reason = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(reason)
    return getattr(importlib.import_module(_HOME_OF[name]), name)
