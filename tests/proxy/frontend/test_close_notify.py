"""EnableSslCloseNotify at the connection: what is sent, what is asked for, what is logged."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable

import pytest

from tests.proxy.frontend.clients import Client, CutError, request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import (
    UpstreamSide,
    answer_all,
    response,
)

both_modes = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)
every_version = pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])

BODY = bytes(range(256)) * 256


def client_of(proxy: Rig, version: str = "TLSv1_3") -> Client:
    context = ssl.create_default_context(cafile=proxy.service.ca)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    return Client(proxy.port, context)


def unclean(proxy: Rig) -> int:
    return len(proxy.errors.unclean)


# -- what is logged and counted ------------------------------------------------------------


def _close_notify(client: Client) -> None:
    client.close_notify()
    client.sock.close()


ENDS: list[tuple[str, Callable[[Client], None], int]] = [
    ("close_notify", _close_notify, 0),
    ("fin", lambda client: client.sock.close(), 1),
    ("reset", Client.reset, 1),
]


@both_modes
@every_version
@pytest.mark.parametrize(("how", "end", "expected"), ENDS, ids=[end[0] for end in ENDS])
def test_how_the_client_ends_is_logged_and_counted(
    proxy: Rig,
    serve: Serve,
    version: str,
    how: str,
    end: Callable[[Client], None],
    expected: int,
) -> None:
    serve(answer_all(response(b"hello")))
    closes = proxy.front.journal.closes
    before, before_unclean = closes.to_json()["client"]["received"][how], closes.unclean
    with client_of(proxy, version) as client:
        assert client.ask().body == b"hello"
        end(client)
    wait_for(lambda: closes.to_json()["client"]["received"][how] == before + 1, "it is counted")
    assert unclean(proxy) == expected
    assert closes.unclean == before_unclean + expected
    for line in proxy.errors.unclean:
        assert line["client"][0] == "127.0.0.1"
        assert line["server"] == ("127.0.0.1", proxy.port)
        assert line["site"] == 1


@both_modes
def test_without_the_requirement_nobody_is_unclean(proxy: Rig, serve: Serve) -> None:
    serve(answer_all(response(b"hello")), enable_ssl_close_notify=0)
    closes = proxy.front.journal.closes
    before = closes.to_json()["client"]["received"]["fin"]
    with proxy.client() as client:
        assert client.ask().body == b"hello"
    wait_for(lambda: closes.to_json()["client"]["received"]["fin"] == before + 1, "it is counted")
    assert unclean(proxy) == 0


@both_modes
def test_a_client_that_does_not_answer_our_close_notify(proxy: Rig, serve: Serve) -> None:
    serve(answer_all(response(b"hello")))
    with proxy.client() as client:
        client.send(request(b"GET", b"/", b"Connection: close"))
        assert client.read_to_end()[1] == "close_notify"
    wait_for(lambda: unclean(proxy) == 1, "the line")


@both_modes
def test_a_client_that_answers_it(proxy: Rig, serve: Serve) -> None:
    serve(answer_all(response(b"hello")))
    closes = proxy.front.journal.closes
    before = closes.to_json()["client"]
    with proxy.client() as client:
        client.send(request(b"GET", b"/", b"Connection: close"))
        assert client.read_to_end()[1] == "close_notify"
        client.close_notify()
    wait_for(
        lambda: (
            closes.to_json()["client"]["received"]["close_notify"]
            == before["received"]["close_notify"] + 1
        ),
        "it is counted",
    )
    assert closes.to_json()["client"]["sent"]["close_notify"] == before["sent"]["close_notify"] + 1
    assert unclean(proxy) == 0


# -- what is sent, also on time limits and errors ------------------------------------------


@both_modes
@every_version
@pytest.mark.parametrize("needed", [1, 0])
@pytest.mark.parametrize("how", ["idle", "header", "bad request", "app gone", "body"])
def test_every_orderly_end_has_close_notify(
    proxy: Rig, serve: Serve, version: str, needed: int, how: str
) -> None:
    """With 1, always; with 0, never."""
    upstream = serve(
        answer_all(response(b"hello")),
        enable_ssl_close_notify=needed,
        idle_connection_timeout=1,
        header_wait_timeout=1,
        entity_body_timeout=1,
    )
    proxy.call(lambda: proxy.front.set_deadlines())
    with client_of(proxy, version) as client:
        if how == "idle":
            assert client.ask().body == b"hello"
        elif how == "header":
            client.send(b"GET / HT")
        elif how == "bad request":
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        elif how == "body":
            client.send(request(b"POST", b"/", b"Content-Length: 10") + b"abc")
        else:
            upstream.stop_listening()
            client.send(request(b"GET", b"/", b"Connection: close"))
        _, ending = client.read_to_end()
    assert ending == ("close_notify" if needed else "cut")


# -- half-close ----------------------------------------------------------------------------


def slow_answer(go_on: threading.Event) -> Callable[[UpstreamSide], None]:
    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY), BODY[:1000])
        assert go_on.wait(60)
        with contextlib.suppress(ConnectionError):  # the proxy may have closed its side by now
            side.send(BODY[1000:])
        side.read_to_end()

    return script


@both_modes
def test_tls13_a_half_closed_client_gets_the_whole_reply(proxy: Rig, serve: Serve) -> None:
    go_on = threading.Event()
    serve(slow_answer(go_on))
    with client_of(proxy) as client:
        client.send(request())
        client.take_until(b"\r\n\r\n")
        # `unwrap` takes what waits to be read for an error, and then nothing can be read any more.
        assert client.take(1000) == BODY[:1000]
        client.close_notify()
        wait_for(lambda: any(c._http and c._http._peer_closed for c in proxy.front.connections),
                 "the proxy knows")  # fmt: skip
        go_on.set()
        assert client.read_to_end() == (BODY[1000:], "close_notify")
    assert unclean(proxy) == 0


@both_modes
def test_tls12_close_notify_ends_both_directions(proxy: Rig, serve: Serve) -> None:
    """RFC 5246 §7.2.1: answered at once, pending writes are discarded."""
    go_on = threading.Event()
    upstream = serve(slow_answer(go_on))
    with client_of(proxy, "TLSv1_2") as client:
        client.send(request())
        client.take_until(b"\r\n\r\n")
        client.take(1000)
        client.close_notify()
        assert client.read_to_end() == (b"", "close_notify")
        assert not go_on.is_set()
        go_on.set()
        assert upstream.sides[0].ended.wait(60)
    wait_for(lambda: proxy.log_lines, "the log line")
    assert b'" 499 ' in proxy.log_lines[0]
    wait_for(lambda: proxy.errors.of("Connection_Dropped"), "the line of the other log")
    (error,) = proxy.errors.lines
    assert error["uri"] == b"/"


@both_modes
@every_version
def test_close_notify_when_nothing_is_owed(proxy: Rig, serve: Serve, version: str) -> None:
    serve(answer_all(response(b"hello")))
    with client_of(proxy, version) as client:
        assert client.ask().body == b"hello"
        client.close_notify()
        assert client.read_to_end() == (b"", "close_notify")
    assert not proxy.errors.lines


@both_modes
def test_tls13_pipelined_requests_before_the_end_are_all_answered(proxy: Rig, serve: Serve) -> None:
    serve(answer_all(response(b"hello")))
    with client_of(proxy) as client:
        client.send(request() * 5)
        client.close_notify()
        for _ in range(5):
            assert client.read_answer().body == b"hello"
        assert client.read_to_end() == (b"", "close_notify")


# -- requests and tunnels that are cut -----------------------------------------------------


@both_modes
@pytest.mark.parametrize("how", ["close_notify", "fin", "reset"])
def test_the_app_gets_a_reset_for_a_request_that_was_cut(
    proxy: Rig, serve: Serve, how: str
) -> None:
    """FIN would be enough for who counts; who reads to the end must not take a part for it."""
    began = threading.Event()
    seen: list[bytes | ConnectionResetError] = []

    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.take(3)
        began.set()
        try:
            seen.append(side.sock.recv(100))
        except ConnectionResetError as error:
            seen.append(error)

    serve(script)
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Content-Length: 10") + b"abc")
        assert began.wait(60)
        getattr(client, how)()
        wait_for(lambda: seen, "the end at the app")
    assert isinstance(seen[0], ConnectionResetError)


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n"
ASK = request(b"GET", b"/", b"Upgrade: raw", b"Connection: Upgrade")


@both_modes
@pytest.mark.parametrize("needed", [1, 0])
def test_a_tunnel_that_is_cut(proxy: Rig, serve: Serve, needed: int) -> None:
    """FIN without close_notify: the app must not take what it has for all."""
    ends: list[str] = []

    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.send(SWITCH)
        assert side.take(4) == b"PAY "
        try:
            ends.append("fin" if not side.sock.recv(100) else "data")
        except ConnectionResetError:
            ends.append("reset")

    serve(script, enable_ssl_close_notify=needed)
    with proxy.client() as client:
        client.send(ASK)
        assert client.read_answer().status == 101
        client.send(b"PAY ")
        client.fin()
        wait_for(lambda: ends, "the end at the app")
        if needed:
            with pytest.raises(CutError):
                client.more()
    assert ends == ["reset" if needed else "fin"]
