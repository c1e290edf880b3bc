"""The host's brain: one request's bytes in, one reply out. Pure: link, clock and randomness belong to whoever runs it.

host          what happens to a request, step by step, and in which order
enrolment     terminals, their master keys, the working keys a sign-on hands out
management    sign-on, sign-off, echo test
downloads     parameters, public keys, applications, card ranges; status uploads
issuer        cards: who may pay, PIN and tries
transactions  sale, void, refund and balance against the ledger
originals     what a void or a refund acts on
reversals     what takes a transaction back
answers       the elements of an answer
events        what is told about each request
"""

from __future__ import annotations

from simulators.acquirer.downloads import Files
from simulators.acquirer.enrolment import Enrolled, terminal_master_key
from simulators.acquirer.events import Event, Fate, Reply, What
from simulators.acquirer.host import Acquirer

__all__ = [
    "Acquirer",
    "Enrolled",
    "Event",
    "Fate",
    "Files",
    "Reply",
    "What",
    "terminal_master_key",
]
