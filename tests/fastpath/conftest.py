"""The event loop of these tests is the front end's: uvloop. Nothing may fail on it unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import pytest_asyncio

from tests.fastpath.harness import Certificates, Place
from tests.loops import new_event_loop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": new_event_loop}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def hops() -> int:
    """Of the places below: 1, no filter."""
    return 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ecdsa_place(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory, hops: int
) -> AsyncIterator[Place]:
    """One worker for all tests of a module that do it no harm."""
    place = Place(tmp_path_factory.mktemp("state"), certificates.ecdsa, hops=hops)
    await place.start()
    yield place
    await place.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rsa_place(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory, hops: int
) -> AsyncIterator[Place]:
    place = Place(tmp_path_factory.mktemp("state"), certificates.rsa, hops=hops)
    await place.start()
    yield place
    await place.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def place(ecdsa_place: Place) -> AsyncIterator[Place]:
    yield ecdsa_place
    ecdsa_place.settle()
