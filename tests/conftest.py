"""What holds for every test: names that do not change from run to run, and an end to hangs."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from config import trusted
from tests.examples import load_profile

load_profile()

MOST_PROCESSES = 8  # each of them collects all tests first
ACCEPTANCE_TIMEOUT = 3600.0  # seconds
LONGEST = 60  # of a value that names a test case


def pytest_xdist_auto_num_workers() -> int:
    """Return two processes for each processor: tests wait for a third of their time."""
    return min(2 * len(os.sched_getaffinity(0)), MOST_PROCESSES)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave acceptance tests more time than the others have."""
    for item in items:
        if item.get_closest_marker("acceptance") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(ACCEPTANCE_TIMEOUT))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Return the argument's name for a long value, and leave the others to pytest.

    The processes of pytest-xdist each collect the tests, and must find the same names. Long
    values are often made anew each time: certificates, fingerprints, compressed bytes.
    """
    if isinstance(val, str | bytes) and len(val) > LONGEST:
        return argname
    return None


@pytest.fixture(scope="module")
def frozen() -> Iterator[None]:
    """What lives when the module begins is not looked at by the cyclic collector.

    With thousands of collected tests in memory a full collection takes a third of a second.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="session")
def shared_groups() -> Iterator[None]:
    """Every group has other members, whoever runs the tests; see `test_ownership` for the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trusted, "group_is_private", lambda *_: False)
        yield
