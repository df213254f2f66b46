"""kssl.config.store.place: what a certificate can be bound to."""

from __future__ import annotations

import pytest

from kssl.config.errors import ConfigError
from kssl.config.store.place import HOSTNAMEPORT, IPPORT, parse_place, place_of


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        (IPPORT, "0.0.0.0:443", "ipport=0.0.0.0:443"),
        (IPPORT, "*:443", "ipport=*:443"),
        (IPPORT, "[::1]:8443", "ipport=[::1]:8443"),
        (IPPORT, "[0:0:0:0:0:0:0:1]:8443", "ipport=[::1]:8443"),
        (IPPORT, " 10.0.0.1:65535 ", "ipport=10.0.0.1:65535"),
        (HOSTNAMEPORT, "App.Example.COM.:1", "hostnameport=app.example.com:1"),
        (HOSTNAMEPORT, "*.example.com:443", "hostnameport=*.example.com:443"),
        (HOSTNAMEPORT, "xn--bcher-kva.example:443", "hostnameport=xn--bcher-kva.example:443"),
    ],
)
def test_places(kind: str, text: str, shown: str) -> None:
    place = parse_place(kind, text)
    assert str(place) == shown
    assert parse_place(kind, place.netloc) == place
    assert place_of({kind: text, "certhash": "00"}) == place


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (IPPORT, "", "missing"),
        (IPPORT, "443", "missing"),
        (IPPORT, ":443", "missing"),
        (IPPORT, "10.0.0.1", "missing"),
        (IPPORT, "10.0.0.1:", "not a port"),
        (IPPORT, "10.0.0.1:0", "not a port"),
        (IPPORT, "10.0.0.1:65536", "not a port"),
        (IPPORT, "10.0.0.1:٤٤٣", "not a port"),
        (IPPORT, "10.0.0.256:443", "not an IP address"),
        (IPPORT, "app.example:443", "not an IP address.*hostnameport"),
        (IPPORT, "::1:443", "brackets"),
        (IPPORT, "[10.0.0.1]:443", "brackets"),
        (IPPORT, "[fe80::1%eth0]:443", "zone"),
        (HOSTNAMEPORT, "10.0.0.1:443", "SNI knows names only"),
        (HOSTNAMEPORT, "a..b:443", "not a host name"),
        (HOSTNAMEPORT, "a.*.b:443", "not a host name"),
        (HOSTNAMEPORT, "*:443", "not a host name"),
        (HOSTNAMEPORT, "[::1]:443", "not a host name"),
        (HOSTNAMEPORT, "bücher.example:443", "xn--"),
        (HOSTNAMEPORT, f"{'a.' * 130}a:443", "not a host name"),
        (HOSTNAMEPORT, "a\x1b[2J:443", "not a host name"),
    ],
)
def test_what_is_no_place(kind: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_place(kind, text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("table", [{}, {"ipport": 443}, {"certhash": "ab"}])
def test_a_table_without_a_place(table: dict[str, object]) -> None:
    assert place_of(table) is None
