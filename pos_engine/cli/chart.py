"""A picture of the sign-ons: successes and failures of each day, failures of each hour. The only module that draws.

Its words are English in every language, because the fonts that come with matplotlib have no Chinese.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from pos_engine.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pos_engine.session.history import History


def draw(told: History, path: Path) -> None:
    """Draw a history into a file; `ConfigError` without matplotlib, `UsageError` where the file cannot be written."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        figure = None
    else:
        figure = Figure(figsize=(10, 7), layout="constrained")
    if figure is None:
        reason = "a chart needs matplotlib: pip install 'pos-engine[report]'"
        raise ConfigError(reason)
    by_day, by_hour = figure.subplots(2)
    days = [day for day, _, _ in told.days]
    successes = [count for _, count, _ in told.days]
    by_day.bar(days, successes, label="succeeded", color="tab:green")
    by_day.bar(days, [count for _, _, count in told.days], bottom=successes, label="failed", color="tab:red")
    by_day.set_title(f"Sign-ons, {told.since.isoformat()} to {told.until.isoformat()}")
    by_day.set_ylabel("sign-ons")
    by_day.tick_params(axis="x", rotation=45)
    by_day.legend()
    by_hour.bar(range(len(told.hours)), told.hours, color="tab:red")
    by_hour.set_title("Failures by hour of the day")
    by_hour.set_xlabel("hour, by the terminal's clock")
    by_hour.set_ylabel("failures")
    for part in (by_day, by_hour):
        part.yaxis.get_major_locator().set_params(integer=True)
    try:
        figure.savefig(path)
    except OSError as error:
        fault = os.strerror(error.errno or errno.EIO).lower()
    else:
        return
    reason = f"--chart: {path}: {fault}"
    raise UsageError(reason)
