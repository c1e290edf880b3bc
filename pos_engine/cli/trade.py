"""Trade: the commands that move money. What each prints is what the journal already holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from pos_engine.cli.border import command, opened
from pos_engine.cli.exits import Exit, NothingFoundError, exit_of
from pos_engine.cli.output import outcome_advice, outcome_json, outcome_line
from pos_engine.errors import UsageError
from pos_engine.values import Amount

if TYPE_CHECKING:
    from pos_engine.cli.border import Settings
    from pos_engine.cli.output import Output
    from pos_engine.flow.outcomes import Outcome

_card = click.option("--card", metavar="NAME", help="Which simulated card, where the reader is simulated.")


@command("sale", configured=True, example="pos-engine sale 12.34\npos-engine sale 9.51 --card poor --json")
@click.argument("amount")
@_card
def sale(output: Output, settings: Settings, *, amount: str, card: str | None) -> Exit:
    """Sell: take a card and ask the acquirer for AMOUNT, in yuan.

    Signs on first when that is due, and works off what is owed. A sale whose answer stays away is in doubt (exit code
    4): it is reversed by itself, before anything else is sent.
    """
    asked = _money(amount)
    with opened(settings, output, overrides=_card_override(card)) as terminal:
        return tell(output, terminal.sale(asked))


@command(
    "refund",
    configured=True,
    example="pos-engine refund 5.00 --original 000002\npos-engine refund 5.00 --original 2 --batch 000001",
)
@click.argument("amount")
@click.option("--original", metavar="STAN", required=True, help="The sale's STAN, field 11, as its receipt shows it.")
@click.option("--batch", metavar="N", help="The sale's batch; default the present one.")
@_card
def refund(
    output: Output, settings: Settings, *, amount: str, original: str, batch: str | None, card: str | None
) -> Exit:
    """Give back AMOUNT, all or part of an earlier sale of this terminal.

    A refund whose answer stays away is in doubt (exit code 4) and is never repeated by itself: ask the acquirer.
    """
    asked = _money(amount)
    stan = _six_digits("--original", original)
    wanted = _six_digits("--batch", batch) if batch is not None else None
    with opened(settings, output, overrides=_card_override(card)) as terminal:
        reference = terminal.find_sale(stan, wanted)
        if reference is None:
            where = f"batch {wanted}" if wanted is not None else "the present batch"
            reason = f"no approved sale with STAN {stan} in {where}"
            raise NothingFoundError(reason)
        return tell(output, terminal.refund(asked, original=reference))


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
