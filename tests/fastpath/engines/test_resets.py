"""What came in front of a reset is not lost, and what is still to be told is known."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from kssl.fastpath.engines.contract import Engine
from kssl.fastpath.net.closing import End
from tests.fastpath.engines.variants import VARIANTS, identify, variant
from tests.fastpath.harness import ENGINES, Accepted, Place, until
from tests.processes import halt

pytestmark = pytest.mark.asyncio(loop_scope="module")

every_engine = pytest.mark.parametrize("engine", VARIANTS, ids=identify)

READS_ON = tuple(variant(engine, reads_on=True) for engine in ENGINES)

# Below what an engine without bulk reads at once.
ANSWER = b"HTTP/1.1 413 Content Too Large\r\n\r\n" + bytes(3000)


@contextmanager
def worker_stands_still(place: Place) -> Iterator[None]:
    pid = place.pid
    halt(pid)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # a test may have killed it
            os.kill(pid, signal.SIGCONT)


async def end_is_noticed(accepted: Accepted) -> None:
    await until(lambda: accepted.channel._ended, "the reset is there")


@every_engine
async def test_data_in_front_of_a_reset_is_told(engine: type[Engine], place: Place) -> None:
    """Also if the worker has not opened it when the reset is read."""
    client, accepted = await place.connect(engine)
    with worker_stands_still(place):
        await client.send(ANSWER)
        client.send_reset()
        await end_is_noticed(accepted)
    await until(lambda: accepted.sink.failed, "the reset")
    assert accepted.sink.data == ANSWER
    await until(lambda: accepted.sink.endings, "the end")
    assert accepted.sink.endings[0].received is End.RESET


@every_engine
async def test_a_clean_end_in_front_of_a_reset_is_told(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    with worker_stands_still(place):
        await client.send_raw(client.seal(ANSWER) + client.seal_close_notify())
        client.send_reset()
        await end_is_noticed(accepted)
    await until(lambda: accepted.sink.closed, "close_notify")
    assert accepted.sink.data == ANSWER
    assert accepted.sink.closed == [True]
    accepted.close()
    await until(lambda: accepted.sink.endings, "the end")
    assert accepted.sink.endings[0].received is End.CLOSE_NOTIFY


async def test_close_while_the_worker_has_what_came_before(place: Place) -> None:
    client, accepted = await place.connect(ENGINES[1])
    with worker_stands_still(place):
        await client.send(ANSWER)
        client.send_reset()
        await end_is_noticed(accepted)
        accepted.close()
    await until(lambda: accepted.sink.endings, "the end")
    assert not accepted.sink.data
    assert accepted.sink.endings[0].received is End.RESET


async def test_the_worker_dies_with_what_came_before(place: Place) -> None:
    client, accepted = await place.connect(ENGINES[1])
    with worker_stands_still(place):
        await client.send(ANSWER)
        client.send_reset()
        await end_is_noticed(accepted)
        place.kill_worker()
        await until(lambda: accepted.sink.endings, "the end")
    assert len(accepted.sink.failed) == 1
    await place.worker_is_back()


@pytest.mark.parametrize("engine", READS_ON, ids=identify)
async def test_a_send_that_fails_is_not_the_end(engine: type[Engine], place: Place) -> None:
    """An early answer: it is there, though nobody has read it, and though reading is paused."""
    client, accepted = await place.connect(engine)
    accepted.engine.pause_reading()
    await client.send(ANSWER)
    client.send_reset()
    await end_is_noticed(accepted)
    accepted.write(b"more of the request")
    await until(lambda: accepted.sink.over, "the end")
    assert accepted.sink.data == ANSWER
    assert accepted.sink.failed == ["connection reset by peer"]
    await until(lambda: accepted.sink.endings, "the last word")


async def test_a_close_that_the_worker_does_not_answer_leaves_no_cycle(place: Place) -> None:
    _, accepted = await place.connect(ENGINES[1])
    with worker_stands_still(place):
        accepted.close()
        place.kill_worker()
        await until(lambda: accepted.sink.endings, "the end")
    engine = accepted.engine
    held = [getattr(each, "__self__", None) for each in gc.get_referents(engine)]
    assert not any(each is engine for each in held)
    await place.worker_is_back()


# -- at rest -------------------------------------------------------------------------------


@every_engine
async def test_at_rest(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    await client.send(b"request")
    await until(lambda: accepted.sink.data == b"request")
    await until(lambda: accepted.engine.at_rest)
    accepted.write(b"reply")
    assert await client.receive_exactly(5) == b"reply"
    await until(lambda: accepted.engine.at_rest)
    accepted.close()
    assert not accepted.engine.at_rest


async def test_a_part_of_a_record_is_no_rest(place: Place) -> None:
    client, accepted = await place.connect(ENGINES[0])
    record = client.seal(b"surplus")
    await client.send_raw(record[:7])
    await until(lambda: not accepted.engine.at_rest, "the part")
    await client.send_raw(record[7:])
    await until(lambda: accepted.engine.at_rest, "the rest")
    assert accepted.sink.data == b"surplus"


async def test_records_at_the_worker_are_no_rest(place: Place) -> None:
    client, accepted = await place.connect(ENGINES[1])
    with worker_stands_still(place):
        await client.send(b"surplus")
        await until(lambda: not accepted.engine.at_rest, "the record")
        assert not accepted.sink.data
    await until(lambda: accepted.engine.at_rest, "opened")
    with worker_stands_still(place):
        accepted.write(b"reply")
        assert not accepted.engine.at_rest
    await until(lambda: accepted.engine.at_rest, "sealed")
