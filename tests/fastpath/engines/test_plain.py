"""The engine without TLS: what `test_contract` cannot ask, because an end looks different."""

from __future__ import annotations

import asyncio

import pytest

from kssl.fastpath.engines import plain
from kssl.fastpath.engines.plain import PlainEngine
from kssl.fastpath.engines.registry import load_engines
from kssl.fastpath.net.channel import Channel
from kssl.fastpath.tls.errors import Alert
from tests.fastpath.engines.plain_peer import EitherPlace
from tests.fastpath.harness import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = bytes(range(256)) * 1200


async def test_it_cannot_be_chosen() -> None:
    assert PlainEngine not in load_engines().values()
    assert (PlainEngine.name, PlainEngine.kernel_mode) == ("plain", False)
    assert PlainEngine.unavailable() is None


async def test_both_directions(place: EitherPlace) -> None:
    client, accepted = place.plain()
    for number in range(256):
        await client.send_raw(bytes((number,)))
    await client.send(LONG)
    await until(lambda: accepted.sink.data == bytes(range(256)) + LONG)
    accepted.write(b"reply")
    accepted.write(LONG)
    assert await client.receive_exactly(5 + len(LONG)) == b"reply" + LONG


async def test_first_bytes_come_first(place: EitherPlace) -> None:
    client, accepted = place.plain(first_bytes=b"GET / ")
    await client.send(b"HTTP/1.1")
    await until(lambda: accepted.sink.data == b"GET / HTTP/1.1")


async def test_megabytes(place: EitherPlace) -> None:
    client, accepted = place.plain(buffers=32 * 1024)
    data = LONG * 10
    accepted.write(data)
    assert accepted.engine.congested
    assert await client.receive_exactly(len(data)) == data
    await until(lambda: not accepted.engine.congested and accepted.engine.backlog == 0)


async def test_fin_is_a_clean_end_and_told_once(place: EitherPlace) -> None:
    client, accepted = place.plain()
    await client.send(b"request")
    client.send_fin()
    await until(lambda: accepted.sink.over)
    assert accepted.sink.data == b"request"
    assert accepted.sink.closed == [True]
    accepted.engine.pause_reading()
    accepted.engine.resume_reading()
    accepted.write(b"reply")
    accepted.close()
    assert await client.receive_all() == b"reply"
    assert client.end == "fin"
    await accepted.gone()
    assert accepted.sink.closed == [True]


async def test_close_sends_everything_then_waits_for_fin(place: EitherPlace) -> None:
    client, accepted = place.plain(buffers=32 * 1024)
    accepted.write(LONG * 5)
    accepted.close()
    accepted.close()
    accepted.abort()
    accepted.write(b"too late")
    accepted.engine.pause_reading()
    accepted.engine.resume_reading()
    assert await client.receive_all() == LONG * 5
    assert client.end == "fin"
    assert not accepted.channel.closed
    client.send_fin()
    await accepted.gone()


async def test_close_lingers_for_a_client_that_still_sends(place: EitherPlace) -> None:
    client, accepted = place.plain(buffers=64 * 1024)
    accepted.sink.on_data = lambda _data: accepted.engine.pause_reading()
    sending = asyncio.ensure_future(client.send(LONG * 10))
    await until(lambda: accepted.sink.data)
    accepted.write(b"413")
    accepted.close()
    await sending
    client.send_fin()
    assert await client.receive_all() == b"413"
    assert client.end == "fin"
    await accepted.gone()


async def test_closing_from_within_plaintext_received(place: EitherPlace) -> None:
    client, accepted = place.plain()

    def answer(_data: memoryview) -> None:
        accepted.write(b"reply")
        accepted.close()

    accepted.sink.on_data = answer
    await client.send(b"request")
    assert await client.receive_all() == b"reply"
    client.send_fin()
    await accepted.gone()


@pytest.mark.parametrize("alert", [(), (Alert.INTERNAL_ERROR,)], ids=["", "alert"])
async def test_abort_resets(alert: tuple[Alert, ...], place: EitherPlace) -> None:
    client, accepted = place.plain()
    accepted.write(b"half of the re")
    assert await client.receive_exactly(14) == b"half of the re"
    accepted.abort(*alert)
    assert await client.receive_all() == b""
    assert client.end == "reset"
    assert accepted.channel.closed
    accepted.abort()
    accepted.close()


async def test_nothing_is_read_from_a_client_that_does_not_read(
    place: EitherPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "MAX_UNREAD", 10_000)
    client, accepted = place.plain(buffers=32 * 1024)
    accepted.write(LONG)
    assert accepted.channel.backlog > 10_000
    await client.send(b"more")
    await until(lambda: not accepted.channel._reading)
    assert not accepted.sink.data
    assert await client.receive_exactly(len(LONG)) == LONG
    await until(lambda: accepted.sink.data == b"more")


@pytest.mark.parametrize("max_send", [1, 100, 16384, 65536, 0xFFFFF])
async def test_pieces(max_send: int, place: EitherPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    send_now = Channel._send_now

    def counted(channel: Channel, data: memoryview | bytes | bytearray) -> None:
        if channel is accepted.channel:
            sizes.append(len(data))
        send_now(channel, data)

    client, accepted = place.plain(max_send=max_send)
    monkeypatch.setattr(Channel, "_send_now", counted)
    data = LONG[: max_send * 3 + 1]
    accepted.write(data)
    accepted.write(b"")
    assert await client.receive_exactly(len(data)) == data
    assert max(sizes) <= max_send
    assert sum(sizes) == len(data)
    assert accepted.engine.backlog == 0
