"""What a host does on purpose: scenarios as data, read from TOML, played rule by rule.

conditions  what a rule looks at in a request
actions     what a host can do, as a table, and what goes together
rulings     what the actions come to for one request and its answer
rules       rules, scenarios, and one scenario being played
lines       where things stand in a TOML file
source      a value in a file, its form checked, its errors placed
load        TOML text into a scenario
amounts     the scenario of a host that was given none
"""

from __future__ import annotations

from simulators.scenario.actions import ACTIONS, Action, ActionRow, Do, Form, Group
from simulators.scenario.amounts import AMOUNTS, AMOUNTS_TOML
from simulators.scenario.conditions import Condition, Facts
from simulators.scenario.load import parse
from simulators.scenario.rules import Failure, Play, Rule, Scenario
from simulators.scenario.rulings import USUAL, Ruling

__all__ = [
    "ACTIONS",
    "AMOUNTS",
    "AMOUNTS_TOML",
    "USUAL",
    "Action",
    "ActionRow",
    "Condition",
    "Do",
    "Facts",
    "Failure",
    "Form",
    "Group",
    "Play",
    "Rule",
    "Ruling",
    "Scenario",
    "parse",
]
