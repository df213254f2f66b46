"""kssl.config.routing: names to sites, and which certificate is served where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kssl.config.client_certificates import REJECT, ClientCertificates
from kssl.config.model import Binding, CertificateBinding, CertificateFiles, Configuration, Site
from kssl.config.parameters import Parameters
from kssl.config.routing import NameTable, endpoints, tls_settings, verifier_settings
from kssl.config.target import Listen, Target

APP = (Target("http", "127.0.0.1", 8000),)
HTTPS = Binding(Listen("0.0.0.0", 443))  # noqa: S104
OTHER = Binding(Listen("127.0.0.1", 8443))
HTTP = Binding(Listen("0.0.0.0", 80), tls=False)  # noqa: S104
LOCAL = ("localhost", "127.0.0.1")


def files(name: str) -> CertificateFiles:
    return CertificateFiles(Path(f"/etc/{name}.pem"), Path(f"/etc/{name}.key"))


def site(name: str, *hostnames: str, **options: Any) -> Site:
    return Site(
        **{"name": name, "hostnames": hostnames, "bindings": (HTTPS,), "upstreams": APP, **options}
    )


def told(*sites: Site, bindings: tuple[CertificateBinding, ...] = ()) -> dict[str, Any]:
    return tls_settings(Configuration(sites=sites, certificate_bindings=bindings), LOCAL)


def served(settings: dict[str, Any], name: str, endpoint: int = 0) -> Any:
    """What a client gets that asks for `name`: a certificate file, or the development names."""
    there = settings["endpoints"][endpoint]
    table = NameTable(there["names"].items(), there["default"])
    index = table.find(name)
    assert index is not None
    certificate = settings["certificates"][index]
    return certificate["certificate"] or certificate["names"]


# -- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.example", "a"),
        ("b.a.example", "wild"),
        ("a.b.example", "none"),
        ("c.b.a.example", "none"),  # one label only (RFC 9525 section 6.3)
        (".a.example", "none"),
        ("x.b.example", "exact"),
        ("", "none"),
    ],
)
def test_exact_then_wildcard_then_default(name: str, expected: str) -> None:
    names = [("a.example", "a"), ("*.a.example", "wild"), ("x.b.example", "exact")]
    assert NameTable(names, "none").find(name) == expected


def test_exact_beats_a_wildcard_that_covers_it() -> None:
    names = [("*.example", "wild"), ("a.example", "exact")]
    assert NameTable(names).find("a.example") == "exact"
    assert NameTable(names).find("b.example") == "wild"


def test_no_default_is_none() -> None:
    assert NameTable([("a", 1)]).find("b") is None


def test_a_falsy_value_is_found() -> None:
    assert NameTable([("a", 0)], 7).find("a") == 0


# -- endpoints ---------------------------------------------------------------------------------


def test_endpoints_are_the_bindings_in_order_with_their_sites() -> None:
    one, two = (
        site("one", "one", bindings=(HTTP, HTTPS)),
        site("two", "two", bindings=(OTHER, HTTPS)),
    )
    found = endpoints(Configuration(sites=(one, two)))
    assert [(each.binding, each.sites) for each in found] == [
        (HTTP, (one,)),
        (HTTPS, (one, two)),
        (OTHER, (two,)),
    ]
    assert str(HTTP) == "http://0.0.0.0:80"
    assert str(HTTPS) == "https://0.0.0.0:443"


def test_the_default_site_answers_for_other_names() -> None:
    one, two = site("one", "one"), site("two", default=True)
    names = endpoints(Configuration(sites=(one, two)))[0].names()
    assert names.find("one") is one
    assert names.find("elsewhere") is two


# -- certificates ------------------------------------------------------------------------------


def test_a_site_without_anything_gets_development_names() -> None:
    settings = told(site("default", default=True))
    assert served(settings, "") == served(settings, "localhost") == list(LOCAL)


def test_each_name_of_a_site_without_certificate_gets_one_of_its_own() -> None:
    settings = told(site("app", "app.localhost", "*.app.localhost"))
    assert served(settings, "app.localhost") == ["app.localhost"]
    assert served(settings, "x.app.localhost") == ["*.app.localhost"]
    assert served(settings, "elsewhere") == ["app.localhost"]


def test_the_order_of_certificates() -> None:
    own, name, address, every = (files(n) for n in ("own", "name", "address", "every"))
    by_name = CertificateBinding(name, hostname="a.example", port=443)
    by_address = CertificateBinding(address, ipport=HTTPS.listen)
    unassigned = CertificateBinding(every, ipport=Listen("*", 443))
    with_own = site("a", "a.example", certificate=own)
    without = site("a", "a.example")
    for bindings, one, expected in (
        ((by_name, by_address, unassigned), with_own, name),
        ((by_address, unassigned), with_own, own),
        ((by_address, unassigned), without, address),
        ((unassigned,), without, every),
    ):
        assert served(told(one, bindings=bindings), "a.example") == str(expected.certificate)


def test_bindings_of_other_ports_and_addresses_do_not_count() -> None:
    elsewhere = (
        CertificateBinding(files("x"), hostname="a.example", port=8443),
        CertificateBinding(files("y"), ipport=Listen("10.0.0.1", 443)),
        CertificateBinding(files("z"), ipport=Listen("*", 8443)),
    )
    assert served(told(site("a", "a.example"), bindings=elsewhere), "a.example") == ["a.example"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_bound_name_has_the_policy_of_the_site_that_has_it(order: int) -> None:
    """And not that of a wildcard that covers it, whichever site comes first."""
    asked = ClientCertificates(required=True, ca=Path("/etc/ca.pem"))
    sites = [site("all", "*.example"), site("own", "a.example", client_certificates=asked)]
    bound = CertificateBinding(files("special"), hostname="a.example", port=443)
    settings = told(*sites[::order], bindings=(bound,))
    index = settings["endpoints"][0]["names"]["a.example"]
    assert settings["certificates"][index]["policy"] == asked.policy


def test_a_name_below_a_wildcard_may_have_its_own_certificate() -> None:
    bound = CertificateBinding(files("special"), hostname="special.example", port=443)
    settings = told(site("all", "*.example", certificate=files("wild")), bindings=(bound,))
    assert served(settings, "special.example") == "/etc/special.pem"
    assert served(settings, "other.example") == "/etc/wild.pem"


def test_without_a_default_site_the_first_ones_certificate_is_shown() -> None:
    settings = told(
        site("one", "one", certificate=files("one")), site("two", "two", certificate=files("two"))
    )
    assert served(settings, "elsewhere") == "/etc/one.pem"


def test_certificates_are_told_once_and_plain_endpoints_not_at_all() -> None:
    own = files("own")
    settings = told(
        site("one", "one", "uno", certificate=own, bindings=(HTTP, HTTPS)),
        site("two", "two", certificate=own, bindings=(HTTPS, OTHER)),
    )
    assert len(settings["certificates"]) == 1
    assert len(settings["endpoints"]) == 2
    assert served(settings, "two", endpoint=1) == "/etc/own.pem"


def asking(name: str, **options: Any) -> Site:
    """A site that asks for client certificates, as `options` have it."""
    certificates = ClientCertificates(**{"required": True, "ca": Path("/ca.pem"), **options})
    return site(name, name, certificate=files("own"), client_certificates=certificates)


def test_sites_of_different_policy_have_certificates_of_their_own() -> None:
    one, two = site("one", "one", certificate=files("own")), asking("two")
    settings = told(one, two, asking("three"), asking("four", required=False))
    policies = [each["policy"] for each in settings["certificates"]]
    assert policies == ["", two.policy, asking("four", required=False).policy]
    assert len(set(policies)) == 3


def test_the_policy_of_all_where_client_certificates_are_rejected() -> None:
    sites = (site("one", "one", certificate=files("own")), site("two", "two"))
    parameters = Parameters(reject_client_certificates=1)
    settings = tls_settings(Configuration(sites=sites, parameters=parameters), LOCAL)
    assert {each["policy"] for each in settings["certificates"]} == {REJECT}


# -- the verifier ------------------------------------------------------------------------------


def told_verifier(*sites: Site, **parameters: Any) -> dict[str, Any] | None:
    configuration = Configuration(sites=sites, parameters=Parameters(**parameters))
    return verifier_settings(configuration, Path("/state"))


def test_no_verifier_where_nobody_asks() -> None:
    assert told_verifier(site("one", "one")) is None
    assert told_verifier(site("one"), url_retrieval_allowed="x") is None


def test_what_the_verifier_is_told() -> None:
    one, same, other = asking("one"), asking("same"), asking("other", max_depth=0)
    settings = told_verifier(one, site("plain"), same, other)
    assert settings is not None
    assert settings.pop("policies") == {
        each.policy: each.client_certificates.to_json()
        for each in (one, other)
        if each.client_certificates is not None
    }
    assert settings.pop("sites") == {one.policy: "'one', 'same'", other.policy: "'other'"}
    assert settings == {"state_dir": "/state", "retrieve_issuers": False, "allowed": []}
    assert json.loads(json.dumps(settings)) == settings


def test_what_the_verifier_may_fetch() -> None:
    settings = told_verifier(
        asking("one"),
        disable_ssl_cert_chain_cache_only_url_retrieval=1,
        url_retrieval_allowed=" pki.example, 10.1.0.0/16,fd00::7  a ",
    )
    assert settings is not None
    assert settings["retrieve_issuers"] is True
    assert settings["allowed"] == ["pki.example", "10.1.0.0/16", "fd00::7", "a"]
