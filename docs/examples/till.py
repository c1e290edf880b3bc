"""A till that takes cards: what an application around `pos_engine.Terminal` may look like.

The till knows orders by their numbers. The order's number is the idempotency key, so that a till which crashed, or a
cashier who presses twice, never charges twice. Reader and PIN pad stand for the devices of a real counter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pos_engine import Approved, Declined, InDoubt, UsageError
from pos_engine.crypto.pinblock import format0

if TYPE_CHECKING:
    from pos_engine import Amount, Card, Outcome, Pan, PinBlock, Terminal
    from pos_engine.crypto.keys import WrappedKey
    from pos_engine.keystore.base import KeyStore


class StripeReader:
    """The slot at the counter."""

    def __init__(self) -> None:
        """Start empty."""
        self.card: Card | None = None

    def read(self, amount: Amount | None) -> Card:
        """Return the card that was swiped; without one the cardholder has walked away."""
        if self.card is None:
            reason = f"no card was swiped for {amount or 'the inquiry'}"
            raise UsageError(reason)
        return self.card


class CounterPad:
    """The PIN pad at the counter. A real one keeps the keys inside, and gives out the encrypted block alone."""

    def __init__(self, keys: KeyStore) -> None:
        """Take the keys it was loaded with."""
        self._keys = keys
        self.typed: str | None = None
        self.displayed: list[str] = []

    def pin_block(self, pan: Pan, amount: Amount | None, key: WrappedKey) -> PinBlock | None:
        """Show the amount, take the PIN and encrypt it; nothing when the cardholder just presses enter."""
        self.displayed.append(str(amount or "balance"))
        return self._keys.pin_block(key, format0(self.typed, pan)) if self.typed else None


@dataclass(frozen=True, slots=True)
class Slip:
    """What the till prints, and whether the goods may leave the shop."""

    lines: tuple[str, ...]
    paid: bool = False

    def __str__(self) -> str:
        """Return the text."""
        return "\n".join(self.lines)


class Till:
    """One till with one terminal."""

    def __init__(self, terminal: Terminal) -> None:
        """Take a terminal; whoever made it closes it."""
        self._terminal = terminal

    def checkout(self, order: str, total: Amount) -> Slip:
        """Charge an order. Asking again about an order tells how the first time ended."""
        return slip("SALE", self._terminal.sale(total, key=order, expected=total))

    def cancel(self, order: str) -> Slip:
        """Take an order back on the same day, all of it."""
        return slip("VOID", self._terminal.void(self._paid(order).reference, key=f"{order}/void"))

    def give_back(self, order: str, amount: Amount, *, slip_number: int = 1) -> Slip:
        """Pay back a part of an order; each part has a number of its own."""
        key = f"{order}/refund/{slip_number}"
        return slip("REFUND", self._terminal.refund(amount, original=self._paid(order).reference, key=key))

    def balance(self) -> str:
        """Tell a cardholder what is left on the card."""
        match self._terminal.balance():
            case Approved(balance=balance) if balance is not None:
                return str(balance)
            case Declined(code=code):
                return code.meaning.en
        return "unknown"

    def idle(self) -> float | None:
        """Do what is owed; tells in how many seconds to call again."""
        return self._terminal.tick().again_in_s

    def close_up(self) -> None:
        """End the day."""
        self._terminal.sign_off()

    def _paid(self, order: str) -> Approved:
        outcome = self._terminal.outcome(order)
        if not isinstance(outcome, Approved):
            reason = f"order {order} was not paid by card"
            raise UsageError(reason)
        return outcome


def slip(title: str, outcome: Outcome) -> Slip:
    """Put a slip together: nothing on it that a stranger may not read."""
    head = (title, f"amount  {outcome.amount}", f"card    {outcome.card}", f"STAN    {outcome.stan}")
    match outcome:
        case Approved(rrn=rrn, auth_code=auth_code):
            codes = [f"RRN     {rrn}", *([f"auth    {auth_code}"] if auth_code else [])]
            return Slip((*head, *codes, "APPROVED"), paid=True)
        case Declined(code=code):
            return Slip((*head, f"DECLINED {code.code}", code.meaning.en, code.action.en))
        case InDoubt(why=why, duty=duty):
            return Slip((*head, "NOT CONFIRMED - do not hand out the goods", why.en, duty.en))
