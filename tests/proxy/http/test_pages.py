"""The proxy's own responses: complete, escaped, and useful."""

from __future__ import annotations

import h11
import pytest

from kssl.proxy.http.messages import HttpError
from kssl.proxy.http.pages import SUBSTATUS, error_response, plain_http_response, redirect_response

STATUSES = [308, 400, 403, 404, 405, 408, 413, 417, 421, 431, 500, 501, 502, 503, 504, 505]


def read(data: bytes, method: str = "GET") -> tuple[h11.Response, bytes]:
    """What a client sees; the response has to be complete, with nothing behind it."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    response = connection.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert connection.trailing_data == (b"", False)
    return response, body


@pytest.mark.parametrize("status", [*STATUSES, 599])
def test_every_status(status: int) -> None:
    response, body = read(error_response(status, detail="It went wrong."))
    assert response.status_code == status
    assert response.reason
    assert dict(response.headers)[b"connection"] == b"close"
    assert b"It went wrong." in body
    assert str(status).encode() in body


def test_everything_is_escaped() -> None:
    _, body = read(error_response(400, detail="<script>\"'&", advice="<b>", reason_phrase="<i>"))
    assert b"<script>" not in body
    assert b"<b>" not in body
    assert b"<i>" not in body
    assert b"&lt;script&gt;&quot;&#x27;&amp;" in body


def test_options() -> None:
    response, body = read(
        error_response(
            503,
            detail="x",
            reason_phrase="Too Busy",
            extra_fields=[(b"Retry-After", b"5")],
            keep_alive=True,
        )
    )
    assert response.reason == b"Too Busy"
    fields = dict(response.headers)
    assert fields[b"retry-after"] == b"5"
    assert b"connection" not in fields
    head, nothing = read(
        error_response(503, detail="x", reason_phrase="Too Busy", head_only=True), "HEAD"
    )
    assert nothing == b""
    assert dict(head.headers)[b"content-length"] == b"%d" % len(body)


@pytest.mark.parametrize(("status", "substatus"), SUBSTATUS)
def test_the_page_has_the_substatus_and_the_status_line_has_not(
    status: int, substatus: int
) -> None:
    data = error_response(status, substatus, detail="x")
    response, body = read(data)
    plain, plain_body = read(error_response(status, detail="x"))
    what, advice = SUBSTATUS[status, substatus]
    assert (response.status_code, response.reason) == (status, plain.reason)
    title = f"<title>{status}.{substatus} {plain.reason.decode()}: {what}</title>"
    assert title.encode() in body
    assert advice.encode() in body
    assert advice.encode() not in plain_body
    assert b"403.4" not in data.partition(b"\r\n")[0]


def test_forbidden_in_words() -> None:
    _, body = read(error_response(403, 4, detail="x"))
    assert b"<h1>403.4 Forbidden: SSL required</h1>" in body


@pytest.mark.parametrize("substatus", [7, 12, 13, 16, 17])
def test_a_page_about_a_certificate(substatus: int) -> None:
    """Who has made the certificate has chosen what stands in the page."""
    reason = "the client's certificate 'CN=<script>\"&' is not trusted"
    data = error_response(403, substatus, detail=reason)
    _, body = read(data)
    assert b"&#x27;CN=&lt;script&gt;&quot;&amp;&#x27; is not trusted" in body
    assert b"<script>" not in body
    assert b"403.%d Forbidden: " % substatus in body
    # The browser chooses once; a person has to make it ask again.
    assert b"again" in SUBSTATUS[403, substatus][1].encode()
    assert data.startswith(b"HTTP/1.1 403 Forbidden\r\n")


def test_a_substatus_without_words() -> None:
    response, body = read(error_response(403, 99, detail="x"))
    assert response.reason == b"Forbidden"
    assert b"<title>403.99 Forbidden</title>" in body


def test_errors_name_their_substatus() -> None:
    assert str(HttpError(403, "Forbidden", "No.", 4)) == "403.4 Forbidden: No."
    assert str(HttpError(403, "Forbidden", "No.")) == "403 Forbidden: No."


def test_redirect() -> None:
    location = b"https://a:8443/x?<y>&z"
    fields = [(b"Server", b"kssl")]
    response, body = read(redirect_response(location, extra_fields=fields, keep_alive=True))
    assert (response.status_code, response.reason) == (308, b"Permanent Redirect")
    told = dict(response.headers)
    assert told[b"location"] == location
    assert told[b"server"] == b"kssl"
    assert b"connection" not in told
    assert b"https://a:8443/x?&lt;y&gt;&amp;z" in body
    head, nothing = read(redirect_response(location, head_only=True), "HEAD")
    assert nothing == b""
    assert dict(head.headers)[b"location"] == location
    assert dict(head.headers)[b"content-length"] == b"%d" % len(body)


@pytest.mark.parametrize(
    ("host", "port", "path", "url"),
    [
        (b"app.localhost", 443, b"/x", b"https://app.localhost/x"),
        (b"app.localhost:80", 443, b"/", b"https://app.localhost/"),
        (b"app.localhost:8443", 8443, b"/x?y=1&z", b"https://app.localhost:8443/x?y=1&amp;z "),
        (b"[::1]", 8443, b"/", b"https://[::1]:8443/"),
        (b"[::1]:8443", 443, b"/", b"https://[::1]/"),
        (b"a", 443, b"/<script>", b"https://a/&lt;script&gt;"),
        (b"a", 443, b"//\xff\r\n", b"https://a/ "),
        (b"a", 443, b"*", b"https://a/ "),
    ],
)
def test_plain_http(host: bytes, port: int, path: bytes, url: bytes) -> None:
    response, body = read(plain_http_response(host, port, path))
    assert response.status_code == 400
    assert b"This port speaks HTTPS" in body
    assert url in body


@pytest.mark.parametrize("host", [None, b"", b"<script>", b"a b", b"a/b", b"u@a"])
def test_plain_http_without_a_valid_host(host: bytes | None) -> None:
    _, body = read(plain_http_response(host, 443, b"/secret"))
    assert b"https:// instead of http://" in body
    assert b"secret" not in body
    assert not host or host not in body


def test_plain_http_with_fields() -> None:
    response, _ = read(plain_http_response(b"a", 443, b"/", extra_fields=[(b"Server", b"kssl")]))
    assert dict(response.headers)[b"server"] == b"kssl"
