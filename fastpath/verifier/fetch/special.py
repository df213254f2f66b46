"""Addresses that are not simply somewhere in the Internet, and what they are.

The table is ours and not `ipaddress.is_global`, which differs between Python 3.11.2 and 3.11.7 and
takes multicast, 192.0.0.192 (metadata of a cloud) and site-local addresses for global ones. It
follows the IANA registries of special-purpose addresses (RFC 6890), and is stricter: a range that
may be reachable from everywhere but serves no CA is refused as well.

It cannot know a NAT64 prefix that a network has chosen from its own public addresses
(RFC 6052 §2.2), nor services inside a network that have public addresses.
"""

from __future__ import annotations

import ipaddress

from kssl.fastpath.verifier.fetch.url import Address, plain

_V4 = [
    (ipaddress.IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a shared address of a provider's NAT (CGNAT)"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "a service of the machine's host (Azure)"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "an address for protocols (RFC 6890)"),
        ("192.0.2.0/24", "an address for documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address for benchmarks"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("255.255.255.255/32", "the broadcast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
]
_V6 = [
    (ipaddress.IPv6Network(network), what)
    for network, what in (
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("64:ff9b:1::/48", "a NAT64 address of this network"),
        ("100::/64", "an address that discards"),
        ("2001::/32", "a Teredo address"),
        ("2001:2::/48", "an address for benchmarks"),
        ("2001::/23", "an address for protocols (RFC 2928)"),
        ("2001:db8::/32", "an address for documentation"),
        ("2002::/16", "a 6to4 address"),
        ("3fff::/20", "an address for documentation"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    )
]
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA gives out
# No server has one. Linux takes 0.0.0.0 and :: for loopback.
_NEVER = [
    ipaddress.ip_network(network)
    for network in ("0.0.0.0/8", "224.0.0.0/4", "255.255.255.255", "::", "ff00::/8")
]


def special(address: Address) -> str | None:
    """What ``address`` is, with its article: "a loopback address"; None: public unicast."""
    address = plain(address)
    if isinstance(address, ipaddress.IPv4Address):
        return next((what for network, what in _V4 if address in network), None)
    if address.scope_id is not None:
        return "an address with a zone"
    if address in _NAT64:
        inner = special(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        return inner and f"{inner} behind NAT64"
    known = next((what for network, what in _V6 if address in network), None)
    return known or (None if address in _UNICAST else "a reserved address")


def never(address: Address) -> bool:
    """Whether nothing can be fetched from there, whatever somebody allows."""
    address = plain(address)
    return any(address in network for network in _NEVER)
