"""A store in a state folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from kssl.config.store.store import Store


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def config(state: Path) -> Path:
    return state / "kssl.toml"


@pytest.fixture
def store(state: Path, config: Path) -> Store:
    return Store(state, config)
