"""Usual heads come to the same by their plan as without one, whatever was asked before."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from functools import _lru_cache_wrapper
from typing import TypeVar

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from kssl.proxy.http import strict, usual
from kssl.proxy.http.codec import get_codec
from kssl.proxy.http.forward import (
    ClientInfo,
    build_client_response,
    build_upstream_request,
    client_framing,
)
from kssl.proxy.http.messages import Fields, HttpError, RequestHead, ResponseHead, UpstreamError
from kssl.proxy.http.names import special_lines
from kssl.proxy.http.repair import repair_response
from kssl.proxy.http.request_rules import make_request
from kssl.proxy.http.response_rules import make_response
from tests.examples import examples
from tests.proxy.http.drive import LIMITS
from tests.proxy.http.test_request_refused import get
from tests.proxy.http.test_response_rules import response

FAST = get_codec("httptools")
CLIENT = ClientInfo("192.0.2.1", 1234)

Head = TypeVar("Head", RequestHead, ResponseHead)


@pytest.fixture(autouse=True)
def _no_plans_yet() -> Iterator[None]:
    usual.request_plan.cache_clear()
    usual.response_plan.cache_clear()
    yield
    usual.request_plan.cache_clear()
    usual.response_plan.cache_clear()


# -- the same without a plan: grammar and rules line by line, and every field built anew -------


def slow_request(head: bytes) -> RequestHead:
    method, target, minor, fields = strict.split_request(head)
    return make_request(method, target, minor, Fields(fields), len(head), LIMITS, False)


def slow_response(head: bytes, method: bytes) -> ResponseHead:
    minor, status, reason, fields = strict.split_response(repair_response(head))
    return make_response(
        minor, int(status), reason, Fields(fields), method, None, len(head), LIMITS
    )


def lines(built: bytes) -> list[bytes]:
    """The lines of a head, without the white space that only passes where a head passes whole."""
    start, *fields = built.removesuffix(b"\r\n\r\n").split(b"\r\n")
    halves = (line.partition(b":") for line in fields)
    return [start, *sorted(name + b":" + value.strip(b" \t") for name, _, value in halves)]


def to_client(head: ResponseHead, method: bytes, version: bytes, keep_alive: bool) -> list[bytes]:
    framing, may_keep_alive = client_framing(head, version, method)
    return lines(
        build_client_response(
            head,
            client_version=version,
            keep_alive=keep_alive and may_keep_alive,
            framing=framing,
        )
    )


def outcome(ask: Callable[[], Head]) -> Head | str:
    """What it returns, or the words of its refusal."""
    try:
        return ask()
    except (HttpError, UpstreamError) as error:
        return str(error)


def check_request(head: bytes) -> bool:
    """Compares both ways; returns whether there was a plan."""
    expected = outcome(lambda: slow_request(head))
    parsed = outcome(lambda: FAST.parse_request(head, LIMITS))
    assert parsed == expected
    if isinstance(parsed, str) or isinstance(expected, str):
        return False
    assert lines(build_upstream_request(parsed, CLIENT, default_host=b"d")) == lines(
        build_upstream_request(expected, CLIENT, default_host=b"d")
    )
    return bool(parsed.fields.passed_on)


def check_response(head: bytes, method: bytes, version: bytes, keep_alive: bool) -> bool:
    """As check_request."""
    expected = outcome(lambda: slow_response(head, method))
    parsed = outcome(lambda: FAST.parse_response(head, method, upgrade_asked=None, limits=LIMITS))
    assert parsed == expected
    if isinstance(parsed, str) or isinstance(expected, str):
        return False
    assert to_client(parsed, method, version, keep_alive) == to_client(
        expected, method, version, keep_alive
    )
    return bool(parsed.fields.passed_on)


# -- random heads --------------------------------------------------------------------------

# Few names and values, so that many heads share a plan and differ in all the rest.
_COMMON = [
    b"Content-Length: 0", b"content-length: 7", b"Content-Length:12", b"Content-Length: 007",
    b"Content-Length: +1", b"Content-Length: x", b"Content-Length: 9999999999999999999",
    b"Transfer-Encoding: chunked", b"transfer-encoding:CHUNKED", b"Transfer-Encoding: gzip",
    b"Connection: keep-alive", b"connection: Close", b"Connection:", b"CONNECTION: te, x-a",
    b"Connection: upgrade", b"Connection: a b", b"Keep-Alive: timeout=5", b"Upgrade: h2c",
    b"Upgrade: websocket", b"Via: 1.0 x", b"Trailer: x", b"TE: trailers", b"X-A: 1", b"x-a:2",
    b"Proxy-Authorization: Basic c2VjcmV0", b"Proxy-Connection: close", b"Content_Length: 3",
    b"X-Forwarded-For: 9.9.9.9", b"x_forwarded-whatever: 1", b"X-Kssl-Mode: user", b"Cookie: a=1",
    b"Client_Cert: :eA==:", b"x-client-cert-verdict: ok", b"Ssl-Client-Verify: SUCCESS",
    b"Cookie: a=2", b"Date: now", b"X-Long:  a \tb", b"X-Colon: connection: close", b"X-Empty:",
    b"X-Space: a ", b"X : a", b"X-Control: \x01", b"Connections: close", b"X-Connection: close",
]  # fmt: skip
REQUEST_LINES = [*_COMMON, b"Host: a", b"host:b:8", b"HOST: c", b"Host: [::1]", b"Host: a:99999",
                 b"Expect: 100-continue", b"HTTP2-Settings: x"]  # fmt: skip
RESPONSE_LINES = [*_COMMON, b"Server: x", b"Set-Cookie: a", b"set-cookie: b", b"Host: a"]
STARTS = [b"GET /", b"HEAD /a?b", b"POST /host:%20x", b"F!o /x", b"CONNECT /x", b"OPTIONS *",
          b"GET http://a/b", b"GET /\xe4", b"DELETE /connection:close"]  # fmt: skip

requests = st.builds(
    lambda start, minor, host, rest: get(*rest, start=start + b" HTTP/1." + minor, host=host),
    st.sampled_from(STARTS),
    st.sampled_from([b"1", b"1", b"1", b"0"]),
    st.sampled_from([b"Host: a\r\n", b"host:b-c.d:80\r\n", b"Host: A\r\n", b""]),
    st.lists(st.sampled_from(REQUEST_LINES), max_size=5),
)
responses = st.builds(
    lambda start, rest: response(*rest, start=start),
    st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 204 x", b"HTTP/1.1 304 x", b"HTTP/1.1 500 ",
                     b"HTTP/1.1 404", b"HTTP/1.0 200 OK", b"HTTP/1.1 100 x", b"HTTP/1.1 101 x"]),
    st.lists(st.sampled_from(RESPONSE_LINES), max_size=5),
)  # fmt: skip


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(requests, min_size=1, max_size=8))
def test_any_requests_one_after_another(heads: list[bytes]) -> None:
    for head in heads:
        event(f"planned: {check_request(head)}")


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(
        st.tuples(
            responses,
            st.sampled_from([b"GET", b"HEAD", b"POST"]),
            st.sampled_from([b"1.1", b"1.0"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_responses_one_after_another(asked: list[tuple[bytes, bytes, bytes, bool]]) -> None:
    for head, method, version, keep_alive in asked:
        event(f"planned: {check_response(head, method, version, keep_alive)}")


# -- which heads have a plan ---------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        get(),
        get(b"Accept: */*", b"Connection: keep-alive", host=b"A: b\r\nHost: a.b:8443\r\n"),
        get(b"Connection: close", b"Keep-Alive: 5", b"connection: te", b"TE: trailers"),
        get(b"Content-Length: 5", start=b"POST /p HTTP/1.1"),
        get(b"Transfer-Encoding: Chunked", start=b"PATCH /p HTTP/1.1"),
        get(b"X-Forwarded-For: 1", b"x_real_ip: 2", b"Forwarded: for=3", b"X-Kssl-Cipher: 4"),
        get(b"Proxy-Authorization: Basic x", b"Cookie: " + b"c" * 3000),
        get(*[b"X: a"] * 198, b"Y: " + b"b" * 2000),
    ],
)
def test_usual_requests(head: bytes) -> None:
    for _ in range(2):
        assert check_request(head)
    assert usual.request_plan.cache_info().currsize == 1


@pytest.mark.parametrize(
    "head",
    [
        get(start=b"CONNECT /x HTTP/1.1"),
        get(start=b"GET / HTTP/1.0"),
        get(start=b"GET http://a/ HTTP/1.1"),
        get(host=b"Host: [::1]\r\n"),
        get(b"Host: a"),
        get(b"Connection: upgrade", b"Upgrade: websocket"),
        get(b"Upgrade: websocket"),
        get(b"Upgrade: h2c"),
        get(b"Expect: 100-continue"),
        get(b"Via: 1.1 x"),
        get(b"Trailer: x", b"Transfer-Encoding: chunked"),
        get(b"Connection: cookie", b"Cookie: c"),
        get(b"Content-Length: 5", b"Content-Length: 5"),
        get(b"Content-Length: 9223372036854775807"),
        get(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        get(b"X: a "),
        get(*[b"X: a"] * 200),
        get(*[b"X: a"] * 200, b"Y: " + b"b" * 2000),
    ],
)
def test_unusual_requests(head: bytes) -> None:
    check_request(get())
    assert not check_request(head)


@pytest.mark.parametrize(
    ("head", "method", "planned"),
    [
        (response(b"Content-Length: 5", b"Connection: keep-alive"), b"GET", True),
        (response(b"Content-Length: 5"), b"HEAD", True),
        (response(b"Transfer-Encoding: chunked", b"Keep-Alive: 5"), b"GET", True),
        (response(b"Upgrade: h2", b"Connection: upgrade"), b"HEAD", True),
        (response(start=b"HTTP/1.1 204 x"), b"GET", True),
        (response(b"Content-Length: 5", start=b"HTTP/1.1 304 x"), b"GET", True),
        (response(b"Content-Length: 0", start=b"HTTP/1.1 304 x"), b"GET", False),
        (response(b"Content-Length: 0"), b"HEAD", False),
        (response(b"Transfer-Encoding: chunked"), b"HEAD", True),
        (response(b"Transfer-Encoding: chunked", start=b"HTTP/1.1 204 x"), b"GET", True),
        (response(b"Content-Length: 0"), b"GET", True),
        (response(b"Content-Length: 5", start=b"HTTP/1.1 204 x"), b"GET", False),
        (response(b"Content-Length: x", start=b"HTTP/1.1 204 x"), b"GET", False),
        (response(b"Content-Length: 5", start=b"HTTP/1.0 200 x"), b"GET", False),
        (response(start=b"HTTP/1.1 103 x"), b"GET", False),
        (response(b"Content-Length: 5", b"Via: 1.1 x"), b"GET", False),
        (response(b"Content-Length: 5", b"Connection: x-a", b"X-A: 1"), b"GET", False),
    ],
)
def test_responses(head: bytes, method: bytes, planned: bool) -> None:
    for _ in range(2):
        assert check_response(head, method, b"1.1", True) == planned
        assert check_response(head, method, b"1.0", False) == planned


# -- what the cache holds ------------------------------------------------------------------


def test_a_key_has_no_values_but_two() -> None:
    """Nothing that a peer may want to keep secret, and nothing that varies without need."""
    names = [b"Host", b"Content-Length", b"Proxy-Authorization", b"Cookie", b"Authorization",
             b"X-Forwarded-For", b"X-Forwarded-Client-Cert", b"Client-Cert", b"Upgrade", b"Via",
             b"Keep-Alive", b"HTTP2-Settings", b"Forwarded", b"Expect"]  # fmt: skip
    one = get(*(name + b": one" for name in names), b"Connection: x", host=b"")
    other = get(*(name + b":two" for name in names), b"Connection: x", host=b"")
    keys = [b"".join(special_lines(head.lower())) for head in (one, other)]
    assert keys[0] == keys[1]
    assert b"one" not in keys[0]
    assert keys[0].count(b"\n") == len(names) + 1 - 2  # Cookie and Authorization are not special


def test_a_key_tells_apart_what_the_rules_tell_apart() -> None:
    heads = [get(*lines) for lines in (
        (), (b"Connection: close",), (b"Connection: keep-alive",), (b"Keep-Alive: close",),
        (b"Content-Length: 1",), (b"Content_Length: 1",), (b"Transfer-Encoding: chunked",),
        (b"Transfer-Encoding: gzip",), (b"Connection: te", b"TE: x"), (b"TE: x", b"Connection: te"),
        (b"TE: x\r\nTE: x",), (b"TE: x",), (b"Connection: close\r\nTE: x",),
    )]  # fmt: skip
    assert len({b"".join(special_lines(head.lower())) for head in heads}) == len(heads)


@pytest.mark.parametrize(
    ("plan", "ask"),
    [
        (usual.request_plan, lambda lines: check_request(get(*lines))),
        (
            usual.response_plan,
            lambda lines: check_response(response(*lines), b"GET", b"1.1", True),
        ),
    ],
    ids=["requests", "responses"],
)
def test_the_cache_is_bounded(
    plan: _lru_cache_wrapper[usual.Plan | None], ask: Callable[[list[bytes]], bool]
) -> None:
    """In entries, and none of them long: a peer cannot fill the memory."""
    for size in (16, 4000):
        ask([b"Connection: " + b"x" * usual.MAX_KEY + b"y" * size])
        ask([b"x-forwarded-" + b"x" * usual.MAX_KEY + b"y" * size + b": 1"])
        ask([b"Keep-Alive: 1"] * (usual.MAX_KEY // len(b"\nkeep-alive:") + 1))
    assert plan.cache_info().currsize == 0
    tracemalloc.start()
    try:
        for number in range(2 * usual.MAX_PLANS):
            ask([b"Connection: " + b"%0200d" % number])
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert plan.cache_info().currsize == usual.MAX_PLANS
    assert size < usual.MAX_PLANS * 2048
