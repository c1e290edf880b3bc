"""What every test shares: Hypothesis's profiles, and the outside programs a test may need."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings

# A loaded two-core machine stretches single examples: pytest's timeout watches for hangs instead.
_QUIET = [HealthCheck.too_slow]
settings.register_profile("dev", deadline=None, max_examples=50, suppress_health_check=_QUIET)
# Derandomised, so that a red run is red for everybody; the nightly profile does the searching.
settings.register_profile("ci", deadline=None, max_examples=200, derandomize=True, suppress_health_check=_QUIET)
settings.register_profile(
    "nightly", deadline=timedelta(seconds=5), max_examples=5_000, print_blob=True, suppress_health_check=_QUIET
)
# The same few examples each time: for measurements that run the tests themselves many times over.
settings.register_profile("quick", deadline=None, max_examples=20, derandomize=True, suppress_health_check=_QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose outside program is absent, or fail it where everything must be there."""
    for marker in item.iter_markers("needs"):
        for command in marker.args:
            if shutil.which(command):
                continue
            reason = f"needs {command}, which is not on the PATH"
            if os.environ.get("POS_ENGINE_REQUIRE_ALL") == "1":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
