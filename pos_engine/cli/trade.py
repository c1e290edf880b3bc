"""Trade: the commands that move money. What each prints is what the journal already holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from pos_engine.cli.border import command, opened
from pos_engine.cli.exits import Exit, NothingFoundError, exit_of
from pos_engine.cli.output import is_partial, outcome_advice, outcome_json, outcome_line
from pos_engine.errors import UsageError
from pos_engine.values import Amount

if TYPE_CHECKING:
    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.dialects.base import OriginalRef
    from pos_engine.flow.outcomes import Outcome
    from pos_engine.terminal import Terminal

_card = click.option("--card", metavar="NAME", help="Which simulated card, where the reader is simulated.")
_key = click.option(
    "--key", metavar="KEY", help="Your own id of this request, never a card number: used again, nothing is done twice."
)
_batch = click.option("--batch", metavar="N", help="The sale's batch; default the present one.")


@command(
    "sale",
    configured=True,
    example="pos-engine sale 12.34\npos-engine sale 9.51 --card poor --json\n"
    "pos-engine sale 12.34 --key order-17 --expected 12.34\npos-engine sale 12.34 --repeat 000002",
)
@click.argument("amount")
@_card
@_key
@click.option("--expected", metavar="AMOUNT", help="What the till says is due: another AMOUNT is refused.")
@click.option("--allow-partial", is_flag=True, help="Let the acquirer approve less than AMOUNT; its approval says so.")
@click.option("--goods", metavar="TEXT", default="", help="What is sold: shown where it has to be confirmed again.")
@click.option("--yes", "is_confirmed", is_flag=True, help="Confirm what would be asked: goods and amount, a repeat.")
@click.option("--repeat", metavar="STAN", help="Repeat this sale, which the host refused until a sign-on.")
@click.option("--batch", metavar="N", help="With --repeat: the refused sale's batch; default the present one.")
def sale(
    output: Output,
    settings: Settings,
    *,
    amount: str,
    card: str | None,
    key: str | None,
    expected: str | None,
    allow_partial: bool,
    goods: str,
    is_confirmed: bool,
    repeat: str | None,
    batch: str | None,
) -> Exit:
    """Sell: take a card and ask the acquirer for AMOUNT, in yuan.

    Signs on first when that is due, and works off what is owed. Where that fails, session.contingency says what is done
    about it, and the sale goes on only once AMOUNT was confirmed again. A sale that the host refuses until a sign-on is
    offered again after it. A sale whose answer stays away is in doubt (exit code 4): it is reversed by itself, before
    anything else is sent. With --key, the same command again tells the first outcome instead of selling twice. Only
    with --allow-partial does less than AMOUNT count as done (exit code 0).
    """
    from pos_engine.cli.counter import ConsoleFace
    from pos_engine.merchant.till import Till, is_refused

    asked = _money(amount)
    due = _money(expected) if expected is not None else None
    refused = _named(repeat, batch, "--repeat") if repeat is not None else None
    _check_repeat(repeat, batch, others=(key, expected, goods, allow_partial, is_confirmed))
    with opened(settings, output, overrides=_card_override(card)) as terminal:
        if refused is not None:
            outcome = terminal.repeat(refused[0], batch=refused[1], expected=asked)
        else:
            till = Till(terminal, ConsoleFace(output, is_confirmed))
            outcome = till.sale(asked, goods=goods, key=key, expected=due, allow_partial=allow_partial)
    code = tell(output, outcome)
    if is_refused(outcome):
        output.note(f"pos-engine sale {amount} --repeat {outcome.stan} --batch {outcome.batch}")
    # The key's first sale was allowed to be of a part; whoever asks now did not say so.
    return Exit.NOTHING_FOUND if is_partial(outcome) and not allow_partial else code


@command("void", configured=True, example="pos-engine void 000002\npos-engine void 2 --key undo-17 --json")
@click.argument("stan")
@_batch
@_card
@_key
def void(
    output: Output, settings: Settings, *, stan: str, batch: str | None, card: str | None, key: str | None
) -> Exit:
    """Undo an approved sale of the present batch, all of it.

    STAN is the sale's, as its receipt shows it. The card that paid is asked for again. A void whose answer stays away
    is in doubt (exit code 4) and is reversed like a sale: then the sale stands. What is in a closed batch, or was given
    back in part, is refunded instead. The command line asks no supervisor: whoever may run it may void. A program that
    embeds the terminal hands one to it.
    """
    number, wanted = _named(stan, batch, "STAN")
    with opened(settings, output, overrides=_card_override(card)) as terminal:
        return tell(output, terminal.void(_original(terminal, number, wanted), key=key))


@command(
    "refund",
    configured=True,
    example="pos-engine refund 5.00 --original 000002\n"
    "pos-engine refund 5.00 --original 2 --batch 000001 --key back-17",
)
@click.argument("amount")
@click.option("--original", metavar="STAN", required=True, help="The sale's STAN, field 11, as its receipt shows it.")
@_batch
@_card
@_key
def refund(
    output: Output,
    settings: Settings,
    *,
    amount: str,
    original: str,
    batch: str | None,
    card: str | None,
    key: str | None,
) -> Exit:
    """Give back AMOUNT, all or part of an earlier sale of this terminal.

    A refund whose answer stays away is in doubt (exit code 4) and is never repeated by itself: ask the acquirer. The
    command line asks no supervisor: whoever may run it may refund.
    """
    asked = _money(amount)
    number, wanted = _named(original, batch, "--original")
    with opened(settings, output, overrides=_card_override(card)) as terminal:
        return tell(output, terminal.refund(asked, original=_original(terminal, number, wanted), key=key))


@command("balance", configured=True, example="pos-engine balance\npos-engine balance --card poor --json")
@_card
def balance(output: Output, settings: Settings, *, card: str | None) -> Exit:
    """Ask for a card's balance.

    No money is at stake: without an answer nothing is owed, and the exit code is 5.
    """
    with opened(settings, output, overrides=_card_override(card)) as terminal:
        return tell(output, terminal.balance())


def tell(output: Output, outcome: Outcome) -> Exit:
    """Print an outcome and return its exit code."""
    if output.as_json:
        output.json(outcome_json(outcome))
    else:
        output.line(outcome_line(outcome, output.language))
        advice = outcome_advice(outcome, output.language)
        if advice is not None:
            output.line(advice)
    return exit_of(outcome)


def _check_repeat(repeat: str | None, batch: str | None, *, others: tuple[object, ...]) -> None:
    """Refuse what would be ignored: a repeat is of what was refused, as it was ordered."""
    if repeat is not None and any(others):
        reason = "--repeat takes AMOUNT, --batch and --card, and nothing else: the rest is as it was ordered"
        raise UsageError(reason)
    if repeat is None and batch is not None:
        reason = "--batch goes with --repeat"
        raise UsageError(reason)


def _named(stan: str, batch: str | None, what: str) -> tuple[str, str | None]:
    """Read the numbers by which a sale is named."""
    return _six_digits(what, stan), _six_digits("--batch", batch) if batch is not None else None


def _original(terminal: Terminal, stan: str, batch: str | None) -> OriginalRef:
    reference = terminal.find_sale(stan, batch)
    if reference is None:
        where = f"batch {batch}" if batch is not None else "the present batch"
        reason = f"no approved sale with STAN {stan} in {where}"
        raise NothingFoundError(reason)
    return reference


def _money(text: str) -> Amount:
    amount = Amount.cny(text)
    if amount.minor == 0:
        reason = "the amount must be more than zero"
        raise UsageError(reason)
    return amount


def _six_digits(option: str, text: str) -> str:
    if re.fullmatch(r"[0-9]{1,6}", text) is None:
        reason = f"{option} takes up to six digits"
        raise UsageError(reason)
    return text.zfill(6)


def _card_override(name: str | None) -> dict[str, str]:
    return {"peripherals.card": name} if name is not None else {}
