"""How each direction ended: what `Sink.ended` is told, by every engine."""

from __future__ import annotations

import pytest

from kssl.fastpath.engines.contract import Engine
from kssl.fastpath.engines.plain import PlainEngine
from kssl.fastpath.net.closing import End
from kssl.fastpath.tls.errors import Alert
from tests.fastpath.client import Client
from tests.fastpath.engines.variants import VARIANTS, identify
from tests.fastpath.harness import Accepted, Place, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

every_engine = pytest.mark.parametrize("engine", VARIANTS, ids=identify)
with_and_without_tls = pytest.mark.parametrize("engine", [*VARIANTS, PlainEngine], ids=identify)
every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])

WARNING, FATAL = 1, 2


async def ending(accepted: Accepted) -> tuple[End, End]:
    await until(lambda: accepted.sink.endings, "the end")
    [told] = accepted.sink.endings
    assert accepted.channel.closed
    return told.received, told.sent


async def closed_by_client(client: Client, accepted: Accepted) -> None:
    await until(lambda: accepted.sink.over, "the client's end")
    accepted.close()


@every_engine
@every_version
async def test_close_notify_both_ways(engine: type[Engine], tls13: bool, place: Place) -> None:
    client, accepted = await place.connect(engine, tls13=tls13)
    await client.send_raw(client.seal_close_notify())
    await closed_by_client(client, accepted)
    assert await ending(accepted) == (End.CLOSE_NOTIFY, End.CLOSE_NOTIFY)


@every_engine
@every_version
async def test_fin_alone_from_the_client(engine: type[Engine], tls13: bool, place: Place) -> None:
    client, accepted = await place.connect(engine, tls13=tls13)
    client.send_fin()
    await closed_by_client(client, accepted)
    assert await ending(accepted) == (End.FIN, End.CLOSE_NOTIFY)


@every_engine
async def test_fin_alone_both_ways(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine, close_notify=False)
    client.send_fin()
    await closed_by_client(client, accepted)
    assert await ending(accepted) == (End.FIN, End.FIN)


async def test_without_tls_there_is_only_fin(place: Place) -> None:
    client, accepted = await place.connect(PlainEngine)
    client.send_fin()
    await closed_by_client(client, accepted)
    assert await ending(accepted) == (End.FIN, End.FIN)


@with_and_without_tls
async def test_a_reset(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    client.send_reset()
    assert await ending(accepted) == (End.RESET, End.NONE)
    assert accepted.sink.failed


@every_engine
async def test_a_reset_behind_close_notify_is_a_clean_end(
    engine: type[Engine], place: Place
) -> None:
    """The records in front of the reset count, also those that the worker is still opening."""
    client, accepted = await place.connect(engine)
    client.go_raw()
    await client.send_raw(client.forger.data(b"x" * 16000))
    await client.send_raw(client.forger.record(21, b"\1\0"))
    client.send_reset()
    await closed_by_client(client, accepted)
    received, _ = await ending(accepted)
    assert received is End.CLOSE_NOTIFY


@every_engine
@every_version
async def test_an_answer_to_our_close_notify(
    engine: type[Engine], tls13: bool, place: Place
) -> None:
    client, accepted = await place.connect(engine, tls13=tls13)
    accepted.close()
    assert await client.receive_all() == b""
    assert not accepted.sink.endings
    await client.send_raw(client.seal_close_notify())
    client.send_fin()
    assert await ending(accepted) == (End.CLOSE_NOTIFY, End.CLOSE_NOTIFY)


@every_engine
async def test_an_answer_in_pieces(engine: type[Engine], place: Place) -> None:
    """Behind data that nobody wants any more, and a segment for each byte."""
    client, accepted = await place.connect(engine)
    accepted.close()
    assert await client.receive_all() == b""
    for byte in client.seal(b"too late") + client.seal_close_notify():
        await client.send_raw(bytes((byte,)))
    client.send_fin()
    assert await ending(accepted) == (End.CLOSE_NOTIFY, End.CLOSE_NOTIFY)


@every_engine
async def test_no_answer_to_our_close_notify(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    accepted.close()
    assert await client.receive_all() == b""
    client.send_fin()
    assert await ending(accepted) == (End.FIN, End.CLOSE_NOTIFY)


@every_engine
async def test_an_alert_from_us(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    await client.send_raw(b"\x17\x03\x03\x00\x20" + bytes(32))
    await until(lambda: accepted.sink.failed, "the bad record was noticed")
    client.send_fin()
    assert await ending(accepted) == (End.NONE, End.ALERT)


@every_engine
async def test_an_alert_from_the_client(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    client.go_raw()
    await client.send_raw(client.forger.record(21, bytes((FATAL, Alert.INTERNAL_ERROR))))
    assert await client.read_raw_until_end() == "fin"
    client.send_fin()
    assert await ending(accepted) == (End.ALERT, End.FIN)


@with_and_without_tls
async def test_abort(engine: type[Engine], place: Place) -> None:
    _, accepted = await place.connect(engine)
    accepted.abort()
    assert await ending(accepted) == (End.NONE, End.RESET)


@every_engine
async def test_abort_with_an_alert(engine: type[Engine], place: Place) -> None:
    _, accepted = await place.connect(engine)
    accepted.abort(Alert.INTERNAL_ERROR)
    assert await ending(accepted) == (End.NONE, End.ALERT)


async def test_the_worker_dies_while_it_has_the_last_records(place: Place) -> None:
    """Then nobody knows, which is no clean end."""
    worker = VARIANTS[1]
    client, accepted = await place.connect(worker)
    client.send_reset()
    place.kill_worker()
    received, _ = await ending(accepted)
    assert received is not End.CLOSE_NOTIFY
    await place.worker_is_back()


@every_engine
async def test_close_write_ends_one_direction(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    client.go_raw()
    accepted.write(b"the last word")
    accepted.engine.close_write()
    accepted.engine.close_write()
    while not client.reader.alerts:
        client.reader.feed(await client.receive_raw())
    assert client.reader.data == b"the last word"
    await client.send_raw(client.forger.data(b"still heard"))
    await until(lambda: accepted.sink.data == b"still heard", "data after our end")
    accepted.close()
    assert await client.read_raw_until_end() == "fin"
    assert client.reader.alerts == [(WARNING, Alert.CLOSE_NOTIFY)]
    client.send_fin()
    assert await ending(accepted) == (End.FIN, End.CLOSE_NOTIFY)


async def test_close_write_without_tls(place: Place) -> None:
    client, accepted = await place.connect(PlainEngine, buffers=32 * 1024)
    accepted.write(bytes(200_000))
    assert accepted.engine.backlog
    accepted.engine.close_write()
    assert await client.receive_all() == bytes(200_000)
    await client.send(b"still heard")
    await until(lambda: accepted.sink.data == b"still heard", "data after our end")


@every_engine
async def test_no_alert_follows_close_notify(engine: type[Engine], place: Place) -> None:
    """An abort behind it is a reset, and is told as one."""
    client, accepted = await place.connect(engine)
    client.go_raw()
    accepted.engine.close_write()
    while not client.reader.alerts:
        client.reader.feed(await client.receive_raw())
    accepted.abort(Alert.INTERNAL_ERROR)
    assert await ending(accepted) == (End.NONE, End.RESET)
    assert client.reader.alerts == [(WARNING, Alert.CLOSE_NOTIFY)]


@every_engine
async def test_close_notify_behind_much_that_came_too_late(
    engine: type[Engine], place: Place
) -> None:
    """A client that is in the middle of an upload when we close, and then ends in order."""
    client, accepted = await place.connect(engine)
    accepted.close()
    client.go_raw()
    assert await client.read_raw_until_end() == "fin"
    for _ in range(100):
        await client.send_raw(client.forger.data(bytes(16_000)))
    await client.send_raw(client.forger.record(21, b"\1\0"))
    client.send_fin()
    assert await ending(accepted) == (End.CLOSE_NOTIFY, End.CLOSE_NOTIFY)
