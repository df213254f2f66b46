"""MaxBytesPerSend, and one record at a time: what is sealed, sent, read and opened at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kssl.fastpath.engines.aead import AeadEngine
from kssl.fastpath.engines.contract import MAX_PIECE, RECEIVE_SIZE, Engine
from kssl.fastpath.engines.worker import WorkerEngine
from kssl.fastpath.ipc.frames import FrameType
from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.net.channel import Channel
from kssl.fastpath.record.layer import RecordLayer
from tests.fastpath.engines.plain_peer import EitherPlace
from tests.fastpath.engines.variants import ONE_BY_ONE, identify, variant
from tests.fastpath.harness import ENGINES, Accepted, Place, until
from tests.fastpath.record.peers import DATA

pytestmark = pytest.mark.asyncio(loop_scope="module")

every_engine = pytest.mark.parametrize("engine", ENGINES, ids=identify)
one_by_one = pytest.mark.parametrize("engine", ONE_BY_ONE, ids=identify)
every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])

LARGEST = 0xFFFFF  # of MaxBytesPerSend
RECORD = 16384
OVERHEAD = 29  # bytes around a record's plaintext, at most: TLS 1.2 with GCM
LONG = bytes(range(256)) * 1200  # 307,200 bytes

# Bytes that are written, by max_send: a piece of one byte is dear.
WRITTEN = {1: 2000, 100: 20_050, RECORD: len(LONG), 65536: len(LONG), LARGEST: len(LONG)}


class Sends:
    """Bytes of each call of the kernel, by channel."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._sizes: dict[Channel, list[int]] = {}
        send_now = Channel._send_now

        def counted(channel: Channel, data: memoryview | bytes | bytearray) -> None:
            self._sizes.setdefault(channel, []).append(len(data))
            send_now(channel, data)

        monkeypatch.setattr(Channel, "_send_now", counted)

    def of(self, accepted: Accepted) -> list[int]:
        assert not accepted.channel.backlog, "refused by the kernel, so not counted"
        return self._sizes.get(accepted.channel, [])

    def clear(self) -> None:
        self._sizes.clear()


@pytest.fixture
def sends(monkeypatch: pytest.MonkeyPatch) -> Sends:
    return Sends(monkeypatch)


def frames_sent(monkeypatch: pytest.MonkeyPatch, wanted: FrameType) -> list[bytes]:
    """The payloads of the frames to the worker of one type, from now on."""
    payloads: list[bytes] = []
    send = WorkerLink.send

    def noted(
        link: WorkerLink, kind: FrameType, identifier: int, *parts: bytes | memoryview
    ) -> None:
        if kind == wanted:
            payloads.append(b"".join(parts))
        send(link, kind, identifier, *parts)

    monkeypatch.setattr(WorkerLink, "send", noted)
    return payloads


def records_opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each call of `RecordLayer.receive` in this process opens, from now on."""
    counts: list[int] = []
    receive = RecordLayer.receive

    def counted(layer: RecordLayer, data: memoryview, out: memoryview) -> int:
        before = layer.records_opened
        written = receive(layer, data, out)
        counts.append(layer.records_opened - before)
        return written

    monkeypatch.setattr(RecordLayer, "receive", counted)
    return counts


def pieces_of(size: int, largest: int) -> list[int]:
    return [min(largest, size - start) for start in range(0, size, largest)]


# -- sending -------------------------------------------------------------------------------


@every_engine
@every_version
@pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "one by one"])
@pytest.mark.parametrize("max_send", WRITTEN)
async def test_every_piece_is_sealed_and_sent_by_itself(
    engine: type[Engine],
    tls13: bool,
    bulk: bool,
    max_send: int,
    place: EitherPlace,
    sends: Sends,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, accepted = await place.connect(
        variant(engine, max_send=max_send, bulk=bulk), tls13=tls13
    )
    client.go_raw()
    frames = frames_sent(monkeypatch, FrameType.SEAL)
    sends.clear()
    data = LONG[: WRITTEN[max_send]]
    reading = asyncio.ensure_future(client.read_raw(len(data)))
    accepted.write(data)
    await reading
    assert client.reader.data == data
    pieces = pieces_of(len(data), min(max_send, MAX_PIECE) if bulk else min(max_send, RECORD))
    assert len(pieces) > 1
    sent = sends.of(accepted)
    assert len(sent) == len(pieces)
    records = 0
    for size, piece in zip(sent, pieces, strict=True):
        in_piece = len(pieces_of(piece, RECORD))
        assert piece < size <= piece + in_piece * OVERHEAD
        records += in_piece
    assert client.reader.kinds.count(DATA) == records  # beside the session ticket
    assert list(map(len, frames)) == ([] if engine is AeadEngine else pieces)


@every_engine
@pytest.mark.parametrize(
    ("max_send", "bulk", "expected"),
    [(65536, True, 1), (65536, False, 3), (1000, True, 3), (1000, False, 3)],
)
async def test_small_writes_of_one_turn(
    engine: type[Engine],
    max_send: int,
    bulk: bool,
    expected: int,
    place: EitherPlace,
    sends: Sends,
) -> None:
    """They leave as one, where that is not against the limit nor more than one record."""
    client, accepted = await place.connect(variant(engine, max_send=max_send, bulk=bulk))
    sends.clear()
    for _ in range(3):
        accepted.write(b"x" * 600)
    assert await client.receive_exactly(1800) == b"x" * 1800
    assert len(sends.of(accepted)) == expected


@every_engine
@pytest.mark.parametrize("max_send", [16384, 33000, 40_000, 65536, 131072])
async def test_joined_writes_are_not_more_than_a_piece(
    engine: type[Engine], max_send: int, place: EitherPlace, sends: Sends
) -> None:
    client, accepted = await place.connect(variant(engine, max_send=max_send))
    sends.clear()
    sizes = [10_000, 65_000, 3, 16_000, 16_000, 33_000, 12_000]
    for size in sizes:
        accepted.write(LONG[:size])
    expected = b"".join(LONG[:size] for size in sizes)
    assert await client.receive_exactly(len(expected)) == expected
    assert max(sends.of(accepted)) <= max_send + 10 * OVERHEAD


@every_engine
async def test_one_byte_at_a_time_to_a_slow_reader(
    engine: type[Engine], place: EitherPlace
) -> None:
    client, accepted = await place.connect(variant(engine, max_send=1), buffers=4096)
    # In user mode the sink may go on until a batch of plaintext is at the worker.
    data = LONG[: 40_000 if engine is AeadEngine else RECEIVE_SIZE + 10_000]
    writing = asyncio.ensure_future(accepted.write_all(data, chunk=2000))
    await until(lambda: accepted.engine.congested and accepted.channel.backlog)
    assert not writing.done()
    assert await client.receive_exactly(len(data)) == data
    limit = 6000 if engine is AeadEngine else RECEIVE_SIZE + 4000
    assert await writing <= limit * (1 + OVERHEAD)
    await until(lambda: not accepted.engine.congested and accepted.engine.backlog == 0)


# -- reading -------------------------------------------------------------------------------

SMALL_RECORDS = 30


def seal_each(seal: Callable[[bytes], bytes]) -> list[bytes]:
    return [seal(b"%03d" % number) for number in range(SMALL_RECORDS)]


EXPECTED = b"".join(b"%03d" % number for number in range(SMALL_RECORDS))


@one_by_one
@every_version
@pytest.mark.parametrize("how", ["one segment", "leftover", "cut anywhere"])
async def test_every_record_is_opened_by_itself(
    engine: type[Engine],
    tls13: bool,
    how: str,
    place: EitherPlace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, accepted = await place.connect(engine, tls13=tls13, reading=how != "leftover")
    client.go_raw()
    frames = frames_sent(monkeypatch, FrameType.OPEN)
    opened = records_opened(monkeypatch)
    records = seal_each(client.forger.data)
    stream = b"".join(records)
    if how == "one segment":
        await client.send_raw(stream)
    elif how == "leftover":
        accepted.engine.start(stream[:100])
        await client.send_raw(stream[100:])
    else:
        for start in range(0, len(stream), 7):
            await client.send_raw(stream[start : start + 7])
    await until(lambda: accepted.sink.data == EXPECTED)
    if issubclass(engine, WorkerEngine):
        assert frames == records
    else:
        assert opened == [1] * SMALL_RECORDS


@every_engine
async def test_with_bulk_they_are_opened_together(
    engine: type[Engine], place: EitherPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above counts would show more than one."""
    client, accepted = await place.connect(engine, reading=False)
    client.go_raw()
    frames = frames_sent(monkeypatch, FrameType.OPEN)
    opened = records_opened(monkeypatch)
    records = seal_each(client.forger.data)
    accepted.engine.start(b"".join(records))
    await until(lambda: accepted.sink.data == EXPECTED)
    if engine is WorkerEngine:
        assert frames == [b"".join(records)]
    else:
        assert opened == [SMALL_RECORDS]


@one_by_one
async def test_late_records_too(
    engine: type[Engine], place: EitherPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind our close_notify: they are looked at for the peer's, one by one."""
    client, accepted = await place.connect(engine)
    client.go_raw()
    first = client.forger.data(b"request")
    await client.send_raw(first[:9])
    accepted.close()
    frames = frames_sent(monkeypatch, FrameType.OPEN)
    opened = records_opened(monkeypatch)
    assert await client.read_raw_until_end() == "fin"
    records = seal_each(client.forger.data)
    await client.send_raw(first[9:] + b"".join(records))
    client.send_fin()
    await accepted.gone()
    if issubclass(engine, WorkerEngine):
        assert frames == [first, *records, b""]  # the last asks whether one was close_notify
    else:
        assert opened == [1] * (1 + SMALL_RECORDS)


@one_by_one
async def test_a_header_that_no_record_has_is_refused_at_once(
    engine: type[Engine], place: EitherPlace
) -> None:
    """Without waiting for the 8,239 bytes that ``GET /`` announces."""
    client, accepted = await place.connect(engine)
    client.go_raw()
    await client.send_raw(b"GET /")
    assert await client.read_raw_until_end() == "fin"
    assert len(client.reader.alerts) == 1
    assert accepted.sink.failed


async def test_large_uploads_one_record_at_a_time(place: EitherPlace) -> None:
    for engine in ONE_BY_ONE:
        client, accepted = await place.connect(engine)
        await client.send(LONG * 4)
        await until(lambda accepted=accepted: len(accepted.sink.data) == len(LONG) * 4)  # type: ignore[misc]
        assert accepted.sink.data == LONG * 4


async def test_tls_engines_need_a_link(ecdsa_place: Place) -> None:
    client, accepted = ecdsa_place.pair(variant(AeadEngine, link=None))
    with pytest.raises(AssertionError, match="needs the worker"):
        accepted.handshake_done(None, None, 0, b"", b"")  # type: ignore[arg-type]
    accepted.session = None
    ecdsa_place.settle()
    del client
