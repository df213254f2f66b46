"""URLs of strangers: what is read, in which one form, and every trick that is refused."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kssl.fastpath.verifier.fetch.errors import FetchFailure
from kssl.fastpath.verifier.fetch.url import MAX_LENGTH, Target, parse


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://ca.example/a.crt", "http://ca.example/a.crt"),
        ("HTTP://CA.Example:80/A.crt", "http://ca.example/A.crt"),
        ("http://ca.example", "http://ca.example/"),
        ("http://ca.example.:8080?a=b", "http://ca.example:8080/?a=b"),
        ("http://ca.example/a%20b;c=(1)@x?d=%2F", "http://ca.example/a%20b;c=(1)@x?d=%2F"),
        ("http://192.0.2.1/", "http://192.0.2.1/"),
        ("http://192.0.2.1./", "http://192.0.2.1/"),
        ("http://[2001:DB8:0::1]:81/", "http://[2001:db8::1]:81/"),
        ("http://[::ffff:192.0.2.1]/", "http://192.0.2.1/"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
    ],
)
def test_one_form(url: str, plain: str) -> None:
    target = parse(url)
    assert str(target) == plain
    assert parse(plain) == target


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "not an http:// URL"),
        ("https://ca.example/", "not an http:// URL"),
        ("ftp://ca.example/", "not an http:// URL"),
        ("ldap://ca.example/cn=a?b", "not an http:// URL"),
        ("file:///etc/passwd", "not an http:// URL"),
        ("http:/ca.example/", "not an http:// URL"),
        ("http:ca.example", "not an http:// URL"),
        ("//ca.example/", "not an http:// URL"),
        (" http://ca.example/", "character"),
        ("http://ca.example/a b", "character"),
        ("http://ca.example/\r\nX: y", "character"),
        ("http://ca.example\r\n/", "character"),
        ("http://ca.example/\0", "character"),
        ("http://ca.example\\@b.example/", "character"),
        ("http://ca.example/é", "character"),
        ("http://ca。example/", "character"),
        ("http://①②⑦.0.0.1/", "character"),
        ("http://ca.example/\u202egnp.crt", "character"),
        ("http://ca.example/#", "fragment"),
        ("http://ca.example#@b.example/", "fragment"),
        ("http://user@ca.example/", "user name"),
        ("http://user:pass@ca.example/", "user name"),
        ("http://@ca.example/", "user name"),
        ("http://ca.example%40b.example/", "no name"),
        ("http://127.0.0.1%2f.example/", "no name"),
        ("http:///a", "no name"),
        ("http://:80/a", "no name"),
        ("http://./a", "no name"),
        ("http://ca..example/", "no name"),
        ("http://-ca.example/", "no name"),
        ("http://ca-.example/", "no name"),
        ("http://ca_1.example/", "no name"),
        ("http://ca.example../", "no name"),
        (f"http://{'a' * 64}.example/", "no name"),
        (f"http://{'a.' * 130}example/", "no name"),
        ("http://2130706433/", "number"),
        ("http://127.1/", "number"),
        ("http://127.0.1/", "number"),
        ("http://0177.0.0.1/", "number"),
        ("http://0x7f.0.0.1/", "number"),
        ("http://0x7f000001/", "number"),
        ("http://0x7F000001/", "number"),
        ("http://0x/", "number"),
        ("http://1.2.3.4.5/", "number"),
        ("http://256.1.1.1/", "number"),
        ("http://ca.example.0x7f/", "number"),
        ("http://[::1%25lo]/", "zone"),
        ("http://[fe80::1%eth0]/", "zone"),
        ("http://[fe80::1%251]/", "zone"),
        ("http://[127.0.0.1]/", "no IPv6"),
        ("http://[]/", "no IPv6"),
        ("http://[v1.x]/", "no IPv6"),
        ("http://[::1/", "host that is none"),
        ("http://::1/", "host that is none"),
        ("http://[::1]a/", "host that is none"),
        ("http://ca.example:/", "host that is none"),
        ("http://ca.example:0/", "host that is none"),
        ("http://ca.example:080/", "host that is none"),
        ("http://ca.example:65536/", "host that is none"),
        ("http://ca.example:-1/", "host that is none"),
        ("http://ca.example:80:80/", "host that is none"),
        ("http://ca.example/[", "bracket"),
        ("http://ca.example/%", "percent"),
        ("http://ca.example/%0g", "percent"),
        (f"http://ca.example/{'a' * MAX_LENGTH}", "longer"),
    ],
)
def test_refused(url: str, why: str) -> None:
    with pytest.raises(FetchFailure, match=why) as info:
        parse(url)
    assert str(info.value).isprintable()


def test_the_longest() -> None:
    begin = "http://ca.example/"
    assert parse(begin + "a" * (MAX_LENGTH - len(begin)))


TRICKS = st.text(st.sampled_from("aA0127fx.:/@#?%[]\\ \t\r\n-。①&é"), max_size=30)


@given(TRICKS)
@example("0")
@example("127.0.0.1:80")
def test_whatever_is_read_is_read_alike_by_others(rest: str) -> None:
    try:
        target = parse(f"http://{rest}")
    except FetchFailure:
        return
    other = urlsplit(f"http://{rest}")
    assert (other.username, other.password, other.fragment) == (None, None, "")
    assert (other.port or 80) == target.port
    assert parse(str(target)) == target
    assert "\r" not in str(target)
    if target.address is None:
        assert other.hostname is not None
        assert other.hostname.removesuffix(".") == target.host
        with pytest.raises(OSError, match="illegal"):  # what getaddrinfo takes for an address
            socket.inet_aton(target.host)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["%d", "0x%x", "0%o"]))
def test_no_number_is_a_host(number: int, form: str) -> None:
    with pytest.raises(FetchFailure):
        parse(f"http://{form % number}/")


@given(st.ip_addresses())
def test_addresses(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    target = parse(f"http://{host}/")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    assert target.address == (mapped or address)


def redirected(location: str) -> str:
    return str(parse("http://ca.example:8080/a/b").redirected(location))


@pytest.mark.parametrize(
    ("location", "to"),
    [
        ("/c?d", "http://ca.example:8080/c?d"),
        ("http://CA.example:8080/c", "http://ca.example:8080/c"),
        ("http://ca.example.:8080", "http://ca.example:8080/"),
    ],
)
def test_redirects(location: str, to: str) -> None:
    assert redirected(location) == to


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://ca.example/c", "same host and port"),
        ("http://www.ca.example:8080/", "same host and port"),
        ("http://127.0.0.1:8080/", "same host and port"),
        ("http://[::1]:8080/", "same host and port"),
        ("https://ca.example:8080/", "not an http:// URL"),
        ("file:///etc/passwd", "not an http:// URL"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "not an http:// URL"),
        ("//evil.example/", "not an http:// URL"),
        ("/\\evil.example/", "character"),
        ("c", "not an http:// URL"),
        ("", "not an http:// URL"),
        ("/c#d", "fragment"),
        ("http://ca.example:8080@evil.example/", "user name"),
        ("/" + "a" * MAX_LENGTH, "longer"),
        ("/\x1b[2J", "character"),
    ],
)
def test_redirects_refused(location: str, why: str) -> None:
    with pytest.raises(FetchFailure, match=why) as info:
        redirected(location)
    assert str(info.value).isprintable()


def test_the_host_field() -> None:
    assert parse("http://[::1]/").authority == "[::1]"
    assert parse("http://[::1]:8080/").authority == "[::1]:8080"
    assert Target("ca.example", 80, "/").authority == "ca.example"
