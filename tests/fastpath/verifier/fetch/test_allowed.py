"""What somebody may allow beyond the public Internet, and what the refusals say."""

from __future__ import annotations

import ipaddress

import pytest

from kssl.config.errors import ConfigError
from kssl.fastpath.verifier.fetch.allowed import Allowed
from kssl.fastpath.verifier.fetch.errors import FetchFailure
from kssl.fastpath.verifier.fetch.url import parse


def check(allowed: Allowed, url: str, address: str = "") -> None:
    target = parse(url)
    allowed.check_target(target)
    found = ipaddress.ip_address(address) if address else target.address
    assert found is not None
    allowed.check_address(target, found)


def refusal(allowed: Allowed, url: str, address: str = "") -> str:
    with pytest.raises(FetchFailure) as info:
        check(allowed, url, address)
    return str(info.value)


def test_by_default() -> None:
    check(Allowed(), "http://ca.example/", "8.8.8.8")
    check(Allowed(), "http://[2a00:1450::1]:8080/")


def test_the_sentences() -> None:
    allowed = Allowed(setting="fetch_allowed")
    assert refusal(allowed, "http://169.254.169.254/") == (
        "169.254.169.254 is a link-local address; name it in fetch_allowed to allow it"
    )
    assert refusal(allowed, "http://ca.example/", "10.0.0.1") == (
        "ca.example has the address 10.0.0.1, which is a private address; "
        "name it in fetch_allowed to allow it"
    )
    assert refusal(allowed, "http://0.0.0.0/") == "0.0.0.0 is an unspecified address"


@pytest.mark.parametrize("port", [22, 25, 81, 443, 6379, 8081, 65535])
def test_ports(port: int) -> None:
    assert refusal(Allowed(setting="--here"), f"http://ca.example:{port}/", "8.8.8.8") == (
        f"names port {port}; only these are asked: 80, 8080; name ca.example:{port} in --here to "
        "allow it"
    )
    check(Allowed.of([], ports=[port]), f"http://ca.example:{port}/", "8.8.8.8")


def test_a_host() -> None:
    allowed = Allowed.of(["PKI.Corp.example.", "intranet"])
    check(allowed, "http://pki.corp.example/", "10.0.0.1")
    check(allowed, "http://pki.corp.example./", "127.0.0.1")
    check(allowed, "http://intranet/", "10.0.0.1")
    refusal(allowed, "http://x.pki.corp.example/", "10.0.0.1")
    refusal(allowed, "http://10.0.0.1/")
    assert "multicast" in refusal(allowed, "http://pki.corp.example/", "224.0.0.1")


def test_a_host_and_a_port() -> None:
    allowed = Allowed.of(["PKI.corp.example:8081", "10.0.0.7:8081", "[FD00:0::7]:81", "here:80"])
    check(allowed, "http://pki.corp.example.:8081/", "10.0.0.1")
    check(allowed, "http://10.0.0.7:8081/")
    check(allowed, "http://[fd00::7]:81/")
    check(allowed, "http://here/", "127.0.0.1")
    for url, address in (
        ("http://pki.corp.example:8082/", "10.0.0.1"),
        ("http://pki.corp.example/", "10.0.0.1"),
        ("http://pki.corp.example:8080/", "10.0.0.1"),
        ("http://x.pki.corp.example:8081/", "8.8.8.8"),
        ("http://other.example:8081/", "10.0.0.7"),
        ("http://10.0.0.7/", ""),
        ("http://10.0.0.8:8081/", ""),
        ("http://here:8080/", "127.0.0.1"),
    ):
        refusal(allowed, url, address)
    check(allowed, "http://pki.corp.example/", "8.8.8.8")  # as before
    nowhere = Allowed.of(["0.0.0.0:8081"])
    assert "to allow it" not in refusal(nowhere, "http://0.0.0.0:8081/")


def test_a_network() -> None:
    allowed = Allowed.of(["10.1.0.0/16", "192.168.7.7", "fd00:1::/32"])
    check(allowed, "http://10.1.2.3/")
    check(allowed, "http://[::ffff:10.1.2.3]/")
    check(allowed, "http://ca.example/", "10.1.2.3")
    check(allowed, "http://192.168.7.7/")
    check(allowed, "http://[fd00:1::5]/")
    for other in ("10.2.0.1", "192.168.7.8", "[fd00:2::1]", "127.0.0.1"):
        refusal(allowed, f"http://{other}/")


@pytest.mark.parametrize("url", ["http://0.0.0.0/", "http://255.255.255.255/", "http://[ff02::1]/"])
def test_everything_is_not_nowhere(url: str) -> None:
    allowed = Allowed.of(["0.0.0.0/0", "::/0"])
    check(allowed, "http://127.0.0.1/")
    assert "to allow it" not in refusal(allowed, url)


@pytest.mark.parametrize("host", ["localhost", "metadata", "localhost."])
def test_names_without_a_dot(host: str) -> None:
    assert "this network only" in refusal(Allowed(), f"http://{host}/", "8.8.8.8")


@pytest.mark.parametrize(
    "entry",
    ["", "10.0.0.1/8", "10.0.0.0/33", "a b", "http://a/", "[::1]", "a:", "a:0", "a:080",
     "a:65536", "10.0.0.0/8:81", "[a]:81", "[::1]81", "127.1:81", ":81", "a:81:82", "*.example",
     "a/b", "127.1", "::ffff:10.0.0.0/104", "fe80::1%eth0", "\x1b[2J", "a" * 300],
)  # fmt: skip
def test_entries_that_are_none(entry: str) -> None:
    with pytest.raises(ConfigError, match=r"^fetch_allowed: ") as info:
        Allowed.of([entry], setting="fetch_allowed")
    assert str(info.value).isprintable()


@pytest.mark.parametrize("ports", [[], [0], [65536], [80, -1]])
def test_ports_that_are_none(ports: list[int]) -> None:
    with pytest.raises(ConfigError, match="ports"):
        Allowed.of([], ports=ports)
