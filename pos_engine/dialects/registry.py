"""The dialects that come with the engine, by the name a configuration uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pos_engine.dialects.iso87 import ISO87
from pos_engine.dialects.unionpay import UNIONPAY, with_scheme
from pos_engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pos_engine.dialects.base import Dialect

DIALECTS: Final[Mapping[str, Dialect]] = {dialect.name: dialect for dialect in (UNIONPAY, ISO87)}


def dialect_of(name: str, key_scheme: str | None = None) -> Dialect:
    """Return the dialect of an acquirer, made for its key scheme; without one, for the dialect's usual scheme.

    Raises `UsageError` for names that are not listed.
    """
    dialect = DIALECTS.get(name)
    if dialect is None:
        reason = f"there is no dialect of that name; there are: {', '.join(DIALECTS)}"
        raise UsageError(reason)
    if key_scheme is None or (dialect.scheme is not None and dialect.scheme.name == key_scheme):
        return dialect
    if key_scheme not in dialect.schemes:
        reason = f"dialect {name} has no key scheme of that name; it has: {', '.join(dialect.schemes)}"
        raise UsageError(reason)
    return with_scheme(key_scheme)


KEY_SCHEMES: Final = tuple(dict.fromkeys(name for dialect in DIALECTS.values() for name in dialect.schemes))
"""The names of all key schemes."""
