"""kssl.config.store.sites and kssl.config.store.report: what is served, and what a certificate
covers."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kssl.config.errors import ConfigError
from kssl.config.store.place import HOSTNAMEPORT, IPPORT, Place, parse_place
from kssl.config.store.report import list_report, show_report
from kssl.config.store.sites import SiteNames, covers, read_sites, unused
from kssl.config.store.store import Store
from kssl.config.target import Listen
from tests.config.store.made import APP, NOW, WEB, Made
from tests.config.store.test_store import stored

SITES = [
    SiteNames(("app.example", "*.web.example"), (Listen("0.0.0.0", 443),)),  # noqa: S104
    SiteNames((), (Listen("::1", 8443),)),
]


def test_reading_sites(tmp_path: Path) -> None:
    path = tmp_path / "kssl.toml"
    assert read_sites(path) == []
    path.write_text(
        '[[site]]\nhostnames = ["App.Example.", 1]\n'
        'bindings = ["https://0.0.0.0:443", "http://0.0.0.0:80", "[::1]:8443", "nonsense", 1]\n'
        '[[site]]\nupstreams = []\n[[site]]\nhostnames = "x"\nbindings = 1\n'
    )
    assert read_sites(path) == [
        SiteNames(("app.example",), (Listen("0.0.0.0", 443), Listen("::1", 8443))),  # noqa: S104
        SiteNames((), None),
        SiteNames((), ()),
    ]
    for text in ("site = 1", "site = [1]", "[site]\nname = 1"):
        path.write_text(text)
        assert read_sites(path) == []
    path.write_text("site")
    with pytest.raises(ConfigError, match="not TOML"):
        read_sites(path)


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        (IPPORT, "0.0.0.0:443", ""),
        (IPPORT, "*:443", ""),
        (IPPORT, "[::1]:8443", ""),
        (IPPORT, "10.0.0.1:443", "no site listens at 10.0.0.1:443"),
        (IPPORT, "*:444", "no site listens at *:444"),
        (HOSTNAMEPORT, "app.example:443", ""),
        (HOSTNAMEPORT, "*.web.example:443", ""),
        (HOSTNAMEPORT, "www.web.example:443", ""),
        (HOSTNAMEPORT, "a.b.web.example:443", "no site at port 443 has the name a.b.web.example"),
        (HOSTNAMEPORT, "other.example:443", "no site at port 443 has the name other.example"),
        (HOSTNAMEPORT, "app.example:8443", "no site at port 8443 has the name app.example"),
        (HOSTNAMEPORT, "app.example:444", "no site listens at *:444"),
    ],
)
def test_bindings_that_nothing_uses(kind: str, text: str, reason: str) -> None:
    place = parse_place(kind, text)
    assert unused(place, SITES) == reason
    assert unused(place, []) == ""
    assert unused(place, [*SITES, SiteNames((), None)]) == ""


@pytest.mark.parametrize(
    ("names", "hostname", "yes"),
    [
        (["app.example"], "app.example", True),
        (["App.Example."], "app.example", True),
        (["*.example"], "app.example", True),
        (["*.example"], "a.app.example", False),
        (["*.example"], "example", False),
        (["*.example"], "*.example", True),
        (["app.example"], "*.example", False),
        (["*.app.example"], "*.b.app.example", False),
        ([], "app.example", False),
    ],
)
def test_names_covered(names: list[str], hostname: str, yes: bool) -> None:
    assert covers(names, hostname) is yes


def states(store: Store, sites: list[SiteNames]) -> dict[str, str]:
    report = list_report(store.view(), sites, NOW)
    return {each["thumbprint"]: each["state"] for each in report["certificates"]}


def test_states(store: Store) -> None:
    stored(store, APP)
    assert states(store, []) == {APP.thumbprint: "not served: no binding"}
    store.bind(Place(IPPORT, "*", 444), APP.thumbprint)
    assert states(store, []) == {APP.thumbprint: "not served: no binding"}
    store.commit(NOW)
    assert states(store, []) == {APP.thumbprint: "served"}
    assert states(store, SITES) == {APP.thumbprint: "not served: no site listens at *:444"}
    store.delete(APP.thumbprint, force=True)
    store.add(WEB.credentials())
    assert states(store, []) == {APP.thumbprint: "staged delete", WEB.thumbprint: "staged add"}


def test_list(store: Store) -> None:
    soon = Made("soon.example", not_after=NOW + timedelta(days=3, hours=1))
    late = Made("late.example", not_after=NOW - timedelta(hours=1))
    stored(store, soon, late)
    store.bind(parse_place(IPPORT, "*:443"), soon.thumbprint)
    store.config.parent.mkdir(exist_ok=True)
    store.config.write_text(f'[[binding]]\nipport = "*:444"\ncerthash = "{"ab" * 32}"\n')
    report = list_report(store.view(), [], NOW)
    by_thumbprint = {each["thumbprint"]: each for each in report["certificates"]}
    told = by_thumbprint[soon.thumbprint]
    assert told["names"] == ["soon.example"]
    assert told["days_left"] == 3
    assert told["not_after"] == f"{NOW + timedelta(days=3, hours=1):%Y-%m-%dT%H:%M:%SZ}"
    assert told["bindings"] == [{"ipport": "*:443", "staged": "bind", "note": ""}]
    assert by_thumbprint[late.thumbprint]["days_left"] == -1
    assert report["dangling"] == [{"ipport": "*:444", "certhash": "ab" * 32}]
    assert report["staged"] == 1


def test_show(store: Store) -> None:
    stored(store, WEB)
    told = show_report(store.entry(WEB.thumbprint), SITES, NOW)
    leaf = WEB.credentials().chain[0]
    der = leaf.public_bytes(Encoding.DER)
    assert told["thumbprint"] == hashlib.sha256(der).hexdigest()
    assert told["sha1"] == hashlib.sha1(der).hexdigest()
    assert int(told["serial"], 16) == leaf.serial_number
    assert told["key_type"] == "ECDSA secp256r1"
    assert [each["issued_by_next"] for each in told["chain"]] == [True, False]
    assert told["chain"][0]["issuer"] == told["chain"][1]["subject"] == told["issuer"]
    assert told["covers"] == ["*.web.example"]
    assert told["does_not_cover"] == ["app.example"]


def test_show_of_a_damaged_one(store: Store, state: Path) -> None:
    stored(store, APP)
    (state / "certificates" / f"{APP.thumbprint}.pem").write_bytes(b"x")
    told = show_report(store.entry(APP.thumbprint), SITES, NOW)
    assert told["state"].startswith("damaged: ")
    assert "chain" not in told
