"""The parameters that judge a request's head, and what answers say of the server: all live."""

from __future__ import annotations

from tests.proxy.effects.service import Services
from tests.proxy.frontend.clients import request
from tests.proxy.frontend.plain import PlainClient


def max_field_length(services: Services) -> None:
    """Name and value together."""
    service = services.live
    service.set(MaxFieldLength=100)
    service.passes(b"/", b"X: " + b"a" * 99)
    page = service.refuses(b"/", b"X: " + b"a" * 100, reason="FieldLength")
    assert b"MaxFieldLength (100 bytes)" in page.body
    service.set()
    service.passes(b"/", b"X: " + b"a" * 16_000)


def max_request_bytes(services: Services) -> None:
    """Everything up to the empty line and with it."""
    service = services.live
    service.set(MaxRequestBytes=300)
    room = 300 - len(request(b"GET", b"/", b"X: "))
    service.passes(b"/", b"X: " + b"a" * room)
    page = service.refuses(b"/", b"X: " + b"a" * (room + 1), reason="RequestLength")
    assert b"MaxRequestBytes (300 bytes)" in page.body
    service.set()
    service.passes(b"/", b"X: " + b"a" * 16_000, b"Y: " + b"a" * 16_000)
    service.set(MaxRequestBytes=100_000, MaxFieldLength=65_534)
    service.passes(b"/", b"X: " + b"a" * 60_000)


def max_response_head_bytes(services: Services) -> None:
    """Of the app's answers; a single field may be as long as the head."""
    service = services.live
    service.set()
    with service.client() as client:
        assert client.ask(b"GET", b"/field/60000").get(b"x") == b"a" * 60_000
        answer = client.ask(b"GET", b"/field/70000")
    assert answer.status == 502
    assert b"MaxResponseHeadBytes (65536 bytes)" in answer.body
    service.set(MaxResponseHeadBytes=100_000)
    with service.client() as client:
        assert client.ask(b"GET", b"/field/70000").status == 200


def url_segment_max_length(services: Services) -> None:
    service = services.live
    service.set(UrlSegmentMaxLength=5)
    service.passes(b"/12345/%31%32345?and-what-is-behind")
    page = service.refuses(b"/a/123456", reason="URL")
    assert b"UrlSegmentMaxLength" in page.body
    service.set(UrlSegmentMaxLength=260)
    service.passes(b"/" + b"a" * 260)
    service.refuses(b"/" + b"a" * 261, reason="URL")
    service.set()
    service.passes(b"/" + b"a" * 8_000)


def url_segment_max_count(services: Services) -> None:
    service = services.live
    service.set(UrlSegmentMaxCount=3)
    service.passes(b"/a/b%2Fb/c?/d/e")
    page = service.refuses(b"/a/b/c/d", reason="URL")
    assert b"UrlSegmentMaxCount" in page.body
    service.set(UrlSegmentMaxCount=255)
    service.passes(b"/a" * 255)
    service.refuses(b"/a" * 256, reason="URL")
    service.set()
    service.passes(b"/a" * 4_000)


def allow_restricted_chars(services: Services) -> None:
    service = services.live
    restricted = (b"/a%00b", b"/%1F", b"/%7F", b"/%C2%85")
    service.set(AllowRestrictedChars=0)
    for target in restricted:
        page = service.refuses(target, reason="URL")
        assert b"AllowRestrictedChars" in page.body
    service.passes(b"/a%20b%C2%A0?%00")
    service.set(AllowRestrictedChars=1)
    for target in restricted:
        service.passes(target)


def percent_u_allowed(services: Services) -> None:
    service = services.live
    service.set(PercentUAllowed=1)
    service.passes(b"/%u0041%U20ac")
    service.set(PercentUAllowed=0)
    page = service.refuses(b"/%u0041", reason="URL")
    assert b"PercentUAllowed" in page.body
    service.passes(b"/%41?%u0041")


def enable_non_utf8(services: Services) -> None:
    service = services.live
    service.set(EnableNonUTF8=1)
    service.passes(b"/%FF%C3")
    service.set(EnableNonUTF8=0)
    page = service.refuses(b"/%FF%C3", reason="URL")
    assert b"EnableNonUTF8" in page.body
    service.passes(b"/%C3%BC?%FF")


def favor_utf8(services: Services) -> None:
    """Three letters, six bytes."""
    service, target = services.live, b"/%C3%A4%C3%B6%C3%BC"
    service.set(FavorUTF8=1, UrlSegmentMaxLength=3)
    service.passes(target)
    service.set(FavorUTF8=0, UrlSegmentMaxLength=3)
    service.refuses(target, reason="URL")
    service.set(FavorUTF8=0, UrlSegmentMaxLength=3, EnableNonUTF8=0)
    service.passes(target)


def disable_server_header(services: Services) -> None:
    """The field in the app's answer and in a page of the proxy's."""
    service = services.live
    for value, of_app, of_page in ((0, b"app", b"kssl"), (1, b"app", None), (2, None, None)):
        service.set(DisableServerHeader=value)
        assert service.passes(b"/").get(b"server") == of_app
        assert service.refuses(b"/%00", reason="URL").get(b"server") == of_page
        with PlainClient(service.process.port) as client:  # which is told to use https
            answer = client.ask()
            assert (answer.status, answer.get(b"server")) == (400, of_page)
