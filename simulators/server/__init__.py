"""The simulated host where it is reached: its doors, and what goes on behind them.

capacity    how many connections there may be
house       what all connections of a host share
dialogue    requests and answers behind a framer
connection  what carries them over TCP
protection  the host's end of TLS
tunnel      the HTTPS tunnel
tty         a serial line
listeners   the doors, and how they are opened
serving     one host behind its doors
background  the same in a thread of its own
"""

from __future__ import annotations

from simulators.config import LOOPBACK
from simulators.server.background import BackgroundServer
from simulators.server.capacity import ask_for_files
from simulators.server.serving import serve

__all__ = ["LOOPBACK", "BackgroundServer", "ask_for_files", "serve"]
