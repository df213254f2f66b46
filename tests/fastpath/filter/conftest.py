"""Places with two hops, for the engine of user mode alone: kernel mode has no filter."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastpath.engines.aead import AeadEngine


@pytest.fixture(scope="module")
def hops() -> int:
    return 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    items[:] = [
        item
        for item in items
        if not (
            item.path.parent == here
            and isinstance(item, pytest.Function)
            and hasattr(item, "callspec")
            and item.callspec.params.get("engine") is AeadEngine
        )
    ]
