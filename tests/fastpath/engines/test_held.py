"""A client that makes the engine answer and does not read: nothing more is read from it either."""

from __future__ import annotations

import pytest

from kssl.fastpath.engines import aead, base, worker
from kssl.fastpath.engines.contract import Engine
from tests.fastpath.client import Client
from tests.fastpath.engines.variants import ONE_BY_ONE, identify
from tests.fastpath.harness import ENGINES, Accepted, Place, until
from tests.fastpath.record.peers import KEY_UPDATE_REQUEST

pytestmark = pytest.mark.asyncio(loop_scope="module")

every_engine = pytest.mark.parametrize("engine", [*ENGINES, *ONE_BY_ONE], ids=identify)

LONG = bytes(range(256)) * 2400
LIMIT = 10_000


async def held(
    place: Place, engine: type[Engine], monkeypatch: pytest.MonkeyPatch
) -> tuple[Client, Accepted, bytes]:
    """A client that asks for KeyUpdates until it is not read any more; and what it has sent."""
    client, accepted = await place.connect(engine, buffers=32 * 1024)
    client.go_raw()
    channel = accepted.channel
    for module in (aead, base, worker):
        monkeypatch.setattr(module, "MAX_UNREAD", LIMIT)
    accepted.write(LONG)  # more than the kernel takes
    await until(lambda: accepted.engine.backlog == channel.backlog)  # sealed, in user mode
    assert channel.backlog > LIMIT
    sent = b""
    for number in range(100):
        before = len(accepted.sink.data)
        data = bytes([number]) * 5
        sent += data
        await client.send_raw(
            client.forger.data(data) + client.forger.key_update(KEY_UPDATE_REQUEST)
        )
        await until(lambda before=before: len(accepted.sink.data) > before or not channel._reading)  # type: ignore[misc]
    assert not channel._reading
    assert not accepted.sink.data
    return client, accepted, sent


@every_engine
async def test_it_goes_on_when_the_client_reads(
    engine: type[Engine], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, accepted, sent = await held(place, engine, monkeypatch)
    accepted.engine.resume_reading()  # the sink has no say in this
    assert not accepted.channel._reading
    await client.read_raw(len(LONG))
    await until(lambda: accepted.sink.data == sent)
    accepted.write(b"reply")
    await client.read_raw(len(LONG) + 5)
    assert client.reader.data == LONG + b"reply"
    assert client.reader.key_updates


@every_engine
async def test_what_the_sink_paused_stays_paused(
    engine: type[Engine], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, accepted, sent = await held(place, engine, monkeypatch)
    accepted.engine.pause_reading()
    writables = accepted.sink.writables
    await client.read_raw(len(LONG))
    await until(lambda: accepted.sink.writables > writables)
    assert not accepted.channel._reading
    accepted.engine.resume_reading()
    await until(lambda: accepted.sink.data == sent)


@every_engine
async def test_closing_meanwhile(
    engine: type[Engine], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, accepted, _ = await held(place, engine, monkeypatch)
    heard = bytes(accepted.sink.data)
    accepted.close()
    assert await client.read_raw_until_end() == "fin"
    assert client.reader.data == LONG
    assert accepted.sink.data == heard
    client.send_fin()
    await accepted.gone()
