"""Connections of every engine, the one without TLS among them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.fastpath.engines.plain_peer import EitherPlace
from tests.fastpath.harness import Place


@pytest_asyncio.fixture(loop_scope="module")
async def place(ecdsa_place: Place) -> AsyncIterator[EitherPlace]:
    either = EitherPlace(ecdsa_place)
    yield either
    either.settle()
