"""Connections that have ended go by their reference counts alone: the cyclic collector, which is
set to look seldom (`kssl.fastpath.ipc.collector`), finds nothing of ours."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import types
from collections.abc import Callable, Iterator

import pytest

from kssl.fastpath.net.channel import Channel
from kssl.proxy.frontend.client import ClientConnection
from kssl.proxy.frontend.exchange import Exchange
from tests.proxy.frontend.clients import ClosedError, CutError, request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import Script, UpstreamSide, answer_all, response

_TIMES = 3
_ASK = request(b"GET", b"/", b"Connection: Upgrade", b"Upgrade: echo")
_SWITCH = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


@pytest.fixture
def unreachable(frozen: None) -> Iterator[Callable[[], list[str]]]:
    """What of ours the collector would have had to free, of what was made since the test began.

    Whatever lived before is not looked at: it may belong to an earlier test, and become garbage at
    any time, such as a service that a thread lets go of a little later.
    """
    gc.collect()
    gc.disable()
    gc.freeze()  # until the end of `frozen`
    gc.set_debug(gc.DEBUG_SAVEALL)

    def find() -> list[str]:
        gc.collect()
        return [repr(thing) for thing in gc.garbage if _is_ours(thing)]

    yield find
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def _is_ours(thing: object) -> bool:
    """Not a test's, and not an object of a library, though one of ours may hold it."""
    if isinstance(thing, types.FrameType):
        module = thing.f_globals.get("__name__", "")
    elif isinstance(thing, types.FunctionType | types.MethodType):
        module = thing.__module__
    else:
        module = type(thing).__module__
    return str(module).startswith("kssl.")


# -- clients -------------------------------------------------------------------------------


def _clean(proxy: Rig) -> None:
    with proxy.client() as client:
        client.ask()
        client.close_notify()
        client.read_to_end()


def _fin(proxy: Rig) -> None:
    with proxy.client() as client:
        client.ask()
        client.fin()
        client.read_to_end()


def _reset(proxy: Rig) -> None:
    client = proxy.client()
    client.ask()
    client.reset()


def _reset_in_a_request(proxy: Rig) -> None:
    client = proxy.client()
    client.send(request(b"POST", b"/", b"Content-Length: 100000000") + bytes(100_000))
    client.reset()


def _bad_record(proxy: Rig) -> None:
    with proxy.client() as client:
        client.ask()
        client.sock.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        with contextlib.suppress(ssl.SSLError):
            client.read_to_end()


def _no_handshake(proxy: Rig) -> None:
    for data in (b"\0\1", b"GET / HTTP/1.1\r\n\r\n", b"\x16\3\1\0\5hello", b"\x16", b""):
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1000):
                pass


def _half_a_handshake(proxy: Rig) -> None:
    for end in ("reset", "fin"):
        with proxy.client(handshake=False) as client:
            client.sock.sendall(client.client_hello())
            client.sock.recv(10)
            getattr(client, end)()


def _any_answer(proxy: Rig) -> None:
    with proxy.client() as client, contextlib.suppress(ClosedError, CutError):
        client.ask()


def _tunnel(proxy: Rig) -> None:
    for end in ("close_notify", "reset"):
        with proxy.client() as client:
            client.send(_ASK)
            assert client.read_answer().status == 101
            client.send(b"x")
            assert client.take(1) == b"x"
            getattr(client, end)()
            if end == "close_notify":
                client.read_to_end()


def _early(proxy: Rig) -> None:
    """Its body is not wanted any more."""
    for end in ("close_notify", "reset", "ask"):
        with proxy.client() as client:
            client.send(request(b"POST", b"/", b"Content-Length: 10") + b"01234")
            assert client.read_answer().status == 200
            if end == "ask":
                client.send(b"56789")
            getattr(client, end)()


def _reset_while_it_waits(proxy: Rig) -> None:
    client = proxy.client()
    client.send(request(b"POST", b"/", b"Content-Length: 10", b"Expect: 100-continue"))
    wait_for(lambda: any(map(_has_timer, list(proxy.front.connections))), "the timer")
    client.reset()


def _has_timer(connection: ClientConnection) -> bool:
    exchange = connection._http._exchange if connection._http is not None else None
    return isinstance(exchange, Exchange) and bool(exchange._expects and exchange._expects._timer)


def _late_head(proxy: Rig) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as silent:
        with proxy.client() as client:
            client.send(b"GET /")
            client.read_to_end()
        assert not silent.recv(1)


# -- upstreams -----------------------------------------------------------------------------

_ANSWERS = answer_all(response(b"hello"))


def _sends(data: bytes) -> Script:
    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.send(data)

    return script


def _resets(side: UpstreamSide) -> None:
    side.read_head()
    side.reset()


def _echoes(side: UpstreamSide) -> None:
    side.read_head()
    side.send(_SWITCH)
    while True:
        side.send(side.take(1))


CASES: dict[str, tuple[Script, Callable[[Rig], None]]] = {
    "clean": (_ANSWERS, _clean),
    "fin": (_ANSWERS, _fin),
    "reset": (_ANSWERS, _reset),
    "reset in a request": (UpstreamSide.read_to_end, _reset_in_a_request),
    "bad record": (_ANSWERS, _bad_record),
    "no handshake": (_ANSWERS, _no_handshake),
    "half a handshake": (_ANSWERS, _half_a_handshake),
    "tunnel": (_echoes, _tunnel),
    "upstream closes": (_sends(b""), _any_answer),
    "upstream resets": (_resets, _any_answer),
    "cut short": (_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n."), _any_answer),
    "bad answer": (_sends(b"nonsense\r\n\r\n"), _any_answer),
    # The app ends behind each answer, and says so: it might be asked again as it does.
    "answered early": (_sends(response(b"no", b"Connection: close")), _early),
    "not told 100": (UpstreamSide.read_to_end, _reset_while_it_waits),
    "until the end": (_sends(b"HTTP/1.1 200 OK\r\n\r\n."), _any_answer),
}


def _gone(proxy: Rig) -> None:
    """Until the proxy has forgotten the clients and closed its idle upstream connections."""

    def nothing_left() -> bool:
        front = proxy.front
        front.close_pools()
        front.drop_closed()
        return not front.connections and not front.closing

    wait_for(lambda: proxy.call(nothing_left), "all connections closed")


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_left_for_the_collector(
    proxy: Rig, serve: Serve, unreachable: Callable[[], list[str]], case: str
) -> None:
    script, client = CASES[case]
    serve(script)
    for _ in range(_TIMES):
        client(proxy)
    _gone(proxy)
    proxy.configure()  # its sites and pools are over, too
    assert unreachable() == []
    link = proxy.front.supervisors[0].link
    assert link is not None
    wait_for(lambda: len(link._receivers) == 1, "the worker's link knows only itself")
    wait_for(lambda: len(link._poller._polled) == 1, "nothing else is watched")


def test_nothing_is_left_of_what_was_too_slow(
    proxy: Rig, serve: Serve, unreachable: Callable[[], list[str]]
) -> None:
    if proxy.codec == "h11":
        pytest.skip("half a second, and no codec is asked")
    serve(_ANSWERS, header_wait_timeout=1)
    _late_head(proxy)
    _gone(proxy)
    proxy.configure()  # its sites and pools are over, too
    assert unreachable() == []


def _cycle() -> Channel:
    channel = Channel.__new__(Channel)
    channel._on_readable = channel.close
    return channel


@pytest.fixture
def earlier() -> list[Channel]:
    """What somebody still holds as the test begins."""
    return [_cycle()]


def test_a_cycle_would_be_found(unreachable: Callable[[], list[str]]) -> None:
    _cycle()
    assert any("Channel" in thing for thing in unreachable())


def test_what_was_there_before_does_not_count(
    earlier: list[Channel], unreachable: Callable[[], list[str]]
) -> None:
    earlier.clear()
    assert unreachable() == []
