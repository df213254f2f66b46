"""URLs of strangers, read by one strict grammar (RFC 3986, and less than it allows).

Two parsers that read a URL differently are how a check is got around, so this one accepts only
what all read alike: http://, a host name in ASCII or an address in its usual form, perhaps a port,
a path. Not accepted are userinfo, fragments, zones, percent signs in the host, and numbers that
`inet_aton` would take for an address (127.1, 2130706433, 0x7f000001, 0177.0.0.1).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from kssl.fastpath.verifier.fetch.errors import FetchFailure, shown

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Characters. Those of certificates in use have some 100.
MAX_LENGTH = 2048
_MAX_HOST = 253  # RFC 1035 §2.3.4, without the final dot

_STRANGE = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]#]")
_HTTP = re.compile(r"http://([^/?]*)(.*)", re.IGNORECASE)
_PATH = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# A last label like this makes the whole an address to inet_aton and to browsers (WHATWG URL).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL names. `str()` is the URL in the one form that a cache can compare."""

    host: str  # lower case, no final dot; an address without brackets
    port: int
    path: str  # origin-form, with the query
    address: Address | None = None  # if the URL gives one instead of a name

    @property
    def authority(self) -> str:
        """For the Host field: the port only if it is not 80."""
        host = f"[{self.host}]" if isinstance(self.address, ipaddress.IPv6Address) else self.host
        return host if self.port == 80 else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"http://{self.authority}{self.path}"

    def redirected(self, location: str) -> Target:
        """Where a Location field leads: the same host and port, nothing else.

        A path without / in front of it is not resolved; nobody sends that for a certificate.
        Raises FetchFailure.
        """
        if location.startswith("/") and not location.startswith("//"):
            return parse(f"http://{self.authority}{location}")
        try:
            target = parse(location)
        except FetchFailure as failure:
            raise FetchFailure(
                f"redirects to {shown(location)!r}, which {failure}; publish the file there itself"
            ) from None
        if (target.host, target.port) != (self.host, self.port):
            raise FetchFailure(
                f"redirects to {shown(target.authority)}; redirects are followed on the same host "
                "and port only"
            )
        return target


def parse(url: str) -> Target:
    """Raises FetchFailure, whose text goes on behind the URL or behind "which"."""
    if len(url) > MAX_LENGTH:
        raise FetchFailure(f"is longer than {MAX_LENGTH} characters")
    strange = _STRANGE.search(url)
    if strange:
        raise FetchFailure(f"has a character that must be escaped in a URL: {strange[0]!a}")
    if "#" in url:
        raise FetchFailure("has a fragment (#), which does not belong there")
    found = _HTTP.fullmatch(url)
    if found is None:
        raise FetchFailure("is not an http:// URL; only those are fetched")
    authority, path = found.groups()
    if "@" in authority:
        raise FetchFailure("has a user name in front of the host (@), which does not belong there")
    if not _PATH.fullmatch(path):
        raise FetchFailure("has a bracket in its path, or a percent sign without two digits")
    split = _AUTHORITY.fullmatch(authority)
    if split is None or int(split[2] or 80) > 65535:
        raise FetchFailure("has a port or a host that is none")
    name, address = host_of(split[1])
    full = path if path.startswith("/") else f"/{path}"
    return Target(name, int(split[2] or 80), full, address)


def host_of(text: str) -> tuple[str, Address | None]:
    """A host as a URL has it → name or address in its usual form, and the address if it is one.

    ::ffff:192.0.2.1 is 192.0.2.1: the kernel sends the same packets. Raises FetchFailure.
    """
    if text.startswith("["):
        inside = text[1:-1]
        if "%" in inside:
            raise FetchFailure("has an address with a zone (%), which means something here only")
        try:
            address = plain(ipaddress.IPv6Address(inside))
        except ValueError:
            raise FetchFailure("has brackets around what is no IPv6 address") from None
        return str(address), address
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            v4 = ipaddress.IPv4Address(name)
        except ValueError:
            raise FetchFailure(
                "has a number for a host that is no usual IPv4 address; write four numbers from 0 "
                "to 255 without leading zeros"
            ) from None
        return str(v4), v4
    if len(name) > _MAX_HOST or not all(map(_LABEL.fullmatch, labels)):
        raise FetchFailure(
            "has a host that is no name: letters, digits, hyphens and dots, at most 253"
        )
    return name, None


def plain(address: Address) -> Address:
    """``address``, but an IPv4-mapped one (RFC 4291 §2.5.5.2) as the IPv4 address it stands for."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped
