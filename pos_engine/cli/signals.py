"""What SIGTERM and SIGHUP do to a command that runs until somebody ends it: it ends in order, as by Ctrl-C.

They are what a service manager sends, and a terminal window that is closed. Left alone, they end a process at once, and
what it has made stays behind.
"""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Final, NoReturn

from pos_engine.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDINGS: Final = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Let the first of these signals leave the `with` as `SystemExit`, with the code of an interruption.

    A second one changes nothing: what is being taken away is taken away. A signal that was ignored before, as by nohup,
    stays so. For the main thread.
    """
    taken = [each for each in _ENDINGS if signal.getsignal(each) is signal.SIG_DFL]

    def end(*_: object) -> NoReturn:
        for each in taken:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(Exit.INTERRUPTED)

    for each in taken:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)
