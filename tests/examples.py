"""How many examples hypothesis makes up of a property.

`make test` makes a quarter of them, with others in each run; HYPOTHESIS_PROFILE=thorough and
`make acceptance` make all.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")

FEWEST = 20


def examples(count: int) -> int:
    """Return how many of ``count`` examples are made in this run."""
    return count if PROFILE == "thorough" else min(count, max(FEWEST, count // 4))


def load_profile() -> None:
    """Set what holds for every property: no limit of time, as the machine may be busy."""
    for name in ("quick", "thorough"):
        settings.register_profile(
            name,
            deadline=None,
            max_examples=examples(100),
            suppress_health_check=[HealthCheck.too_slow],
        )
    settings.load_profile(PROFILE)  # tells names that it does not know
