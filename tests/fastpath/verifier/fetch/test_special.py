"""Which addresses are public, range by range, and whatever stands for another address."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.verifier.fetch.special import never, special

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255",
    "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
    "198.20.0.0", "223.255.255.255", "2000::", "2001:200::1", "2001:4860:4860::8888",
    "2600::1", "2a00:1450::1", "3ffe::1", "64:ff9b::808:808", "::ffff:8.8.8.8",
]  # fmt: skip

SPECIAL = {
    "unspecified": ["0.0.0.1", "0.255.255.255", "::", "::ffff:0.0.0.0"],
    "loopback": ["127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"],
    "private": [
        "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0",
        "192.168.255.255", "fc00::", "fd00:ec2::254", "fdff::1", "::ffff:10.0.0.1",
    ],
    "CGNAT": ["100.64.0.0", "100.100.100.200", "100.127.255.255", "::ffff:100.64.0.1"],
    "link-local": ["169.254.0.0", "169.254.169.254", "169.254.255.255", "fe80::1", "febf::1",
                   "::ffff:169.254.169.254"],
    "Azure": ["168.63.129.16"],
    "protocols": ["192.0.0.0", "192.0.0.9", "192.0.0.192", "192.0.0.255", "2001:1::1",
                  "2001:10::1", "2001:20::1", "2001:1ff::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.255", "2001:db8::1", "3fff::1",
                      "3fff:fff::1"],
    "benchmarks": ["198.18.0.0", "198.19.255.255", "2001:2::1"],
    "multicast": ["224.0.0.0", "224.0.0.251", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.0", "255.255.255.254", "::127.0.0.1", "::ffff:0:127.0.0.1", "4000::1",
                 "5f00::1", "200::1", "1fff::1", "64:ff9a::1", "fe00::1"],
    "broadcast": ["255.255.255.255"],
    "6to4": ["192.88.99.1", "2002:7f00:1::1", "2002:a00:1::1", "2002:808:808::1"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254",
              "64:ff9b:1::8.8.8.8"],
    "Teredo": ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "site-local": ["fec0::1", "feff::1"],
    "discards": ["100::1"],
    "zone": ["2a00:1450::1%eth0", "2a00:1450::1%1"],
}  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert special(ipaddress.ip_address(address)) is None


@pytest.mark.parametrize(
    ("what", "address"), [(what, each) for what, several in SPECIAL.items() for each in several]
)
def test_not_public(what: str, address: str) -> None:
    found = special(ipaddress.ip_address(address))
    assert found is not None
    assert what in found


@given(st.ip_addresses())
def test_nothing_public_that_python_knows_better(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """`ipaddress` has its gaps; what it does refuse is refused here too."""
    if special(address) is None:
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        address = mapped or address
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_what_stands_for_another_address(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    mapped = ipaddress.IPv6Address(0xFFFF << 32 | number)
    nat64 = ipaddress.IPv6Address(0x64FF9B << 96 | number)
    assert special(mapped) == special(address)
    assert (special(nat64) is None) == (special(address) is None)


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "::ffff:0.0.0.0"],  # noqa: S104
)
def test_never(address: str) -> None:
    assert never(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "8.8.8.8"])
def test_not_never(address: str) -> None:
    assert not never(ipaddress.ip_address(address))
