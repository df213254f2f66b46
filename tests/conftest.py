"""What holds for every test: names that do not change from run to run, and an end to hangs."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from kssl.config import trusted
from kssl.fastpath.ipc import supervisor
from kssl.proxy.frontend import deadlines
from tests.examples import load_profile

load_profile()

MOST_PROCESSES = 8  # each of them collects all tests first
ACCEPTANCE_TIMEOUT = 3600.0  # seconds
ACCEPTANCE = Path(__file__).parent / "acceptance"  # every test there is marked
LONGEST = 60  # of a value that names a test case


def pytest_xdist_auto_num_workers() -> int:
    """Return three processes for each processor: tests wait for much of their time."""
    return min(3 * len(os.sched_getaffinity(0)), MOST_PROCESSES)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the cyclic collector out of it: the tests stay, and it would look at them again and
    again, a second of every process; afterwards it does not look at them either."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import the acceptance tests where none of them is wanted."""
    if collection_path == ACCEPTANCE and config.option.markexpr == "not acceptance":
        return True
    return None


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

    With thousands of collected tests in memory a full collection takes a third of a second. What
    is unreachable at the end is freed then, so that nothing escapes the collector for good.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.collect()


@pytest.fixture(autouse=True, scope="session")
def short_waits() -> Iterator[None]:
    """Time limits are looked at more often than twice a second, still never early, and a process
    that dies young is replaced sooner. Only within this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deadlines, "INTERVAL", 0.1)
        patch.setattr(supervisor, "_PAUSE", 0.01)
        yield


@pytest.fixture(autouse=True, scope="session")
def shared_groups() -> Iterator[None]:
    """Every group has other members, whoever runs the tests; see `test_ownership` for the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trusted, "group_is_private", lambda *_: False)
        yield
