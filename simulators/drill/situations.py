"""The table of situations: what happens to a sale, what the cashier may do about it, and what each act is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulators.drill.host_situations import BALANCE, DEMANDED, KEYS, NO_ANSWER
from simulators.drill.line_situations import DEAD, EXPIRED, GAP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.drill.acts import Situation

SITUATIONS: Final[Mapping[str, Situation]] = {
    each.name: each for each in (EXPIRED, GAP, DEAD, DEMANDED, NO_ANSWER, BALANCE, KEYS)
}
"""The situations by name, in the order of a whole drill."""
