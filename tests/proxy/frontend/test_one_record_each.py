"""Every way in which a request can end: its record is opened, finished and handed on once."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from kssl.config.model import Site, SiteLimits
from kssl.config.target import Target
from kssl.proxy.frontend import answering, exchange
from kssl.proxy.frontend.draining import MAX_DRAIN
from kssl.proxy.frontend.exchange import Exchange
from kssl.proxy.frontend.http_connection import HttpConnection
from kssl.proxy.journal.journal import Journal
from kssl.proxy.journal.record import ConnectionEvent, RequestRecord
from tests.proxy.frontend.clients import Client, ClosedError, CutError, post, request
from tests.proxy.frontend.plain import PlainClient
from tests.proxy.frontend.rig import BINDINGS, TLS, Rig, wait_for
from tests.proxy.frontend.upstreams import (
    Script,
    Upstream,
    UpstreamSide,
    answer_all,
    answer_then_close,
    chunked,
    response,
)

pytestmark = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "h11")], ids=["kernel", "user"], indirect=True
)

Row = tuple[int, str]
"""Status and reason."""

LARGE = 64 << 20  # more than all buffers on the way
SWITCH = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n"
UPGRADE = request(b"GET", b"/", b"Connection: Upgrade", b"Upgrade: raw")
LONG = request(b"POST", b"/", b"Content-Length: 1000")
CHUNKED = request(b"POST", b"/", b"Transfer-Encoding: chunked")


@dataclass
class Seen:
    """The sink of the journal."""

    every: bool = True
    records: list[RequestRecord] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def finished(self, record: RequestRecord) -> None:
        self.records.append(record)

    def happened(self, event: ConnectionEvent) -> None:
        if event.reason != "Unclean_Close":
            self.events.append(event.reason)


@dataclass
class End:
    """One row of the table: what the app does, what the client does, and the records."""

    app: Script
    play: Callable[[Rig, Client], None]
    rows: list[Row]
    events: list[str] = field(default_factory=list)
    site: Site | None = None


# -- apps ----------------------------------------------------------------------------------


def silent(side: UpstreamSide) -> None:
    side.read_to_end()


def begun(side: UpstreamSide) -> None:
    """A response that does not end."""
    side.read_head()
    side.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")
    side.read_to_end()


def endless(side: UpstreamSide) -> None:
    side.read_head()
    side.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
    with contextlib.suppress(ConnectionError):
        for _ in range(LARGE >> 16):
            side.send(bytes(1 << 16))
    side.read_to_end()


def tunnel(side: UpstreamSide) -> None:
    side.read_head()
    side.send(SWITCH, b"part")
    side.read_to_end()


def broken_tunnel(side: UpstreamSide) -> None:
    side.read_head()
    side.send(SWITCH, b"part")
    side.take(1)
    side.reset()


def too_early(side: UpstreamSide) -> None:
    """An answer in front of the body."""
    side.read_head()
    side.send(response(b"no", status=b"413 Content Too Large"))
    side.read_to_end()


# -- clients -------------------------------------------------------------------------------


def ask(*pieces: bytes, answers: int = 1) -> Callable[[Rig, Client], None]:
    """Sends ``pieces``, reads so many answers and closes."""

    def play(proxy: Rig, client: Client) -> None:
        client.send(b"".join(pieces))
        for _ in range(answers):
            client.read_answer()
        client.close_notify()

    return play


def to_the_end(*pieces: bytes) -> Callable[[Rig, Client], None]:
    """Reads until the proxy ends the connection."""

    def play(_: Rig, client: Client) -> None:
        client.send(*pieces)
        client.read_to_end()

    return play


def leaves(how: str, *pieces: bytes, after: bytes = b"") -> Callable[[Rig, Client], None]:
    """Sends ``pieces``, waits until they have come, or for ``after``, and goes."""

    def play(proxy: Rig, client: Client) -> None:
        client.send(*pieces)
        if after:
            client.take_until(after)
        else:
            connection(proxy, lambda http: not http.idle)
        getattr(client, how)()
        if how != "reset":
            with contextlib.suppress(ssl.SSLError):
                client.read_to_end()

    return play


def done_by(
    act: Callable[[HttpConnection], None], *pieces: bytes, after: bytes = b""
) -> Callable[[Rig, Client], None]:
    """Sends ``pieces``; then the proxy does something with the connection, as a sweep would."""

    def play(proxy: Rig, client: Client) -> None:
        client.send(*pieces)
        if after:
            client.take_until(after)
        http = connection(proxy, lambda http: not http.idle or http.tunnelled)
        proxy.call(lambda: act(http))
        client.read_to_end()

    return play


def between(act: Callable[[HttpConnection], None]) -> Callable[[Rig, Client], None]:
    """The same when a request is over."""

    def play(proxy: Rig, client: Client) -> None:
        client.ask()
        http = connection(proxy, lambda http: http.idle)
        proxy.call(lambda: act(http))
        client.read_to_end()

    return play


def connection(proxy: Rig, ready: Callable[[HttpConnection], bool]) -> HttpConnection:
    found: list[HttpConnection] = []

    def find() -> bool:
        of_all = [each._http for each in proxy.front.connections if each._http is not None]
        found[:] = [http for http in of_all if ready(http)]
        return bool(found)

    wait_for(lambda: proxy.call(find), "the connection is ready")
    [http] = found
    return http


def expires(http: HttpConnection) -> None:
    http.expired()


def exchange_expires(http: HttpConnection) -> None:
    """The exchange alone: what the client has not read is not looked at first."""
    assert isinstance(http._exchange, Exchange)
    http._exchange.expired()


def no_answer(proxy: Rig, client: Client) -> None:
    client.send(request())
    http = connection(proxy, lambda http: not http.idle)
    proxy.call(lambda: exchange_expires(http))
    client.read_answer()
    client.close_notify()


def unread(proxy: Rig, client: Client) -> None:
    client.send(request())
    http = connection(proxy, lambda http: not http.idle)

    def expire() -> bool:
        if not http.engine.backlog:
            return False
        exchange_expires(http)
        return True

    wait_for(lambda: proxy.call(expire), "something waits for the client")


def late_body(proxy: Rig, client: Client) -> None:
    client.send(LONG, b"x")
    connection(
        proxy,
        lambda http: isinstance(http._exchange, Exchange) and not http._exchange._upstream_owes(),
    )
    http = connection(proxy, lambda http: not http.idle)
    proxy.call(http.expired)
    client.read_to_end()


def chunk_too_late(_: Rig, client: Client) -> None:
    client.send(CHUNKED, b"5\r\nhello\r\n")
    client.take_until(b"part")
    client.send(b"zz\r\n")
    client.read_to_end()


def stale(proxy: Rig, client: Client) -> None:
    """A kept connection that the app has closed."""
    client.ask()
    client.ask()
    client.close_notify()


def drains(proxy: Rig, client: Client) -> None:
    client.send(LONG)
    client.read_answer()
    client.send(bytes(1000), request())
    client.read_answer()
    client.close_notify()


def drains_too_long(proxy: Rig, client: Client) -> None:
    client.send(CHUNKED)
    client.read_answer()
    with contextlib.suppress(OSError, ClosedError, CutError):
        for _ in range((MAX_DRAIN >> 16) + 2):
            client.send(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
    client.read_to_end()


def speaks(_: Rig, client: Client) -> None:
    client.send(UPGRADE)
    client.take_until(b"part")
    client.send(b"x")
    client.read_to_end()


ok = answer_all(response(b"abc"))
named = Site(
    name="app", bindings=(TLS,), hostnames=("a.localhost",), upstreams=(Target("http", "x", 1),)
)
SHORT = replace(named, hostnames=(), default=True, limits=SiteLimits(max_url=4))

DROPPED = "Connection_Dropped"

ENDS: dict[str, End] = {
    "answered": End(ok, ask(request()), [(200, "")]),
    "kept": End(ok, ask(request(), request(), answers=2), [(200, "")] * 2),
    "with a body": End(ok, ask(post(b"abc")), [(200, "")]),
    "chunked": End(
        answer_then_close(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked([b"a", b"b"])
        ),
        ask(request()),
        [(200, "")],
    ),
    "to the end of the connection": End(
        answer_then_close(b"HTTP/1.1 200 OK\r\n\r\nabc"), ask(request()), [(200, "")]
    ),
    "no answer": End(lambda side: side.close(), ask(request()), [(502, "Upstream")]),
    "a bad answer": End(
        answer_then_close(b"nonsense\r\n\r\n"), ask(request()), [(502, "Upstream")]
    ),
    "no answer in time": End(silent, no_answer, [(504, "Upstream")]),
    "an answer in part": End(
        answer_then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
        to_the_end(request()),
        [(200, "Upstream")],
    ),
    "no more of an answer in time": End(
        begun, done_by(exchange_expires, request(), after=b"part"), [(200, "Upstream")]
    ),
    "a stale connection, again": End(answer_then_close(response(b"abc")), stale, [(200, "")] * 2),
    "a bad head": End(ok, to_the_end(b"GET /\r\n\r\n"), [(400, "BadRequest")]),
    "a bad head behind a good one": End(
        ok, to_the_end(request(), b"nonsense\r\n\r\n"), [(200, ""), (400, "BadRequest")]
    ),
    "a head that takes too long": End(
        ok, done_by(expires, b"GET / HT"), [(408, "Timer_HeaderWait")]
    ),
    "no such site": End(ok, to_the_end(request()), [(404, "Hostname")], site=named),
    "a path too long": End(
        ok, to_the_end(request(b"GET", b"/12345")), [(404, "URL_Length")], site=SHORT
    ),
    "a bad chunk": End(silent, to_the_end(CHUNKED, b"zz\r\n"), [(400, "BadRequest")]),
    "a bad chunk behind the answer's beginning": End(begun, chunk_too_late, [(400, "BadRequest")]),
    "a body that takes too long": End(silent, late_body, [(408, "Timer_EntityBody")]),
    "FIN in a body": End(silent, leaves("fin", LONG), [(0, DROPPED)]),
    "close_notify in a body": End(silent, leaves("close_notify", LONG), [(0, DROPPED)]),
    "reset in a body": End(silent, leaves("reset", LONG), [(0, "Client_Reset")]),
    "reset in front of the answer": End(silent, leaves("reset", request()), [(0, "Client_Reset")]),
    "reset in an answer": End(
        begun, leaves("reset", request(), after=b"part"), [(0, "Client_Reset")]
    ),
    "FIN in a head": End(ok, leaves("fin", b"GET /x HT"), [(0, DROPPED)]),
    "reset in a head": End(ok, leaves("reset", b"GET /x HT"), [(0, "Client_Reset")]),
    "an answer that is not read": End(endless, unread, [(200, "Timer_Response")]),
    "an early answer": End(too_early, drains, [(413, "")] * 2),
    "an early answer in front of too much": End(
        too_early, drains_too_long, [(413, "")], ["EntityTooLarge"]
    ),
    "no memory": End(silent, done_by(HttpConnection.cut, request()), [(499, "Memory_Full")]),
    "no memory for a head": End(
        ok, done_by(HttpConnection.cut, b"GET /x HT"), [(0, "Memory_Full")]
    ),
    "no memory for a tunnel": End(
        tunnel,
        done_by(HttpConnection.cut, UPGRADE, after=b"part"),
        [(101, "Memory_Full")],
    ),
    "the service stops": End(silent, done_by(HttpConnection.end, request()), [(499, DROPPED)]),
    "the service stops in an answer": End(
        begun, done_by(HttpConnection.end, request(), after=b"part"), [(200, DROPPED)]
    ),
    "the service stops in a head": End(
        ok, done_by(HttpConnection.end, b"GET /x HT"), [(0, DROPPED)]
    ),
    "the service stops at a tunnel": End(
        tunnel, done_by(HttpConnection.end, UPGRADE, after=b"part"), [(101, "")]
    ),
    "a mistake of ours": End(
        silent, done_by(HttpConnection.crashed, request()), [(499, "Internal")]
    ),
    "a mistake of ours at a tunnel": End(
        tunnel, done_by(HttpConnection.crashed, UPGRADE, after=b"part"), [(101, "Internal")]
    ),
    "a tunnel that the app resets": End(broken_tunnel, speaks, [(101, "")]),
    "a tunnel that the client resets": End(
        tunnel, leaves("reset", UPGRADE, after=b"part"), [(101, "")]
    ),
    "a mistake between two requests": End(
        ok, between(HttpConnection.crashed), [(200, "")], ["Internal"]
    ),
    "no memory between two requests": End(
        ok, between(HttpConnection.cut), [(200, "")], ["Memory_Full"]
    ),
    "nothing for too long": End(ok, between(expires), [(200, "")], ["Timer_ConnectionIdle"]),
}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[RequestRecord]:
    """All records, from their beginning on."""
    records: list[RequestRecord] = []

    class Noted(RequestRecord):
        __slots__ = ()

        def __init__(self, *of: object) -> None:
            super().__init__(*of)  # type: ignore[arg-type]
            records.append(self)

    for module in (answering, exchange):
        monkeypatch.setattr(module, "RequestRecord", Noted)
    return records


def watch(proxy: Rig) -> Seen:
    """Have everything that is told from now on."""
    seen, journal = Seen(), proxy.front.journal
    watched = Journal(journal.access_log, proxy.errors, journal.closes, seen)
    proxy.call(lambda: setattr(proxy.front, "journal", watched))
    return seen


@pytest.mark.parametrize("name", ENDS)
def test_one_record(
    proxy: Rig, name: str, opened: list[RequestRecord], caplog: pytest.LogCaptureFixture
) -> None:
    end = ENDS[name]
    with Upstream(end.app) as upstream:
        if end.site is not None:
            target = Target("http", "127.0.0.1", upstream.port)
            proxy.serve_sites(replace(end.site, upstreams=(target,)))
        else:
            proxy.configure(port=upstream.port)
        seen = watch(proxy)
        with proxy.client() as client, caplog.at_level(logging.ERROR):
            end.play(proxy, client)
        wait_for(lambda: not proxy.front.connections, "the connection is over")
    proxy.call(proxy.front.journal.access_log.flush)
    assert [(each.status, each.reason) for each in seen.records] == end.rows
    assert seen.records == opened
    assert seen.events == end.events
    assert "finished again" not in caplog.text
    # The logs have been fed from the same records.
    statuses = [int(line.split(b'" ')[1][:3]) for line in proxy.log_lines]
    assert statuses == [
        each.status or 499
        for each in seen.records
        if each.status or not isinstance(each.request, bytes)
    ]
    reasons = [reason for _, reason in end.rows if reason]
    assert [line["reason"] for line in proxy.errors.lines] == reasons + end.events


def test_a_redirected_request(proxy: Rig, opened: list[RequestRecord]) -> None:
    proxy.serve_sites(replace(SHORT, bindings=BINDINGS, redirect=True))
    seen = watch(proxy)
    with PlainClient(proxy.plain_port) as client:
        assert client.ask().status == 308
    wait_for(lambda: not proxy.front.connections, "the connection is over")
    assert [(each.status, each.reason, each.line) for each in seen.records] == [
        (308, "", b"GET / HTTP/1.1")
    ]
    assert seen.records == opened
    assert proxy.errors.lines == []


def test_a_place_of_a_site_is_free_again_after_each_end(proxy: Rig) -> None:
    """One at a time: of an answered request, of one that the client left, of a tunnel."""
    ends = [ENDS[name] for name in ("kept", "reset in an answer", "no memory for a tunnel")]
    for end in ends:
        with Upstream(end.app) as upstream:
            target = Target("http", "127.0.0.1", upstream.port)
            site = replace(SHORT, limits=SiteLimits(max_connections=1), upstreams=(target,))
            proxy.serve_sites(site)
            seen = watch(proxy)
            with proxy.client() as client:
                end.play(proxy, client)
            wait_for(lambda: not proxy.front.connections, "the connection is over")
        assert [(each.status, each.reason) for each in seen.records] == end.rows
        assert proxy.front._sites["app"].running.count == 0
