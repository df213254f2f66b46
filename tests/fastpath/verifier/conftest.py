from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fastpath.verifier.shop import Shop


@pytest.fixture
def shop() -> Iterator[Shop]:
    server = Shop()
    try:
        yield server
    finally:
        server.go.set()
        server.stop()
