"""What the upstream gets to see of a request, and the client of a response."""

from __future__ import annotations

from dataclasses import replace

import h11
import pytest

from kssl.proxy.http.codec import get_codec
from kssl.proxy.http.forward import (
    ClientInfo,
    build_client_response,
    build_upstream_request,
    client_framing,
    encode_chunks,
    last_chunk,
)
from kssl.proxy.http.messages import Framing, RequestHead, ResponseHead
from tests.proxy.http.drive import LIMITS
from tests.proxy.http.test_request_refused import CHUNKED, get
from tests.proxy.http.test_response_rules import response

CODEC = get_codec("auto")
CLIENT = ClientInfo("192.0.2.1", 50000)
N, L, C, E = Framing.NONE, Framing.LENGTH, Framing.CHUNKED, Framing.CLOSE


def request(
    *lines: bytes, start: bytes = b"GET /p?q HTTP/1.1", host: bytes = b"a:8"
) -> RequestHead:
    line = b"Host: " + host + b"\r\n" if host else b""
    return CODEC.parse_request(get(*lines, start=start, host=line), LIMITS)


def upstream(
    *lines: bytes, start: bytes = b"GET /p?q HTTP/1.1", host: bytes = b"a:8"
) -> list[bytes]:
    head = build_upstream_request(request(*lines, start=start, host=host), CLIENT)
    assert head.endswith(b"\r\n\r\n")
    assert b"\n" not in head.replace(b"\r\n", b"")
    return head[:-4].split(b"\r\n")


def test_a_plain_request() -> None:
    assert upstream(b"USER-agent: x", b"Connection: keep-alive", b"x-y:  z ") == [
        b"GET /p?q HTTP/1.1",
        b"Host: a:8",
        b"USER-agent: x",
        b"x-y: z",
        b"Via: 1.1 kssl",
        b"X-Forwarded-For: 192.0.2.1",
        b"X-Real-IP: 192.0.2.1",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Port: 443",
        b"X-Forwarded-Host: a:8",
        b'Forwarded: for=192.0.2.1;proto=https;host="a:8"',
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: close",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"Proxy-Authorization: Basic x",
        b"Proxy-Authenticate: Basic",
        b"TE: trailers",
        b"Trailer: X",
        b"Upgrade: websocket",
        b"Proxy: http://evil/",
        b"X-Forwarded-For: 9.9.9.9",
        b"x_forwarded_for: 9.9.9.9",
        b"X-Forwarded_For: 9.9.9.9",
        b"X-FORWARDED-PROTO: http",
        b"X-Forwarded-Host: evil",
        b"X-Forwarded-Anything: evil",
        b"x_forwarded-anything: evil",
        b"X-Real-IP: 9.9.9.9",
        b"X_Real_IP: 9.9.9.9",
        b"Forwarded: for=9.9.9.9",
        b"Client-Cert: :x:",
        b"client_cert: :x:",
    ],
)
def test_not_forwarded(line: bytes) -> None:
    assert upstream(line) == upstream()


def test_nominated_fields_are_removed() -> None:
    assert upstream(b"X-A: 1", b"Connection: x-a, close", b"x-a: 2", b"Cookie: c") == upstream(
        b"Cookie: c"
    )
    # Ours cannot be nominated away.
    assert upstream(b"Connection: x-forwarded-for, x-real-ip, forwarded") == upstream()


@pytest.mark.parametrize(
    ("lines", "start", "expected"),
    [
        ((b"Content-Length: 5",), b"POST / HTTP/1.1", b"Content-Length: 5"),
        ((b"content-length: 0",), b"GET / HTTP/1.1", b"content-length: 0"),
        ((CHUNKED,), b"GET / HTTP/1.1", b"Transfer-Encoding: chunked"),
        ((b"transfer-encoding: CHUNKED",), b"GET / HTTP/1.1", b"Transfer-Encoding: chunked"),
        ((CHUNKED, b"Trailer: X"), b"GET / HTTP/1.1", b"Trailer: X"),
        (
            (b"Expect: 100-CONTINUE", b"Content-Length: 5"),
            b"POST / HTTP/1.1",
            b"Expect: 100-continue",
        ),
        ((b"Via: 1.0 a", b"via: 1.1 b"), b"GET / HTTP/1.1", b"Via: 1.0 a, 1.1 b, 1.1 kssl"),
        ((), b"GET / HTTP/1.0", b"Via: 1.0 kssl"),
        ((), b"GET http://a:8/x?y HTTP/1.1", b"GET /x?y HTTP/1.1"),
        ((), b"OPTIONS * HTTP/1.1", b"OPTIONS * HTTP/1.1"),
    ],
)
def test_framing_and_friends(lines: tuple[bytes, ...], start: bytes, expected: bytes) -> None:
    sent = upstream(*lines, start=start)
    assert sent.count(expected) == 1
    names = [line.partition(b":")[0].lower() for line in sent[1:]]
    assert len([n for n in names if n in (b"content-length", b"transfer-encoding")]) <= 1
    assert names.count(b"via") == 1


@pytest.mark.parametrize(
    ("lines", "start"),
    [
        ((b"Content-Length: 5",), b"POST / HTTP/1.0"),
        ((), b"POST / HTTP/1.1"),
        ((b"Content-Length: 0",), b"POST / HTTP/1.1"),
    ],
)
def test_expect_that_stays_here(lines: tuple[bytes, ...], start: bytes) -> None:
    """HTTP/1.0 knows no 100, and without content there is nothing to continue with."""
    sent = upstream(b"Expect: 100-continue", *lines, start=start)
    assert not [line for line in sent if line.startswith(b"Expect")]


def test_upgrade() -> None:
    sent = upstream(b"Connection: keep-alive, Upgrade", b"Upgrade: websocket")
    assert b"Connection: upgrade" in sent
    assert b"Upgrade: websocket" in sent


def test_http_1_0_without_host() -> None:
    head = request(start=b"GET / HTTP/1.0", host=b"")
    sent = build_upstream_request(head, CLIENT, default_host=b"app")
    assert sent.startswith(b"GET / HTTP/1.1\r\nHost: app\r\n")
    assert b"X-Forwarded-Host: app\r\n" in sent
    head = request(start=b"GET http://b/ HTTP/1.0", host=b"")
    assert b"Host: b\r\n" in build_upstream_request(head, CLIENT, default_host=b"app")


def test_own_fields_replace_the_clients() -> None:
    head = request(b"X-Kssl-Cipher: forged", b"x_kssl_anything: forged")
    client = ClientInfo("192.0.2.1", 1, own_fields=(("X-Kssl-Cipher", "AES"),))
    sent = build_upstream_request(head, client)
    assert b"forged" not in sent
    assert b"X-Kssl-Cipher: AES\r\n" in sent


def test_own_fields_cannot_break_the_head() -> None:
    """A value may come from a client's certificate, where a name may be anything."""
    client = ClientInfo("192.0.2.1", 1, own_fields=(("X-Kssl-Name", "CN=a\r\nX: \0b, O=\xe4 c%"),))
    sent = build_upstream_request(request(), client)
    assert b"X-Kssl-Name: CN=a%0D%0AX: %00b, O=%C3%A4 c%\r\n" in sent


def test_fields_of_a_certificate_replace_the_clients() -> None:
    head = request(b"Client-Cert: :forged:", b"x_client_cert_verdict: forged")
    fields = (("X-Client-Cert-Verdict", "ok"), ("Client-Cert", ":eA==:"))
    client = ClientInfo("192.0.2.1", 1, own_fields=(("X-Kssl-Mode", "user"),))
    plain = build_upstream_request(request(), client)
    sent = build_upstream_request(head, replace(client, certificate_fields=fields))
    before, mode, after = plain.partition(b"X-Kssl-Mode: user\r\n")
    lines = b"X-Client-Cert-Verdict: ok\r\nClient-Cert: :eA==:\r\n"
    assert sent == before + mode + lines + after


def test_fields_of_a_certificate_cannot_break_the_head() -> None:
    """They come ready-made, but a line break would be another field, so it is looked at here."""
    fields = (("X-Client-Cert-Subject", "CN=a%2C\r\nX-Client-Cert-Verdict: ok\n\0"),)
    sent = build_upstream_request(request(), ClientInfo("192.0.2.1", 1, certificate_fields=fields))
    assert b"\r\nX-Client-Cert-Subject: CN=a%2C%0D%0AX-Client-Cert-Verdict: ok%0A%00\r\n" in sent


def test_a_client_in_a_log_has_no_certificate() -> None:
    client = ClientInfo("192.0.2.1", 1, certificate_fields=(("X-Client-Cert-Subject", "CN=Ann"),))
    assert "Ann" not in repr(client)
    assert client != replace(client, certificate_fields=())


@pytest.mark.parametrize(
    ("address", "plain", "node"),
    [
        ("192.0.2.1", b"192.0.2.1", b"192.0.2.1"),
        ("2001:db8::1", b"2001:db8::1", b'"[2001:db8::1]"'),
        ("fe80::1%eth0", b"fe80::1", b'"[fe80::1]"'),
        ("::ffff:192.0.2.1", b"192.0.2.1", b"192.0.2.1"),
    ],
)
def test_addresses(address: str, plain: bytes, node: bytes) -> None:
    client = ClientInfo(address, 1, scheme="http", server_port=8080)
    sent = build_upstream_request(request(), client)
    assert b"X-Forwarded-For: " + plain + b"\r\nX-Real-IP: " + plain + b"\r\n" in sent
    assert b"X-Forwarded-Proto: http\r\nX-Forwarded-Port: 8080\r\n" in sent
    assert b"Forwarded: for=" + node + b";proto=http;" in sent


def test_h11_reads_what_we_send() -> None:
    for lines in ((), (CHUNKED,), (b"Content-Length: 1",), (b"Expect: 100-continue",)):
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(build_upstream_request(request(*lines), CLIENT))
        assert isinstance(connection.next_event(), h11.Request)


def parsed(
    *lines: bytes, start: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET"
) -> ResponseHead:
    head = response(*lines, start=start)
    return CODEC.parse_response(head, method, upgrade_asked=True, limits=LIMITS)


@pytest.mark.parametrize(
    ("head", "version", "method", "expected"),
    [
        (parsed(b"Content-Length: 5"), b"1.1", b"GET", (L, True)),
        (parsed(b"Content-Length: 5"), b"1.0", b"GET", (L, True)),
        (parsed(CHUNKED), b"1.1", b"GET", (C, True)),
        (parsed(CHUNKED), b"1.0", b"GET", (E, False)),
        (parsed(), b"1.1", b"GET", (C, True)),
        (parsed(), b"1.0", b"GET", (E, False)),
        (parsed(method=b"HEAD"), b"1.0", b"HEAD", (N, True)),
        (parsed(CHUNKED, method=b"HEAD"), b"1.1", b"HEAD", (N, True)),
        (parsed(start=b"HTTP/1.1 204 x"), b"1.0", b"GET", (N, True)),
        (parsed(start=b"HTTP/1.1 304 x"), b"1.1", b"GET", (N, True)),
    ],
)
def test_client_framing(
    head: ResponseHead, version: bytes, method: bytes, expected: tuple[Framing, bool]
) -> None:
    assert client_framing(head, version, method) == expected


def client(
    head: ResponseHead,
    framing: Framing,
    version: bytes = b"1.1",
    keep_alive: bool = True,
    interim: bool = False,
) -> list[bytes]:
    sent = build_client_response(
        head, client_version=version, keep_alive=keep_alive, framing=framing, interim=interim
    )
    assert sent.endswith(b"\r\n\r\n")
    return sent[:-4].split(b"\r\n")


def test_a_plain_response() -> None:
    head = parsed(
        b"SERVER: x", b"Content-length: 5", b"Keep-Alive: 1", b"set-Cookie: a", b"set-cookie: b",
        b"X-A: 1", b"Connection: x-a, keep-alive", b"Upgrade: h2", b"Trailer: X", b"Via: 1.1 z",
        start=b"HTTP/1.0 200 Fine",
    )  # fmt: skip
    assert client(head, L) == [
        b"HTTP/1.1 200 Fine",
        b"SERVER: x",
        b"Content-length: 5",
        b"set-Cookie: a",
        b"set-cookie: b",
        b"Via: 1.1 z, 1.0 kssl",
    ]


@pytest.mark.parametrize(
    ("head", "framing", "version", "keep_alive", "expected"),
    [
        (parsed(), C, b"1.1", True, [b"Transfer-Encoding: chunked"]),
        (parsed(CHUNKED), C, b"1.1", True, [b"Transfer-Encoding: chunked"]),
        (parsed(CHUNKED), C, b"1.1", False, [b"Transfer-Encoding: chunked", b"Connection: close"]),
        (parsed(CHUNKED), E, b"1.0", False, [b"Connection: close"]),
        (parsed(CHUNKED), E, b"1.0", True, [b"Connection: close"]),
        (parsed(b"Content-Length: 5"), L, b"1.0", True,
         [b"Content-Length: 5", b"Connection: keep-alive"]),
        (parsed(b"Content-Length: 5"), L, b"1.0", False,
         [b"Content-Length: 5", b"Connection: close"]),
        (parsed(b"Content-Length: 5", b"Connection: content-length"), L, b"1.1", True,
         [b"Content-Length: 5"]),
        (parsed(b"Content-Length: 5", method=b"HEAD"), N, b"1.1", True, [b"Content-Length: 5"]),
        (parsed(CHUNKED, method=b"HEAD"), N, b"1.1", True, []),
        (parsed(b"Content-Length: 5", start=b"HTTP/1.1 304 x"), N, b"1.1", True,
         [b"Content-Length: 5"]),
        (parsed(b"Content-Length: 5", start=b"HTTP/1.1 204 x"), N, b"1.1", True, []),
        (parsed(start=b"HTTP/1.1 100 x"), N, b"1.1", False, []),
        (parsed(b"Connection: upgrade", b"Upgrade: websocket", start=b"HTTP/1.1 101 x"),
         N, b"1.1", False, [b"Connection: upgrade", b"Upgrade: websocket"]),
    ],
)  # fmt: skip
def test_response_framing(
    head: ResponseHead, framing: Framing, version: bytes, keep_alive: bool, expected: list[bytes]
) -> None:
    sent = client(head, framing, version, keep_alive)
    assert sorted(line for line in sent[1:] if not line.startswith(b"Via")) == sorted(expected)


def test_no_chunks_for_http_1_0() -> None:
    with pytest.raises(ValueError, match=r"1\.0"):
        client(parsed(CHUNKED), C, b"1.0")


def test_chunks() -> None:
    assert encode_chunks([]) == encode_chunks([memoryview(b"")]) == b""
    pieces = [memoryview(b"a" * 9), memoryview(b"b" * 7)]
    assert encode_chunks(pieces) == b"10\r\n" + b"a" * 9 + b"b" * 7 + b"\r\n"
    assert last_chunk() == b"0\r\n\r\n"
    assert last_chunk([(b"x", b"X", b"1"), (b"y", b"Y", b"")]) == b"0\r\nX: 1\r\nY: \r\n\r\n"
