"""Places with two hops, for the engine of user mode alone: kernel mode has no filter."""

from __future__ import annotations

from pathlib import Path

import pytest

from kssl.fastpath.engines.worker import WorkerEngine
from tests.fastpath.engines.conftest import place as place

_HERE = str(Path(__file__).parent / "test_")  # compared with every path: cheap as text


@pytest.fixture(scope="module")
def hops() -> int:
    return 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if not _without_filter(item)]


def _without_filter(item: pytest.Item) -> bool:
    """Whether it is one of this folder's tests, with an engine that has no filter."""
    if not str(item.path).startswith(_HERE) or not isinstance(item, pytest.Function):
        return False
    engine = item.callspec.params.get("engine") if hasattr(item, "callspec") else None
    return isinstance(engine, type) and not issubclass(engine, WorkerEngine)
