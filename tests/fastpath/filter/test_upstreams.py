"""Connections to upstreams through a filter, which knows nothing of them (see conftest.py)."""

from __future__ import annotations

from tests.fastpath.test_upstreams import (
    module_place,
    pki,
    place,
    pytestmark,
    test_data_both_ways,
    test_how_the_server_ends,
    test_key_updates,
)

__all__ = [
    "module_place",
    "pki",
    "place",
    "pytestmark",
    "test_data_both_ways",
    "test_how_the_server_ends",
    "test_key_updates",
]
