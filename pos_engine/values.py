"""The words of the trade as types. Secrets mask themselves: `repr`, `str` and `format` never show them, parsed or not.

A secret's clear value is behind one method, `reveal()`, so that every use of it can be found by name.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn, Self

from pos_engine import limits
from pos_engine.errors import UsageError

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Text:
    """A text that a person may see, in both languages."""

    en: str
    zh: str

    def __str__(self) -> str:
        """Return the English text; `say` chooses."""
        return self.en

    def say(self, language: Language) -> str:
        """Return the text in `language`."""
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True)
class Currency:
    """An ISO 4217 currency: numeric code (field 49), letters, digits after the point."""

    numeric: str
    alpha: str
    exponent: int


CNY: Final = Currency("156", "CNY", 2)
CURRENCIES: Final = {
    currency.numeric: currency
    for currency in (
        CNY,
        Currency("344", "HKD", 2),
        Currency("392", "JPY", 0),
        Currency("446", "MOP", 2),
        Currency("840", "USD", 2),
        Currency("978", "EUR", 2),
    )
}


@dataclass(frozen=True, slots=True, order=True)
class Amount:
    """Money as an integer count of the currency's smallest unit (fen for CNY). Never a float."""

    minor: int
    currency: Currency = CNY

    def __post_init__(self) -> None:
        """Refuse what field 4 cannot carry."""
        if not 0 <= self.minor <= limits.AMOUNT_MINOR_MAX:
            reason = "an amount has at most twelve digits and no sign"
            raise UsageError(reason)

    @classmethod
    def parse(cls, text: str, currency: Currency = CNY) -> Self:
        """Read plain decimal text such as "12.34"; signs, spaces, exponents and foreign digits are refused."""
        match = re.fullmatch(r"([0-9]{1,12})(?:\.([0-9]+))?", text)
        if match is None or len(match[2] or "") > currency.exponent:
            reason = f"an amount in {currency.alpha} is written like {'12.34' if currency.exponent else '1234'}"
            raise UsageError(reason)
        return cls(int(match[1] + (match[2] or "").ljust(currency.exponent, "0")), currency)

    @classmethod
    def cny(cls, text: str) -> Self:
        """Read an amount in yuan: `Amount.cny("12.34")`."""
        return cls.parse(text, CNY)

    def __str__(self) -> str:
        """Return for example "12.34 CNY"."""
        digits = str(self.minor).rjust(self.currency.exponent + 1, "0")
        whole, part = digits[: len(digits) - self.currency.exponent], digits[len(digits) - self.currency.exponent :]
        return f"{whole}.{part} {self.currency.alpha}" if part else f"{whole} {self.currency.alpha}"

    @property
    def digits(self) -> str:
        """The twelve digits of field 4."""
        return f"{self.minor:012d}"


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds: the smallest unit as in `Amount`, but a debt is negative."""

    minor: int
    currency: Currency = CNY

    def __str__(self) -> str:
        """Return for example "-12.34 CNY"."""
        return f"{'-' if self.minor < 0 else ''}{Amount(abs(self.minor), self.currency)}"


class _Secret:
    """What all secrets share: a mask in every rendering, comparison in constant time, no pickling."""

    __slots__ = ("_clear",)

    def __init__(self, clear: bytes) -> None:
        self._clear = clear

    def _mask(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._mask()})"

    def __str__(self) -> str:
        return self._mask()

    def __format__(self, spec: str) -> str:
        return format(self._mask(), spec)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and hmac.compare_digest(self._clear, other._clear)

    def __hash__(self) -> int:
        return hash((type(self), self._clear))

    def __reduce__(self) -> NoReturn:
        reason = "a secret is not pickled"
        raise TypeError(reason)


class Pan(_Secret):
    """A card number (primary account number, field 2). Shows at most the first six and last four digits."""

    __slots__ = ()

    def __init__(self, digits: str) -> None:
        """Take 12 to 19 digits; anything else is a `UsageError` that does not quote them."""
        if re.fullmatch(r"[0-9]{12,19}", digits) is None:
            reason = "a card number has 12 to 19 digits"
            raise UsageError(reason)
        super().__init__(digits.encode())

    def reveal(self) -> str:
        """Return the digits in clear."""
        return self._clear.decode()

    @property
    def masked(self) -> str:
        """First six and last four digits, stars between: the only form that is ever shown or kept."""
        return mask_pan(self.reveal())

    def _mask(self) -> str:
        return self.masked


def mask_pan(digits: str) -> str:
    """Mask a card number as PCI DSS 3.4.1 allows; what is too short to hide anything shows nothing."""
    if len(digits) < 13 or not digits.isascii() or not digits.isdigit():  # noqa: PLR2004 - 6 + 4 leave three hidden
        return "***"
    return digits[:6] + "*" * (len(digits) - 10) + digits[-4:]


class Track2(_Secret):
    """Track 2 equivalent data (field 35): card number, D, expiry YYMM, service code, discretionary data."""

    __slots__ = ()

    def __init__(self, data: str) -> None:
        """Take the track without sentinels, with `=` or `D` as separator."""
        data = data.upper().replace("=", "D")
        if re.fullmatch(r"[0-9]{12,19}D[0-9D]{0,24}", data) is None or len(data) > 37:  # noqa: PLR2004 - field 35
            reason = "track 2 is a card number, a separator and at most 37 characters in all"
            raise UsageError(reason)
        super().__init__(data.encode())

    def reveal(self) -> str:
        """Return the track in clear, `D` as separator."""
        return self._clear.decode()

    @property
    def pan(self) -> Pan:
        """The card number the track begins with."""
        return Pan(self.reveal().split("D", 1)[0])

    @property
    def expiry(self) -> str | None:
        """YYMM, or `None` when the track ends before it."""
        expiry = self.reveal().split("D", 1)[1][:4]
        return expiry if re.fullmatch(r"[0-9]{4}", expiry) else None


class PinBlock(_Secret):
    """An encrypted PIN block (field 52), 8 bytes, 16 with SM4 and AES.

    It is secret too: PCI PIN 4 forbids keeping it anywhere.
    """

    __slots__ = ()

    def reveal(self) -> bytes:
        """Return the encrypted block."""
        return self._clear


class EncipheredTrack(_Secret):
    """A track under the track key (fields 35 and 36): hex digits. It is secret too, most of it being in clear."""

    __slots__ = ()

    def __init__(self, digits: str) -> None:
        """Take 17 to 104 upper-case hex digits; anything else is a `UsageError` that does not quote them."""
        if re.fullmatch(r"[0-9A-F]{17,104}", digits) is None:
            reason = "an enciphered track has 17 to 104 hex digits"
            raise UsageError(reason)
        super().__init__(digits.encode())

    def reveal(self) -> str:
        """Return the digits as they travel."""
        return self._clear.decode()


class KeyBytes(_Secret):
    """A key in clear: 8, 16, 24 or 32 bytes."""

    __slots__ = ()

    def __init__(self, clear: bytes) -> None:
        """Take the key's bytes; another length is a `UsageError`."""
        if len(clear) not in {8, 16, 24, 32}:
            reason = "a key has 8, 16, 24 or 32 bytes"
            raise UsageError(reason)
        super().__init__(bytes(clear))

    def reveal(self) -> bytes:
        """Return the key in clear."""
        return self._clear


@dataclass(frozen=True, slots=True)
class Card:
    """What a card reader gave: the number, how it was read, and what only one request may carry.

    `entry` is the first two digits of field 22 (01 keyed, 02 stripe); `expiry` is YYMM.
    """

    pan: Pan
    entry: Literal["01", "02"]
    expiry: str | None = field(default=None, repr=False)
    track2: Track2 | None = None

    @classmethod
    def stripe(cls, track2: str) -> Self:
        """Make a swiped card of its track 2."""
        track = Track2(track2)
        return cls(track.pan, "02", track.expiry, track)

    @classmethod
    def keyed(cls, pan: str, expiry: str | None = None) -> Self:
        """Make a card of a typed number and its expiry (YYMM)."""
        if expiry is not None and re.fullmatch(r"[0-9]{2}(0[1-9]|1[0-2])", expiry) is None:
            reason = "an expiry is written YYMM"
            raise UsageError(reason)
        return cls(Pan(pan), "01", expiry)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the terminal is: terminal id (field 41, 8 characters) and merchant id (field 42, 15 characters)."""

    terminal: str
    merchant: str

    def __post_init__(self) -> None:
        """Refuse ids that do not fill their fields."""
        for name, text, size in (("terminal", self.terminal, 8), ("merchant", self.merchant, 15)):
            if len(text) != size or not text.isascii() or not text.isprintable():
                reason = f"a {name} id has {size} printable ASCII characters"
                raise UsageError(reason)
