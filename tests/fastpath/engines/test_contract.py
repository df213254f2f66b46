"""The contract suite: every promise of `kssl.fastpath.engines.contract`, for every engine, with
batches of records and with one at a time; for the engine without TLS what is not about records.

On uvloop, with a real worker process and a real client over TCP.
"""

from __future__ import annotations

import asyncio

import pytest
from OpenSSL import SSL

from kssl.fastpath.engines.contract import MAX_AFTER_PAUSE, Engine
from kssl.fastpath.engines.plain import PlainEngine
from kssl.fastpath.tls.errors import Alert
from kssl.fastpath.tls.suites import SUITES, CipherSuite
from tests.fastpath.engines.variants import VARIANTS, identify
from tests.fastpath.harness import Place, until
from tests.fastpath.record.peers import KEY_UPDATE, KEY_UPDATE_REQUEST

pytestmark = pytest.mark.asyncio(loop_scope="module")

every_engine = pytest.mark.parametrize("engine", VARIANTS, ids=identify)
with_and_without_tls = pytest.mark.parametrize("engine", [*VARIANTS, PlainEngine], ids=identify)
every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])

LONG = bytes(range(256)) * 800  # 204,800 bytes: 13 records, two batches

WARNING, FATAL = 1, 2


@every_engine
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
async def test_both_directions_with_every_suite(
    engine: type[Engine], suite: CipherSuite, ecdsa_place: Place, rsa_place: Place
) -> None:
    place = rsa_place if "_RSA_" in suite.name else ecdsa_place
    client, accepted = await place.connect(engine, suite=suite)
    assert accepted.session is not None
    assert accepted.session.cipher == suite.name
    await client.send(b"request")
    await until(lambda: accepted.sink.data == b"request")
    accepted.write(b"reply")
    assert await client.receive_exactly(5) == b"reply"
    await client.send(LONG)
    await until(lambda: accepted.sink.data == b"request" + LONG)
    accepted.write(LONG)
    assert await client.receive_exactly(len(LONG)) == LONG
    place.settle()


# -- 1: plaintext in order, complete, and never after the end ------------------------------


@every_engine
@every_version
async def test_records_that_arrive_byte_by_byte(
    engine: type[Engine], tls13: bool, place: Place
) -> None:
    client, accepted = await place.connect(engine, tls13=tls13)
    records = client.seal(b"first") + client.seal(b"second") + client.seal(b"third")
    for number in range(len(records)):
        await client.send_raw(records[number : number + 1])
    await until(lambda: accepted.sink.data == b"firstsecondthird")


@every_engine
async def test_data_in_one_segment_with_the_clients_finished(
    engine: type[Engine], place: Place
) -> None:
    client, accepted = place.pair(engine)
    await client.handshake(finish=False)
    await client.send_raw(client.outgoing() + client.seal(LONG[:40_000]))
    await until(lambda: accepted.sink.data == LONG[:40_000])
    accepted.write(b"reply")
    assert await client.receive_exactly(5) == b"reply"


@every_engine
async def test_all_in_one_segment_from_finished_to_fin(engine: type[Engine], place: Place) -> None:
    client, accepted = place.pair(engine)
    await client.handshake(finish=False)
    flight = client.outgoing() + client.seal(b"all of it")
    await client.send_raw(flight + client.seal_close_notify())
    client.send_fin()
    await until(lambda: accepted.sink.over)
    assert accepted.sink.data == b"all of it"
    assert accepted.sink.closed == [True]


@every_engine
async def test_a_leftover_longer_than_a_batch(engine: type[Engine], place: Place) -> None:
    """The leftover is as long as a client makes it; what is behind close_notify does not count."""
    client, accepted = await place.connect(engine, reading=False)
    client.go_raw()
    leftover = b""
    for _ in range(10):
        leftover += client.forger.data(b"a" * 16000)
    leftover += client.forger.record(21, b"\1\0")
    for _ in range(9):
        leftover += client.forger.data(b"b" * 16000)
    client.send_fin()
    accepted.engine.start(leftover)
    await until(lambda: accepted.sink.over)
    accepted.write(b"reply")  # behind everything that the worker still has to say
    await client.read_raw(5)
    assert accepted.sink.data == b"a" * 160_000
    assert accepted.sink.closed == [True]


@every_engine
@pytest.mark.parametrize("clean", [True, False])
async def test_the_end_is_told_once_whatever_the_sink_resumes(
    engine: type[Engine], clean: bool, place: Place
) -> None:
    client, accepted = await place.connect(engine)
    if clean:
        await client.send_raw(client.seal_close_notify())
    else:
        client.send_fin()
    await until(lambda: accepted.sink.over)
    accepted.engine.pause_reading()
    accepted.engine.resume_reading()
    if clean:
        await client.send_raw(b"\x17\x03\x03\x00\x05hello")
        client.send_fin()
    for _ in range(3):
        accepted.write(b"reply")
    await client.receive_exactly(15)
    assert accepted.sink.closed == [clean]


# -- 2 and 3: writing, congestion ----------------------------------------------------------


@every_engine
@every_version
async def test_one_write_of_megabytes(engine: type[Engine], tls13: bool, place: Place) -> None:
    client, accepted = await place.connect(engine, tls13=tls13, buffers=32 * 1024)
    data = LONG * 15
    accepted.write(data)
    assert accepted.engine.congested
    assert await client.receive_exactly(len(data)) == data
    await until(lambda: not accepted.engine.congested and accepted.engine.backlog == 0)


@with_and_without_tls
async def test_a_slow_reader_bounds_the_backlog(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine, buffers=32 * 1024)
    data = LONG * 20
    writing = asyncio.ensure_future(accepted.write_all(data))
    await until(lambda: accepted.engine.congested)
    await until(lambda: accepted.engine.outstanding() > 0)
    assert await client.receive_exactly(len(data)) == data
    largest = await writing
    assert largest < 1 << 20
    assert accepted.sink.writables
    await until(lambda: accepted.engine.outstanding() == 0)


@with_and_without_tls
async def test_writing_nothing(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    accepted.write(b"")
    accepted.write(b"something")
    assert await client.receive_exactly(9) == b"something"
    assert accepted.engine.backlog == 0


# -- 4: pausing ----------------------------------------------------------------------------


@with_and_without_tls
async def test_pausing(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine, buffers=256 * 1024)
    data = LONG * 20
    at_pause: list[int] = []

    def pause(_data: memoryview) -> None:
        if not at_pause:
            at_pause.append(len(accepted.sink.data))
            accepted.engine.pause_reading()

    accepted.sink.on_data = pause
    sending = asyncio.ensure_future(client.send(data))
    await until(lambda: at_pause)
    for _ in range(5):  # answers come behind all that the worker had to open
        accepted.write(b"x")
        await client.receive_exactly(1)
    assert len(accepted.sink.data) - at_pause[0] <= MAX_AFTER_PAUSE
    before = len(accepted.sink.data)
    for _ in range(5):
        accepted.write(b"x")
        await client.receive_exactly(1)
    assert len(accepted.sink.data) == before
    assert not sending.done()
    accepted.engine.resume_reading()
    await sending
    await until(lambda: len(accepted.sink.data) == len(data))
    assert accepted.sink.data == data


@with_and_without_tls
async def test_pausing_before_the_first_byte(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    accepted.engine.pause_reading()
    await client.send(b"request")
    accepted.write(b"x")
    await client.receive_exactly(1)
    assert not accepted.sink.data
    accepted.engine.resume_reading()
    await until(lambda: accepted.sink.data == b"request")


# -- 5: how the peer ends ------------------------------------------------------------------


@every_engine
@every_version
async def test_fin_without_close_notify(engine: type[Engine], tls13: bool, place: Place) -> None:
    client, accepted = await place.connect(engine, tls13=tls13)
    await client.send(b"cut")
    client.send_fin()
    await until(lambda: accepted.sink.over)
    assert accepted.sink.data == b"cut"
    assert accepted.sink.closed == [False]


@every_engine
async def test_fin_inside_a_record(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    await client.send_raw(client.seal(b"whole") + client.seal(b"cut")[:-1])
    client.send_fin()
    await until(lambda: accepted.sink.over)
    assert accepted.sink.data == b"whole"
    assert accepted.sink.closed == [False]


@every_engine
@every_version
@pytest.mark.parametrize("size", [5, 204_800])
async def test_data_close_notify_and_fin_in_one_segment(
    engine: type[Engine], tls13: bool, size: int, place: Place
) -> None:
    client, accepted = await place.connect(engine, tls13=tls13)
    await client.send_raw(client.seal(LONG[:size]) + client.seal_close_notify())
    client.send_fin()
    await until(lambda: accepted.sink.over)
    assert accepted.sink.data == LONG[:size]
    assert accepted.sink.closed == [True]


@every_engine
@every_version
async def test_a_client_that_closed_its_side_still_reads(
    engine: type[Engine], tls13: bool, place: Place
) -> None:
    client, accepted = await place.connect(engine, tls13=tls13)
    client.go_raw()
    await client.send_raw(client.forger.data(b"request") + client.forger.record(21, b"\1\0"))
    await until(lambda: accepted.sink.over)
    accepted.write(LONG)
    accepted.close()
    assert await client.read_raw_until_end() == "fin"
    assert client.reader.data == LONG
    assert client.reader.alerts == [(WARNING, Alert.CLOSE_NOTIFY)]
    await accepted.gone()


@with_and_without_tls
async def test_the_peer_resets(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    client.send_reset()
    await until(lambda: accepted.sink.over)
    assert accepted.sink.failed == ["connection reset by peer"]
    assert accepted.channel.closed


# -- 6: violations -------------------------------------------------------------------------


@every_engine
@every_version
async def test_a_tampered_record(engine: type[Engine], tls13: bool, place: Place) -> None:
    client, accepted = await place.connect(engine, tls13=tls13)
    client.go_raw()
    bad = bytearray(client.forger.data(b"tampered"))
    bad[-1] ^= 1
    await client.send_raw(bytes(bad))
    assert await client.read_raw_until_end() == "fin"
    assert client.reader.alerts == [(FATAL, Alert.BAD_RECORD_MAC)]
    assert len(accepted.sink.failed) == 1
    assert not accepted.sink.data


@every_engine
@every_version
async def test_what_came_before_the_tampered_record_counts(
    engine: type[Engine], tls13: bool, place: Place
) -> None:
    client, accepted = await place.connect(engine, tls13=tls13)
    client.go_raw()
    good = client.forger.data(b"good")
    bad = bytearray(client.forger.data(b"tampered"))
    bad[-1] ^= 1
    await client.send_raw(good + bytes(bad) + client.forger.data(b"behind"))
    assert await client.read_raw_until_end() == "fin"
    assert accepted.sink.data == b"good"
    assert accepted.sink.failed
    assert not accepted.sink.closed


@every_engine
async def test_openssl_understands_the_alert(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    await client.send_raw(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(SSL.Error, match="bad record mac"):
        await client.receive()
    assert accepted.sink.failed


@every_engine
@every_version
async def test_the_alert_arrives_when_it_overtakes_a_reply(
    engine: type[Engine], tls13: bool, place: Place
) -> None:
    """The sink writes on until it hears of the bad record; the alert must get through."""
    client, accepted = await place.connect(engine, tls13=tls13)
    client.go_raw()
    for _ in range(20):
        await client.send_raw(client.forger.data(b"good"))
    accepted.sink.on_data = lambda _data: accepted.write(b"reply")
    bad = bytearray(client.forger.data(b"tampered"))
    bad[-1] ^= 1
    accepted.write(LONG)
    await client.send_raw(bytes(bad) + bytes(50_000))
    while not accepted.sink.over:
        accepted.write(b"more")
        await asyncio.sleep(0)
    client.send_fin()
    assert await client.read_raw_until_end() == "fin"
    assert client.reader.alerts == [(FATAL, Alert.BAD_RECORD_MAC)]
    assert client.reader.kinds[-1] == 21


PLAIN = {
    "close_notify": b"\x15\x03\x03\x00\x02\x01\x00",
    "fatal alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "handshake": b"\x16\x03\x03\x00\x05\x18\x00\x00\x01\x01",
    "data": b"\x17\x03\x03\x00\x05hello",
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@every_engine
@every_version
@pytest.mark.parametrize("record", PLAIN.values(), ids=PLAIN.keys())
async def test_a_plaintext_record(
    engine: type[Engine], tls13: bool, record: bytes, place: Place
) -> None:
    client, accepted = await place.connect(engine, tls13=tls13)
    client.go_raw()
    await client.send_raw(record)
    assert await client.read_raw_until_end() == "fin"
    [(level, alert)] = client.reader.alerts
    assert level == FATAL
    assert Alert(alert) in (
        Alert.UNEXPECTED_MESSAGE,
        Alert.BAD_RECORD_MAC,
        Alert.RECORD_OVERFLOW,
        Alert.PROTOCOL_VERSION,
        Alert.DECODE_ERROR,
    )
    assert accepted.sink.failed
    assert not accepted.sink.closed


@every_engine
@every_version
async def test_a_fatal_alert_of_the_peer_is_not_answered(
    engine: type[Engine], tls13: bool, place: Place
) -> None:
    client, accepted = await place.connect(engine, tls13=tls13)
    client.go_raw()
    await client.send_raw(client.forger.record(21, bytes((FATAL, Alert.INTERNAL_ERROR))))
    assert await client.read_raw_until_end() == "fin"
    assert not client.reader.alerts
    [reason] = accepted.sink.failed
    assert "internal_error" in reason


@every_engine
async def test_renegotiation_is_refused(engine: type[Engine], place: Place) -> None:
    """With a warning, and the connection goes on; not for ever."""
    client, accepted = await place.connect(engine, tls13=False)
    client.go_raw()
    warnings = []
    for number in range(1, 5):
        await client.send_raw(client.forger.record(22, b"\1\0\0\2\3\3") + client.forger.data(b"x"))
        await until(lambda number=number: len(accepted.sink.data) == number)  # type: ignore[misc]
        accepted.write(b"y" * 1000)
        await client.read_raw(1000 * number)
        warnings.append((WARNING, Alert.NO_RENEGOTIATION))
        assert client.reader.alerts == warnings
    await client.send_raw(client.forger.record(22, b"\1\0\0\2\3\3"))
    assert await client.read_raw_until_end() == "fin"
    assert client.reader.alerts == [*warnings, (FATAL, Alert.UNEXPECTED_MESSAGE)]
    [reason] = accepted.sink.failed
    assert "renegotiate" in reason


# -- KeyUpdate -----------------------------------------------------------------------------


@every_engine
async def test_key_updates_in_the_middle_of_transfers_both_ways(
    engine: type[Engine], place: Place
) -> None:
    client, accepted = await place.connect(engine)
    client.go_raw()
    writing = asyncio.ensure_future(accepted.write_all(LONG * 10))
    reading = asyncio.ensure_future(client.read_raw(len(LONG) * 10))
    sent = bytearray()
    for number in range(20):
        part = bytes([number]) * 20_000
        for start in range(0, len(part), 16_000):
            await client.send_raw(client.forger.data(part[start : start + 16_000]))
        request = number % 2 == 1
        await client.send_raw(
            client.forger.key_update(KEY_UPDATE_REQUEST if request else KEY_UPDATE)
        )
        sent += part
    await client.send_raw(client.forger.data(b"end"))
    await writing
    await reading
    await until(lambda: accepted.sink.data == bytes(sent) + b"end")
    assert client.reader.data == LONG * 10
    accepted.close()
    await client.read_raw_until_end()
    assert 1 <= len(client.reader.key_updates) <= 10
    assert set(client.reader.key_updates) == {0}


# -- close ---------------------------------------------------------------------------------


@every_engine
@every_version
async def test_close_sends_everything_then_close_notify_then_fin(
    engine: type[Engine], tls13: bool, place: Place
) -> None:
    client, accepted = await place.connect(engine, tls13=tls13, buffers=32 * 1024)
    client.go_raw()
    accepted.write(LONG * 5)
    accepted.close()
    assert await client.read_raw_until_end() == "fin"
    assert client.reader.data == LONG * 5
    assert client.reader.alerts == [(WARNING, Alert.CLOSE_NOTIFY)]
    assert client.reader.kinds[-1] == 21
    assert not accepted.channel.closed  # it waits for the client's FIN
    client.send_fin()
    await accepted.gone()


@every_engine
async def test_openssl_takes_it_for_a_clean_end(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    accepted.write(b"reply")
    accepted.close()
    assert await client.receive_all() == b"reply"
    assert client.close_notify


@every_engine
async def test_close_lingers_for_a_client_that_still_sends(
    engine: type[Engine], place: Place
) -> None:
    """Closing at once would reset the connection and take the reply with it."""
    client, accepted = await place.connect(engine, buffers=64 * 1024)
    accepted.sink.on_data = lambda _data: accepted.engine.pause_reading()
    sending = asyncio.ensure_future(client.send(LONG * 10))
    await until(lambda: accepted.sink.data)
    accepted.write(b"413")
    accepted.close()
    await sending
    client.send_fin()
    assert await client.receive_all() == b"413"
    assert client.close_notify
    assert client.end == "fin"
    await accepted.gone()


@every_engine
async def test_without_close_notify(engine: type[Engine], place: Place) -> None:
    """EnableSslCloseNotify=0: FIN alone."""
    client, accepted = await place.connect(engine, close_notify=False)
    client.go_raw()
    accepted.write(b"reply")
    accepted.close()
    assert await client.read_raw_until_end() == "fin"
    assert client.reader.data == b"reply"
    assert not client.reader.alerts
    client.send_fin()
    await accepted.gone()


@with_and_without_tls
async def test_after_close_the_sink_hears_nothing(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    await client.send(LONG)
    accepted.write(LONG)
    accepted.close()
    assert accepted.sink.data == b""  # nothing was read before
    await client.send(b"more")
    await client.send_raw(b"\x17\x03\x03\x00\x20" + bytes(32))
    await client.send_raw(client.seal_close_notify())
    client.send_fin()
    assert await client.receive_all() == LONG
    await accepted.gone()


@every_engine
async def test_closing_again_is_harmless(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    client.go_raw()
    accepted.write(b"reply")
    accepted.close()
    accepted.close()
    accepted.abort()
    accepted.write(b"too late")
    accepted.engine.pause_reading()
    accepted.engine.resume_reading()
    assert await client.read_raw_until_end() == "fin"
    assert client.reader.data == b"reply"
    assert client.reader.alerts == [(WARNING, Alert.CLOSE_NOTIFY)]
    client.send_fin()
    await accepted.gone()
    accepted.close()


@with_and_without_tls
async def test_a_client_that_resets_while_we_close(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine, buffers=32 * 1024)
    accepted.write(LONG * 5)
    accepted.close()
    client.send_reset()
    await accepted.gone()


@every_engine
async def test_closing_from_within_plaintext_received(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    client.go_raw()

    def answer(_data: memoryview) -> None:
        accepted.write(b"reply")
        accepted.close()

    accepted.sink.on_data = answer
    await client.send_raw(client.forger.data(b"request") + client.forger.record(21, b"\1\0"))
    assert await client.read_raw_until_end() == "fin"
    assert client.reader.data == b"reply"
    client.send_fin()
    await accepted.gone()


# -- abort ---------------------------------------------------------------------------------


@every_engine
@every_version
async def test_abort_resets(engine: type[Engine], tls13: bool, place: Place) -> None:
    client, accepted = await place.connect(engine, tls13=tls13)
    client.go_raw()
    accepted.write(b"half of the re")
    await client.read_raw(14)
    accepted.abort()
    assert await client.read_raw_until_end() == "reset"
    assert not client.reader.alerts
    assert accepted.channel.closed
    accepted.abort()
    accepted.close()


@every_engine
@every_version
async def test_abort_with_an_alert(engine: type[Engine], tls13: bool, place: Place) -> None:
    client, accepted = await place.connect(engine, tls13=tls13)
    client.go_raw()
    accepted.write(b"half of the re")
    accepted.abort(Alert.INTERNAL_ERROR)
    assert await client.read_raw_until_end() == "reset"
    assert client.reader.data == b"half of the re"
    assert client.reader.alerts == [(FATAL, Alert.INTERNAL_ERROR)]
    await accepted.gone()


@with_and_without_tls
async def test_after_abort_the_sink_hears_nothing(engine: type[Engine], place: Place) -> None:
    client, accepted = await place.connect(engine)
    await client.send(LONG)
    accepted.write(LONG)
    accepted.abort(Alert.INTERNAL_ERROR)
    while await client.receive_raw():
        pass
    assert client.end == "reset"
    await accepted.gone()
