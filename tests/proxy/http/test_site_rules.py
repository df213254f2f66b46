"""sslFlags and request filtering: what a site refuses, with which status and substatus."""

from __future__ import annotations

from typing import Any

import pytest

from kssl.config.model import Binding, Site, SiteLimits
from kssl.config.parameter import Profile
from kssl.config.profiles import RULES
from kssl.config.target import Listen, Target
from kssl.fastpath.tls.suites import SUITES
from kssl.proxy.http.bodies import LengthReader, LimitedReader
from kssl.proxy.http.codec import Codec
from kssl.proxy.http.messages import HttpError, Limits, RequestHead
from kssl.proxy.http.site_rules import SiteRules, key_bits
from tests.proxy.http.drive import CODEC_IDS, CODECS, pieces

NATIVE = RULES[Profile.NATIVE]
LIMITS = Limits()


def rules(
    *flags: str,
    profile: Profile = Profile.NATIVE,
    redirect: bool = False,
    https_port: int | None = 443,
    **limits: int,
) -> SiteRules:
    site = Site(
        name="app",
        bindings=(Binding(Listen("127.0.0.1", 443)),),
        upstreams=(Target("http", "127.0.0.1", 8000),),
        ssl_flags=frozenset(flags),
        redirect=redirect,
        limits=SiteLimits(**limits),
    )
    return SiteRules(site, RULES[profile], https_port)


def head(
    target: bytes = b"/", *fields: bytes, host: bytes = b"a", method: bytes = b"GET", **options: Any
) -> RequestHead:
    version = options.get("version", b"1.1")
    start = b"%b %b HTTP/%b" % (method, target, version)
    lines = [start, *([b"Host: " + host] if host else []), *fields]
    return CODECS[0].parse_request(b"\r\n".join(lines) + b"\r\n\r\n", LIMITS)


def refusal(site: SiteRules, request: RequestHead, bits: int = 256) -> tuple[int, int, str]:
    with pytest.raises(HttpError) as caught:
        site.check(request, bits)
    return caught.value.status, caught.value.substatus, caught.value.reason


def test_key_bits_of_every_suite() -> None:
    for suite in SUITES:
        assert key_bits(suite.name) == suite.key_length * 8
    assert key_bits("") == 0
    # Encrypted, so no plain HTTP, but not strong either.
    assert 0 < key_bits("TLS_RSA_WITH_3DES_EDE_CBC_SHA") < 128


def test_plain_http() -> None:
    assert refusal(rules("Ssl"), head(), 0) == (403, 4, "Forbidden")
    assert rules("Ssl").check(head(), 128) is None
    assert rules().check(head(), 0) is None


def test_strong_keys_only() -> None:
    site = rules("Ssl", "Ssl128")
    assert refusal(site, head(), 1) == (403, 5, "Forbidden")
    assert refusal(site, head(), 127) == (403, 5, "Forbidden")
    assert refusal(site, head(), 0) == (403, 4, "Forbidden")
    assert refusal(rules("Ssl128"), head(), 0) == (403, 5, "Forbidden")
    assert site.check(head(), 128) is None
    assert rules("Ssl").check(head(), 1) is None


@pytest.mark.parametrize(
    ("host", "port", "target", "location"),
    [
        (b"a", 443, b"/", b"https://a/"),
        (b"a.example:80", 443, b"/x?y=1", b"https://a.example/x?y=1"),
        (b"A.Example.:8080", 8443, b"/x", b"https://A.Example.:8443/x"),
        (b"a:", 443, b"//evil/", b"https://a//evil/"),
        (b"[::1]", 443, b"/", b"https://[::1]/"),
        (b"[::1]:80", 8443, b"/", b"https://[::1]:8443/"),
        (b"a", 443, b"http://a/b", b"https://a/b"),
    ],
)
def test_redirect(host: bytes, port: int, target: bytes, location: bytes) -> None:
    site = rules("Ssl", redirect=True, https_port=port)
    assert site.check(head(target, host=host), 0) == location
    assert site.check(head(target, host=host), 128) is None


def test_no_redirect_to_nowhere() -> None:
    site = rules("Ssl", redirect=True)
    nameless = head(host=b"", version=b"1.0")
    assert refusal(site, nameless, 0) == (403, 4, "Forbidden")
    assert refusal(site, head(b"*", method=b"OPTIONS"), 0) == (403, 4, "Forbidden")
    assert refusal(rules("Ssl", redirect=True, https_port=None), head(), 0)[:2] == (403, 4)
    # The rules of requests refuse these before; nothing may depend on that.
    for bad in (b"a b", b"a\r\nX: y", b"u@a", b"a/b", b"a:99999", b""):
        request = head()
        request.host = bad
        assert refusal(site, request, 0)[:2] == (403, 4)


def test_redirect_only_with_the_flag() -> None:
    assert rules(redirect=True).check(head(), 0) is None


def test_length_of_path_and_query() -> None:
    site = rules(max_url=5, max_query_string=3)
    assert site.check(head(b"/abcd?123"), 128) is None
    assert refusal(site, head(b"/abcde?123")) == (404, 14, "URL_Length")
    assert refusal(site, head(b"/abcd?1234")) == (404, 15, "URL_Length")
    assert refusal(site, head(b"/%41%42")) == (404, 14, "URL_Length")  # bytes, not characters
    assert site.check(head(b"/?1?2"), 128) is None
    assert rules(max_url=5).check(head(b"/?" + b"x" * 99), 128) is None
    assert rules(max_query_string=3).check(head(b"/" + b"x" * 99), 128) is None


@pytest.mark.parametrize(
    ("profile", "status"),
    [(Profile.NATIVE, (413, 0)), (Profile.WS2003SP1, (413, 0)), (Profile.WS2008, (404, 13))],
)
def test_length_of_a_known_body(profile: Profile, status: tuple[int, int]) -> None:
    site = rules(profile=profile, max_allowed_content_length=5)
    assert site.check(head(b"/", b"Content-Length: 5"), 128) is None
    assert site.check(head(), 128) is None
    refused = refusal(site, head(b"/", b"Content-Length: 6"))
    assert refused == (*status, "EntityTooLarge")


@pytest.mark.parametrize("size", [0, 1, 7])
@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_length_of_a_chunked_body(codec: Codec, size: int) -> None:
    site = rules(profile=Profile.WS2008, max_allowed_content_length=5)
    request = head(b"/", b"Transfer-Encoding: chunked")
    assert site.check(request, 128) is None

    def read(body: bytes) -> bytes:
        reader = site.limited(codec.request_body(request, LIMITS))
        assert reader is not None
        got = b""
        for piece in pieces(body, size):
            if reader.done:
                break
            parts, used = reader.feed(memoryview(piece))
            got += b"".join(parts)
            assert used == len(piece)
            assert reader.received == len(got)
        assert reader.done
        assert reader.trailers == [(b"x", b"X", b"y")]
        return got

    assert read(b"2\r\nab\r\n3;e=1\r\ncde\r\n0\r\nX: y\r\n\r\n") == b"abcde"
    for body in (
        b"6\r\nabcdef\r\n0\r\n\r\n",
        b"2\r\nab\r\n3\r\ncde\r\n1\r\nf\r\n",
        b"ff\r\nabcdef",
    ):
        with pytest.raises(HttpError) as caught:
            read(body)
        assert (caught.value.status, caught.value.substatus) == (404, 13)


def test_framing_errors_of_a_limited_body_stay_what_they_are() -> None:
    site = rules(max_allowed_content_length=5)
    request = head(b"/", b"Transfer-Encoding: chunked")
    reader = site.limited(CODECS[0].request_body(request, LIMITS))
    assert isinstance(reader, LimitedReader)
    with pytest.raises(HttpError, match="BadRequest"):
        reader.feed(memoryview(b"zz\r\n"))
    cut = site.limited(CODECS[0].request_body(request, LIMITS))
    assert cut is not None
    with pytest.raises(HttpError, match="middle of the body"):
        cut.feed_eof()


def test_only_bodies_of_unknown_length_are_watched() -> None:
    site = rules(max_allowed_content_length=5)
    known = CODECS[0].request_body(head(b"/", b"Content-Length: 5"), LIMITS)
    assert isinstance(site.limited(known), LengthReader)
    assert site.limited(None) is None
    chunked = CODECS[0].request_body(head(b"/", b"Transfer-Encoding: chunked"), LIMITS)
    assert rules().limited(chunked) is chunked


@pytest.mark.parametrize(
    ("site", "active"),
    [
        (rules(), False),
        (rules("Ssl"), False),
        (rules("Ssl", redirect=True), False),
        (rules("Ssl", "SslNegotiateCert", "SslRequireCert", max_connections=5), False),
        (rules("Ssl", "Ssl128"), True),
        (rules(max_url=1), True),
        (rules(max_query_string=1), True),
        (rules(max_allowed_content_length=1), True),
    ],
)
def test_active(site: SiteRules, active: bool) -> None:
    assert site.active is active
    assert site.body_limit in (0, 1)
