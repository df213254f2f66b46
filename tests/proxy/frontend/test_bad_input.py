"""What a client may do wrong: on the TLS port, in its head, and with two readings of a request."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import ExitStack, suppress

import pytest

from kssl.proxy.frontend.proxy_header import proxy_header_version
from tests.proxy.frontend.clients import ClosedError, CutError, request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import answer_all, response

both_modes = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)
one_mode = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools")], ids=["kernel"], indirect=True
)


def plain(proxy: Rig, stack: ExitStack) -> socket.socket:
    """A connection without TLS."""
    sock = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port)))
    sock.settimeout(60)
    return sock


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


# -- not TLS -----------------------------------------------------------------------------------


@one_mode
def test_plain_http_is_told_the_url(proxy: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack:
        for pieces in (
            [b"GET /a?b HTTP/1.1\r\nHost: app.example:80\r\n\r\n"],
            [b"G", b"ET /a?b HTTP/1.1\r\nHo", b"st: app.example\r\n\r\n"],
        ):
            sock = plain(proxy, stack)
            for piece in pieces:
                sock.sendall(piece)
            answer = read_all(sock)
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b"https://app.example:%d/a?b" % proxy.port in answer
            sock.close()
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


@one_mode
def test_plain_http_cannot_write_into_the_page(proxy: Rig) -> None:
    with ExitStack() as stack:
        sock = plain(proxy, stack)
        sock.sendall(b"GET /<script> HTTP/1.1\r\nHost: <script>alert(1)</script>\r\n\r\n")
        assert b"<script>" not in read_all(sock)


@one_mode
@pytest.mark.parametrize(
    "garbage", [b"\0" * 100, b"hello\n", b"SSH-2.0-OpenSSH_9\r\n", b"\x80\x2e\x02\0\2"]
)
def test_garbage(proxy: Rig, garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack:
        sock = plain(proxy, stack)
        sock.sendall(garbage)
        with suppress(ConnectionResetError):  # closed with bytes unread
            assert read_all(sock) == b""
        wait_for(lambda: not proxy.front.connections, "it is forgotten")
    (record,) = caplog.records
    assert record.getMessage() == "127.0.0.1: bytes that are neither TLS nor HTTP"
    assert record.exc_info is None


@one_mode
@pytest.mark.parametrize(
    "record", [b"\x14\3\3\0\1\1", b"\x15\3\3\0\2\2\x28", b"\x15", b"\x17\3\3", b"\x18\3\3\0\1x"]
)
def test_another_record_first(proxy: Rig, record: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """unexpected_message, then FIN; RFC 9846 §5.1."""
    with ExitStack() as stack:
        sock = plain(proxy, stack)
        sock.sendall(record)
        assert read_all(sock) == b"\x15\3\3\0\2\2\x0a"
        wait_for(lambda: not proxy.front.connections, "it is forgotten")
    (line,) = caplog.records
    told = f"127.0.0.1: a TLS record of type {record[0]} in place of a ClientHello"
    assert line.getMessage() == told


@one_mode
def test_tls_offered_in_the_format_of_ssl2(proxy: Rig) -> None:
    with ExitStack() as stack:
        sock = plain(proxy, stack)
        sock.sendall(b"\x80\x2e\1\3\1" + bytes(43))
        assert read_all(sock) == b"\x15\3\3\0\2\2\x46"  # protocol_version


@both_modes
def test_bad_tls(proxy: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """An alert, and one log line."""
    with ExitStack() as stack:
        sock = plain(proxy, stack)
        sock.sendall(b"\x16\x03\x01\x00\x05hello")
        assert read_all(sock)[:1] == b"\x15"
        wait_for(lambda: not proxy.front.connections, "it is forgotten")
    (record,) = caplog.records
    assert record.getMessage().startswith("127.0.0.1: handshake failed: ")


@both_modes
def test_clients_that_do_not_go_on(proxy: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """All are closed within HeaderWaitTimeout, whatever they have sent."""
    proxy.configure(header_wait_timeout=1)
    with ExitStack() as stack:
        nothing, half_hello, half_http = (plain(proxy, stack) for _ in range(3))
        after = stack.enter_context(proxy.client(handshake=False))
        after.sock.sendall(after.client_hello())
        tls = stack.enter_context(proxy.client(handshake=False))
        half_hello.sendall(tls.client_hello()[:100])
        half_http.sendall(b"GET / HTTP/1.1\r\n")
        silent = stack.enter_context(proxy.client())
        assert read_all(nothing) == b""
        assert read_all(half_hello) == b""
        assert read_all(half_http) == b""
        assert silent.read_to_end() == (b"", "close_notify")
        with suppress(ConnectionResetError):
            assert read_all(after.sock)  # the server's flight, and then the end
        # tls has sent nothing itself. The proxy's thread may still be at the last ones.
        late = "took longer than HeaderWaitTimeout"
        wait_for(lambda: caplog.text.count(late) >= 5, "all are logged")
    assert not any(record.exc_info for record in caplog.records)
    assert caplog.text.count(late) == 5


# -- heads -------------------------------------------------------------------------------------


def test_an_oversized_head(proxy: Rig, serve: Serve) -> None:
    upstream = serve(answer_all(response()))
    for pieces in ([b"a" * 40_000], [b"a" * 8_000] * 5, [b"a" * 100_000]):
        with proxy.client() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
            client.send(*pieces)
            answer = client.read_answer()
            assert answer.status == 400
            assert b"longer than MaxRequestBytes (32768 bytes)" in answer.body
            with pytest.raises((ClosedError, CutError)):
                client.more()
    assert upstream.accepted == 0


@both_modes
def test_a_long_field(proxy: Rig, serve: Serve) -> None:
    serve(answer_all(response()), max_field_length=100)
    with proxy.client() as client:
        assert client.ask(b"GET", b"/", b"X: " + b"a" * 99).status == 200
        assert client.ask(b"GET", b"/", b"X: " + b"a" * 100).status == 400


H = b"Host: localhost\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLERS = {
    "cl-te": b"POST / HTTP/1.1\r\n" + H
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two-cl": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n"
    + SMUGGLED,
    "cl-list": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 0, 44\r\n\r\n" + SMUGGLED,
    "cl-plus": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: +0\r\n\r\n" + SMUGGLED,
    "cl-hex": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 0x0\r\n\r\n" + SMUGGLED,
    "te-space": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "te-tab": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "te-xchunked": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "te-twice": b"POST / HTTP/1.1\r\n" + H
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "te-10": b"POST / HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "fold": b"POST / HTTP/1.1\r\n" + H + b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n" + SMUGGLED,
    "bare-lf": b"POST / HTTP/1.1\n" + H + b"Content-Length: 0\n\n" + SMUGGLED,
    "bare-cr": b"POST / HTTP/1.1\r\n" + H + b"X: a\rTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED,
    "nul": b"POST / HTTP/1.1\r\n" + H + b"X: a\0b\r\n\r\n" + SMUGGLED,
    "two-hosts": b"GET / HTTP/1.1\r\n" + H + b"Host: other\r\n\r\n" + SMUGGLED,
    "nominated": b"POST / HTTP/1.1\r\n" + H
    + b"Connection: content-length\r\nContent-Length: 44\r\n\r\n" + SMUGGLED,
    "preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED,
    "09": b"GET /\r\n\r\n" + SMUGGLED,
    "connect": b"CONNECT localhost:80 HTTP/1.1\r\n" + H + b"\r\n" + SMUGGLED,
    "space-target": b"GET / x HTTP/1.1\r\n" + H + b"\r\n" + SMUGGLED,
}  # fmt: skip


@pytest.mark.parametrize("raw", SMUGGLERS.values(), ids=SMUGGLERS.keys())
def test_request_smuggling(proxy: Rig, serve: Serve, raw: bytes) -> None:
    """Refused, closed, and nothing of it reaches the app."""
    upstream = serve(answer_all(response(b"abc")))
    with proxy.client() as client:
        assert client.ask().body == b"abc"  # so that there is a connection to poison
        seen = len(upstream.received)
        client.send(raw)
        answer = client.read_answer()
        assert answer.status in (400, 405, 501, 505)
        assert answer.get(b"connection") == b"close"
        with pytest.raises((ClosedError, CutError)):
            client.more()
    with proxy.client() as client:
        client.ask(b"GET", b"/after")
    assert upstream.received[seen:].startswith(b"GET /after ")
    assert b"smuggled" not in upstream.received


CHUNKS = {
    "size-plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "size-0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size-space": b"5 \r\nhello\r\n0\r\n\r\n",
    "long": b"5\r\nhello!\r\n0\r\n\r\n",
    "lf": b"5\nhello\n0\n\n",
    "huge": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "extension-lf": b"5;a=\nb\r\nhello\r\n0\r\n\r\n",
    "trailer": b"0\r\nContent-Length: 5\r\n\r\n",
    "trailer-lf": b"0\r\nX: 1\nY: 2\r\n\r\n",
}


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS.keys())
def test_bad_chunks_never_complete_a_request(proxy: Rig, serve: Serve, chunks: bytes) -> None:
    upstream = serve(answer_all(response(b"abc")))
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Transfer-Encoding: chunked") + chunks + SMUGGLED)
        assert client.read_answer().status == 400
        with pytest.raises((ClosedError, CutError)):
            client.more()
    assert b"\r\n0\r\n" not in upstream.received
    assert b"smuggled" not in upstream.received


@both_modes
def test_a_head_in_trickles_is_refused_in_time(proxy: Rig, serve: Serve) -> None:
    """One byte for each record, which keep coming."""
    upstream = serve(answer_all(response()), header_wait_timeout=1)
    ended = threading.Event()
    with proxy.client() as client:
        records = [client.records(b"G") for _ in range(200)]

        def trickle() -> None:
            with suppress(OSError):
                for record in records:
                    if ended.wait(0.05):
                        break
                    client.sock.sendall(record)

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert client.read_answer().status == 408
        finally:
            ended.set()
            thread.join()
    assert upstream.accepted == 0


@both_modes
def test_empty_lines_keep_no_connection(proxy: Rig, serve: Serve) -> None:
    """Some are tolerated in front of a request; a client that sends nothing else is closed."""
    upstream = serve(answer_all(response(b"abc")), header_wait_timeout=1)
    with proxy.client() as client, proxy.client() as endless:
        endless.send_bytewise(b"\r\n" * 6)
        assert endless.read_answer().status == 400
        with pytest.raises((ClosedError, CutError)):
            endless.more()
        for _ in range(2):
            client.send_bytewise(b"\r\n\r\n" + request())
            assert client.read_answer().body == b"abc"
        client.send(b"\r\n")
        assert client.read_to_end() == (b"", "close_notify")
    assert upstream.accepted == 1


def test_a_clients_words_cannot_forge_a_log_line(
    proxy: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["a\nkssl: all is well\x1b[31m", *(["x" * 200] * 20)])
    with (
        socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as sock,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(sock, server_hostname="localhost")
    wait_for(lambda: "no application protocol" in caplog.text, "the log line")
    messages = [record.getMessage() for record in caplog.records]
    (message,) = [message for message in messages if "application protocol" in message]
    assert "\n" not in message
    assert "\x1b" not in message
    assert len(message) < 400


# -- load balancers ----------------------------------------------------------------------------

PROXY_HEADERS = {
    1: [b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\r\n", b"PROXY UNKNOWN\r\n", b"PROXY TCP6 ::1 "],
    2: [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12), b"\r\n\r\n\0\r\nQUIT\n"],
}


@one_mode
@pytest.mark.parametrize(
    ("version", "header"),
    [(version, header) for version, headers in PROXY_HEADERS.items() for header in headers],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_a_proxy_header_is_told_at_once(
    proxy: Rig, version: int, header: bytes, step: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever TLS would follow; no time limit is needed."""
    proxy.configure(header_wait_timeout=3600)
    with ExitStack() as stack:
        sock = plain(proxy, stack)
        with suppress(OSError):  # it is closed before all is sent
            for start in range(0, len(header), step):
                sock.sendall(header[start : start + step])
        with suppress(ConnectionResetError):
            assert read_all(sock) == b""
        wait_for(lambda: not proxy.front.connections, "it is forgotten")
    (record,) = caplog.records
    assert f"a PROXY protocol header (version {version})" in record.getMessage()


@pytest.mark.parametrize("first", [b"P", b"PRO", b"\r\n\r\n", b"PROXY TCP"])
def test_what_may_become_a_proxy_header_is_waited_for(first: bytes) -> None:
    assert proxy_header_version(first) == 0
    assert proxy_header_version(first + b"?") is None


def test_a_proxy_header_without_tls_is_named(proxy: Rig) -> None:
    with ExitStack() as stack:
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.plain_port)))
        sock.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"This is a PROXY protocol header" in answer
