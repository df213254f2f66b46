"""Which site a request goes to, as plays: heads in, routes out. No socket, no loop."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, cast

import pytest

from kssl.config import routing
from kssl.config.client_certificates import REJECT, ClientCertificates, Failure
from kssl.config.model import Binding, Hsts, Site, SiteLimits
from kssl.config.parameter import Profile
from kssl.config.parameters import Parameters
from kssl.config.profiles import RULES
from kssl.config.target import Listen, Target
from kssl.fastpath.engines.contract import Session
from kssl.fastpath.verifier.messages import ClientVerdict
from kssl.fastpath.verifier.rules.verdict import Outcome
from kssl.proxy.frontend.admission import Admission
from kssl.proxy.frontend.router import Route, Router, host_name
from kssl.proxy.frontend.site import SiteFront
from kssl.proxy.http.messages import Fields, RequestHead
from kssl.proxy.upstream.group import Group

TLS, PLAIN = Binding(Listen("127.0.0.1", 443)), Binding(Listen("127.0.0.1", 80), tls=False)
ASKS = ClientCertificates(required=True, ca=Path("/nobody.pem"))
SESSION = Session(
    version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", server_name="", alpn="", group=""
)

NO_TLS = replace(SESSION, version="", cipher="")


def site(name: str, *hostnames: str, **more: Any) -> Site:
    more.setdefault("bindings", (TLS, PLAIN))
    more.setdefault("ssl_flags", frozenset[str]())
    return Site(name=name, hostnames=hostnames, upstreams=(Target("http", "x", 1),), **more)


def fronts(
    *sites: Site, before: dict[str, SiteFront] | None = None, https_port: int = 443
) -> dict[str, SiteFront]:
    return {
        each.name: SiteFront(
            each,
            cast(Group, None),
            parameters=Parameters(),
            rules=RULES[Profile.NATIVE],
            https_port=https_port,
            before=(before or {}).get(each.name),
        )
        for each in sites
    }


def router(
    *sites: Site, binding: Binding = TLS, before: dict[str, SiteFront] | None = None
) -> Router:
    return Router.of(routing.Endpoint(binding, sites), fronts(*sites, before=before))


def head(host: bytes = b"a.test", target: bytes = b"/", **more: Any) -> RequestHead:
    of: dict[str, Any] = {
        "content_length": None,
        "chunked": False,
        "keep_alive": True,
        "upgrade": None,
        "expect_continue": False,
    }
    return RequestHead(
        b"GET", target, b"1.1", Fields([]), host, connection_options=frozenset(), **of | more
    )


def client(by: Router, *, verdict: ClientVerdict | None = None, **session: Any) -> Admission:
    """After a handshake with ``by``'s endpoint, or without one."""
    shaken = replace(SESSION if by.tls else NO_TLS, **session)
    return Admission.of(by.of_handshake(shaken.server_name), shaken, verdict)


def told(route: Route) -> tuple[str | None, int]:
    """The site, and the status if the request is refused."""
    name = route.site.site.name if route.site is not None else None
    return name, route.refusal.status if route.refusal is not None else 0


# -- which site ----------------------------------------------------------------------------


@pytest.mark.parametrize("binding", [TLS, PLAIN], ids=["tls", "plain"])
@pytest.mark.parametrize("kept", [False, True])
def test_by_host(binding: Binding, kept: bool) -> None:
    by = router(
        site("one", "one.test"),
        site("two", "two.test", "*.two.test"),
        site("rest", default=True),
        binding=binding,
    )
    who, last = client(by), None
    for host, name in (
        (b"one.test", "one"), (b"two.test", "two"), (b"ONE.Test", "one"),
        (b"one.test:8443", "one"), (b"one.test.", "one"), (b"one.test.:1", "one"),
        (b"a.two.test", "two"), (b"a.b.two.test", "rest"), (b"a.one.test", "rest"),
        (b"127.0.0.1", "rest"), (b"[::1]", "rest"), (b"[::1]:8443", "rest"),
        (b"one.test", "one"), (b"one.test", "one"), (b"", "rest"),
    ):  # fmt: skip
        route = by.route(head(host), who, last)
        assert told(route) == (name, 0), host
        last = route if kept else None


@pytest.mark.parametrize("last", [b"", b"one.test", b"two.test"])
def test_nobody_has_the_name(last: bytes) -> None:
    by = router(site("one", "one.test", hsts=Hsts(1)))
    who = client(by)
    before = by.route(head(last), who) if last else None
    route = by.route(head(b"two.test"), who, before)
    assert told(route) == (None, 404)
    assert route.policy is None
    assert route.refusal is not None
    assert route.refusal.reason == "Hostname"


def test_without_host_it_is_the_site_of_sni() -> None:
    by = router(site("rest", default=True), site("here", "here.test"))
    assert told(by.route(head(b""), client(by, server_name="HERE.test."))) == ("here", 0)
    assert told(by.route(head(b""), client(by))) == ("rest", 0)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"A.Test", "a.test"), (b"a.test.:80", "a.test"), (b"a.test:", "a.test"),
        (b"[::1]", "[::1]"), (b"[2001:DB8::1]:443", "[2001:db8::1]"), (b"1.2.3.4:5", "1.2.3.4"),
    ],
)  # fmt: skip
def test_host_name(host: bytes, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize("kept", [False, True])
def test_another_policy_is_misdirected(kept: bool) -> None:
    by = router(
        site("open", "open.test", default=True),
        site("strict", "strict.test", client_certificates=ASKS),
        site("also", "also.test"),
    )
    who, last = client(by, server_name="open.test"), None
    for host, expected in (
        (b"also.test", ("also", 0)),
        (b"strict.test", ("strict", 421)),
        (b"strict.test", ("strict", 421)),
        (b"open.test", ("open", 0)),
    ):
        route = by.route(head(host), who, last)
        assert told(route) == expected
        last = route if kept else None


def test_without_tls_nobody_is_misdirected() -> None:
    by = router(site("strict", "strict.test", client_certificates=ASKS), binding=PLAIN)
    assert told(by.route(head(b"strict.test"), client(by))) == ("strict", 403)


def test_a_policy_that_comes_with_a_reload() -> None:
    before = router(site("a", default=True))
    who = client(before)
    last = before.route(head(), who)
    assert told(last) == ("a", 0)
    by = router(site("a", default=True, client_certificates=ASKS))
    assert told(by.route(head(), who, last)) == ("a", 421)


# -- what the site asks --------------------------------------------------------------------


def test_hsts_is_for_tls() -> None:
    sites = [site("a", default=True, hsts=Hsts(7))]
    by, plain = router(*sites), router(*sites, binding=PLAIN)
    policy = by.route(head(), client(by)).policy
    assert policy is not None
    assert policy.hsts == b"max-age=7"
    assert plain.route(head(), client(plain)).policy is None


def test_plain_http_is_refused_or_redirected() -> None:
    flags = frozenset({"Ssl"})
    by = router(site("a", default=True, ssl_flags=flags), binding=PLAIN)
    route = by.route(head(), client(by))
    assert told(route) == ("a", 403)
    assert route.refusal is not None
    assert route.refusal.substatus == 4
    by = router(site("a", default=True, ssl_flags=flags, redirect=True), binding=PLAIN)
    route = by.route(head(target=b"/x"), client(by))
    assert (route.location, route.refusal) == (b"https://a.test/x", None)


@pytest.mark.parametrize("kept", [False, True])
def test_rules_look_at_each_request(kept: bool) -> None:
    limits = SiteLimits(max_url=4, max_query_string=2, max_allowed_content_length=9)
    by = router(site("a", default=True, limits=limits))
    who, last = client(by), None
    for request, status in (
        (head(target=b"/123"), 0),
        (head(target=b"/1234"), 404),
        (head(target=b"/?12"), 0),
        (head(target=b"/?123"), 404),
        (head(content_length=9), 0),
        (head(content_length=10), 413),
        (head(), 0),
    ):
        route = by.route(request, who, last)
        assert told(route) == ("a", status)
        assert not route.shared
        last = route if kept else None


@pytest.mark.parametrize("failure", list(Failure))
@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.REVOKED])
def test_a_certificate_s_verdict(failure: Failure, outcome: Outcome) -> None:
    asks = replace(ASKS, failure=failure)
    by = router(site("a", default=True, client_certificates=asks))
    verdict = ClientVerdict(outcome=outcome, reason="why")
    policy = by.sites[0].policy
    who = client(by, verdict=verdict, policy=policy, certificates=(b"der",))
    barred = outcome is Outcome.REVOKED and failure is not Failure.PASS
    for _ in range(2):
        route = by.route(head(), who)
        assert told(route) == ("a", 403 if barred else 0)
    assert who.judged
    assert (who.alert is not None) == (outcome is Outcome.REVOKED and failure is Failure.ALERT)
    assert (who.site is not None) == (who.alert is not None)


def test_rejected_certificates_are_no_policy() -> None:
    by = router(site("a", default=True))
    assert told(by.route(head(), client(by, policy=REJECT))) == ("a", 0)


# -- what is handed out again --------------------------------------------------------------


def test_a_site_without_rules_has_one_route_for_all_requests() -> None:
    by = router(site("a", default=True))
    who = client(by)
    first = by.route(head(b"a.test"), who)
    assert first.shared
    assert by.route(head(bytes(bytearray(b"a.test"))), who, first) is first
    assert by.route(head(b"b.test"), who, first) is not first
    first.release()  # there is nothing to give back


def test_the_route_of_another_router_is_not_taken() -> None:
    by, reloaded = router(site("a", default=True)), router(site("b", default=True))
    who = client(by)
    assert told(reloaded.route(head(), who, by.route(head(), who))) == ("b", 0)


# -- leases --------------------------------------------------------------------------------


def one_at_a_time(name: str, *hostnames: str, most: int = 1) -> Site:
    return site(name, *hostnames, limits=SiteLimits(max_connections=most))


@pytest.mark.parametrize("order", list(permutations(range(2))))
@pytest.mark.parametrize("kept", [False, True])
def test_two_requests_for_two_sites_on_one_connection(order: tuple[int, ...], kept: bool) -> None:
    by = router(one_at_a_time("a", "a.test"), one_at_a_time("b", "b.test"))
    who = client(by)
    hosts, names = (b"a.test", b"b.test"), ("a", "b")

    def routed(index: int, last: Route | None = None) -> Route:
        return by.route(head(hosts[index]), who, last if kept else None)

    first = routed(0)
    routes = (first, routed(1, first))
    assert [told(route) for route in routes] == [("a", 0), ("b", 0)]
    for index in range(2):
        assert told(routed(index, routes[1])) == (names[index], 503)
    one, other = order
    routes[one].release()
    assert told(routed(other)) == (names[other], 503)
    again = routed(one, routes[1])
    assert told(again) == (names[one], 0)
    routes[one].release()  # the second time: it is not the one of `again`
    assert told(routed(one)) == (names[one], 503)
    routes[other].release()
    again.release()
    assert [told(routed(index)) for index in range(2)] == [("a", 0), ("b", 0)]


def test_as_many_as_the_site_allows() -> None:
    by = router(one_at_a_time("a", "a.test", most=3))
    who = client(by)
    routes = [by.route(head(), who) for _ in range(3)]
    refused = by.route(head(), who, routes[-1])
    assert told(refused) == ("a", 503)
    assert refused.refusal is not None
    assert refused.refusal.substatus == 2
    assert refused.lease is None
    refused.release()  # it had none
    assert told(by.route(head(), who)) == ("a", 503)
    routes[1].release()
    assert told(by.route(head(), who, refused)) == ("a", 0)
    assert told(by.route(head(), who)) == ("a", 503)


def test_a_refused_request_takes_no_place() -> None:
    limits = SiteLimits(max_connections=1, max_url=4)
    by = router(site("a", default=True, limits=limits))
    who = client(by)
    for _ in range(3):
        assert told(by.route(head(target=b"/too-long"), who)) == ("a", 404)
    assert told(by.route(head(), who)) == ("a", 0)


def test_a_place_is_kept_over_a_reload() -> None:
    """The request that has it began before, and the site goes on counting."""
    limited = one_at_a_time("a", "a.test")
    before = fronts(limited)
    old = Router.of(routing.Endpoint(TLS, (limited,)), before)
    who = client(old)
    route = old.route(head(), who)
    by = router(limited, before=before)
    assert told(by.route(head(), who, route)) == ("a", 503)
    route.release()
    assert told(by.route(head(), who, route)) == ("a", 0)


def test_a_limit_that_goes_with_a_reload() -> None:
    limited = one_at_a_time("a", "a.test")
    before = fronts(limited)
    old = Router.of(routing.Endpoint(TLS, (limited,)), before)
    who = client(old)
    route = old.route(head(), who)
    by = router(site("a", "a.test"), before=before)
    assert by.route(head(), who, route).shared
    route.release()
    assert before["a"].running.count == 0
