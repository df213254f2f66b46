"""EnableSslCloseNotify: a session is resumed only after a clean close.

The client is the standard library's, which can tell whether it resumed: with another OpenSSL
than the worker's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from kssl.fastpath.engines.contract import Engine
from kssl.fastpath.ipc.frames import FrameType, pack_begin
from kssl.fastpath.tls.errors import Alert
from tests.fastpath.engines.variants import ONE_BY_ONE, identify
from tests.fastpath.harness import ENGINES, Accepted, Place, tcp_pair, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("engine", [*ENGINES, *ONE_BY_ONE], ids=identify),
    pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"]),
]


class Browser:
    """One client with its session; connections one after the other."""

    def __init__(self, place: Place, engine: type[Engine], tls13: bool, close_notify: bool) -> None:
        self._place, self._engine, self._close_notify = place, engine, close_notify
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        version = ssl.TLSVersion.TLSv1_3 if tls13 else ssl.TLSVersion.TLSv1_2
        self._context.minimum_version = self._context.maximum_version = version
        self._context.options |= ssl.OP_NO_TICKET
        self._loop = asyncio.get_running_loop()
        self.session: ssl.SSLSession | None = None
        self.accepted: Accepted
        self._open: list[Accepted] = []

    async def connect(self, *, early: bytes = b"") -> bool:
        """Whether the session was resumed. ``early``: sent in one segment with Finished."""
        theirs, self._sock = tcp_pair()
        self.accepted = Accepted(
            theirs, self._place.supervisor, self._engine, close_notify=self._close_notify
        )
        self._open.append(self.accepted)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = self._context.wrap_bio(self._in, self._out, session=self.session)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self.flush()
                self._in.write(await self._loop.sock_recv(self._sock, 1 << 16))
        self._tls.write(early + b"request")
        await self.flush()
        await until(lambda: self.accepted.sink.data == early + b"request")
        self.accepted.write(b"reply")
        reply = b""
        while len(reply) < 5:
            try:
                reply += self._tls.read(5)
            except ssl.SSLWantReadError:
                self._in.write(await self._loop.sock_recv(self._sock, 1 << 16))
        self.session = self._tls.session
        return bool(self._tls.session_reused)

    async def flush(self) -> None:
        await self._loop.sock_sendall(self._sock, self._out.read())

    async def read_to_the_end(self) -> None:
        while data := await self._loop.sock_recv(self._sock, 1 << 16):
            self._in.write(data)
        self._in.write_eof()

    async def send_close_notify(self) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            await self.flush()

    async def close(self, *, clean: bool) -> None:
        """The client closes, and the server when it hears of it."""
        if clean:
            await self.send_close_notify()
        self._sock.close()
        await until(lambda: self.accepted.sink.over)
        assert self.accepted.sink.closed == [clean]
        self.accepted.close()
        await self.accepted.gone()

    async def done(self) -> None:
        """END is behind us at the worker once it has answered something sent later."""
        answered = Answered()
        link = self._place.link
        identifier = link.open(answered)
        link.send(FrameType.BEGIN, identifier, pack_begin(False, 0))
        await until(lambda: answered.told)
        link.end(identifier, resumable=False)

    def drop(self) -> None:
        self._sock.close()
        for accepted in self._open:
            accepted.drop()


class Answered:
    def __init__(self) -> None:
        self.told = False

    def frame_received(self, kind: int, payload: memoryview) -> None:
        self.told = True

    def worker_lost(self) -> None:
        raise AssertionError


class Browsers:
    def __init__(self, place: Place) -> None:
        self._place = place
        self.made: list[Browser] = []

    def __call__(self, engine: type[Engine], tls13: bool, *, close_notify: bool = True) -> Browser:
        self.made.append(Browser(self._place, engine, tls13, close_notify))
        return self.made[-1]


@pytest_asyncio.fixture(loop_scope="module")
async def browser(place: Place) -> AsyncIterator[Browsers]:
    browsers = Browsers(place)
    yield browsers
    for made in browsers.made:
        made.drop()


async def test_resumed_after_a_clean_close(
    engine: type[Engine], tls13: bool, browser: Browsers
) -> None:
    client = browser(engine, tls13)
    assert not await client.connect()
    await client.close(clean=True)
    assert await client.connect()
    await client.close(clean=True)
    assert await client.connect(early=b"e" * 50_000)


async def test_not_resumed_after_an_unclean_one(
    engine: type[Engine], tls13: bool, browser: Browsers
) -> None:
    client = browser(engine, tls13)
    await client.connect()
    await client.close(clean=False)
    await client.done()
    assert not await client.connect()


async def test_a_resumed_connection_that_ends_unclean(
    engine: type[Engine], tls13: bool, browser: Browsers
) -> None:
    client = browser(engine, tls13)
    await client.connect()
    await client.close(clean=True)
    assert await client.connect()
    await client.close(clean=False)
    await client.done()
    assert not await client.connect()


async def test_resumed_all_the_same_when_close_notify_is_off(
    engine: type[Engine], tls13: bool, browser: Browsers
) -> None:
    client = browser(engine, tls13, close_notify=False)
    await client.connect()
    await client.close(clean=False)
    await client.done()
    assert await client.connect()


@pytest.mark.parametrize("close_notify", [True, False])
async def test_never_after_a_fatal_alert(
    engine: type[Engine], tls13: bool, close_notify: bool, browser: Browsers
) -> None:
    """RFC 5246 §7.2.2: the session must be forgotten."""
    client = browser(engine, tls13, close_notify=close_notify)
    await client.connect()
    await client._loop.sock_sendall(client._sock, b"\x17\x03\x03\x00\x20" + bytes(32))
    await until(lambda: client.accepted.sink.failed)
    client._sock.close()
    await client.accepted.gone()
    await client.done()
    assert not await client.connect()


async def test_never_after_an_abort_with_an_alert(
    engine: type[Engine], tls13: bool, browser: Browsers
) -> None:
    client = browser(engine, tls13, close_notify=False)
    await client.connect()
    client.accepted.abort(Alert.INTERNAL_ERROR)
    await client.accepted.gone()
    client._sock.close()
    await client.done()
    assert not await client.connect()


async def test_resumed_when_we_closed_first_and_the_client_answered(
    engine: type[Engine], tls13: bool, browser: Browsers
) -> None:
    """Idle timeouts and `Connection: close`: the client's close_notify comes behind ours."""
    client = browser(engine, tls13)
    await client.connect()
    client.accepted.close()
    await client.read_to_the_end()
    await client.send_close_notify()
    await client.flush()
    client._sock.close()
    await client.accepted.gone()
    await client.done()
    assert await client.connect()


async def test_not_resumed_when_we_closed_first_and_the_client_did_not_answer(
    engine: type[Engine], tls13: bool, browser: Browsers
) -> None:
    client = browser(engine, tls13)
    await client.connect()
    client.accepted.close()
    await client.read_to_the_end()
    client._sock.close()
    await client.accepted.gone()
    await client.done()
    assert not await client.connect()


async def test_resumed_when_the_client_answered_before_it_had_read_all(
    engine: type[Engine], tls13: bool, browser: Browsers
) -> None:
    """Its close_notify comes while our last bytes still wait, and it counts all the same."""
    client = browser(engine, tls13)
    await client.connect()
    channel = client.accepted.channel
    client.accepted.write(bytes(8_000_000))  # more than the kernel takes
    client.accepted.close()
    await until(lambda: channel._reading and channel.backlog)
    await client.send_close_notify()
    client._sock.shutdown(socket.SHUT_WR)
    await until(lambda: not channel._reading)
    assert channel.backlog
    await client.read_to_the_end()
    await client.accepted.gone()
    client._sock.close()
    await client.done()
    assert await client.connect()
