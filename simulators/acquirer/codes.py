"""The response codes this host uses, by name. What each means, and whether it approves, is in the dialect's table."""

from __future__ import annotations

import enum


class Code(enum.StrEnum):
    """A value of field 39."""

    APPROVED = "00"
    WRONG_MERCHANT = "03"
    APPROVED_IN_PART = "10"
    INVALID_TRANSACTION = "12"
    INVALID_AMOUNT = "13"
    UNKNOWN_CARD = "14"
    NO_ORIGINAL = "25"
    FORMAT_ERROR = "30"
    LAST_PIN_TRY_WRONG = "38"
    UNSUPPORTED = "40"
    NOT_ENOUGH_MONEY = "51"
    EXPIRED_CARD = "54"
    WRONG_PIN = "55"
    WRONG_AMOUNT = "64"
    PIN_BLOCKED = "75"
    SIGN_ON_FIRST = "77"
    DUPLICATE = "94"
    TERMINAL_UNKNOWN = "97"
    UNREADABLE_PIN = "99"
    WRONG_MAC = "A0"
