"""Faults of a line, byte by byte: a seeded proxy between a terminal and its host, for TCP and for serial lines.

    TcpProxy(("127.0.0.1", 9583), "rst to-terminal at 20", seed=7)      real ends and resets
    PtyProxy("flip to-host at 17.3", "drop to-host 1%")                 two devices, and a plug that can be pulled

Faults are values (`Fault`) or texts (`parse_fault`; its module shows how they are written). What chance decides follows
from the seed: the same plan makes the same of the same bytes.
"""

from simulators.faults.connection import TcpProxy
from simulators.faults.fault import Fault
from simulators.faults.kinds import TABLE, Direction, Kind, Medium, Row, Shape, Unit
from simulators.faults.lane import Act, Lane, Step, Strike
from simulators.faults.loop import Passed
from simulators.faults.plan import Plan
from simulators.faults.serial_line import DeviceProxy, PtyProxy
from simulators.faults.words import parse_fault, parse_seconds

__all__ = [
    "TABLE",
    "Act",
    "DeviceProxy",
    "Direction",
    "Fault",
    "Kind",
    "Lane",
    "Medium",
    "Passed",
    "Plan",
    "PtyProxy",
    "Row",
    "Shape",
    "Step",
    "Strike",
    "TcpProxy",
    "Unit",
    "parse_fault",
    "parse_seconds",
]
