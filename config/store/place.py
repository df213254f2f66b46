"""What a certificate is bound to, as typed after ``kssl cert bind`` and as kssl.toml has it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from kssl.config.errors import ConfigError
from kssl.config.model import UNASSIGNED, WILDCARD
from kssl.config.target import MAX_PORT, Listen

IPPORT, HOSTNAMEPORT = "ipport", "hostnameport"
FORMS = "ipport=ADDRESS:PORT, ipport=*:PORT (any unassigned) or hostnameport=NAME:PORT"

# RFC 1123, 2.1, and underscores, which container networks use. Lower case: names are lowered.
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_MAX_NAME = 253
_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """`kind` is `IPPORT` or `HOSTNAMEPORT`; `host` an address without brackets, "*", or a name."""

    kind: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """``host:port``, IPv6 in brackets."""
        return Listen(self.host, self.port).netloc

    def __str__(self) -> str:
        return f"{self.kind}={self.netloc}"


def parse_place(kind: str, text: str) -> Place:
    """Raises ConfigError for what is none of `FORMS`."""
    shown = f"{kind}={text}"
    host, separator, digits = text.strip().rpartition(":")
    if not separator or not host:
        raise ConfigError(f"{shown}: address or port is missing; write {FORMS}")
    port = int(digits) if _PORT.fullmatch(digits) else 0
    if not 1 <= port <= MAX_PORT:
        raise ConfigError(f"{shown}: {digits!r} is not a port; ports are 1-{MAX_PORT}")
    return Place(kind, _address(host, shown) if kind == IPPORT else _name(host, shown), port)


def place_of(table: Mapping[str, object]) -> Place | None:
    """The place of a ``[[binding]]`` table, None if it has none. Raises as `parse_place`."""
    for kind in (IPPORT, HOSTNAMEPORT):
        text = table.get(kind)
        if isinstance(text, str):
            return parse_place(kind, text)
    return None


def _address(host: str, shown: str) -> str:
    if host == UNASSIGNED:
        return host
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise ConfigError(
            f"{shown}: {host!r} is not an IP address; write {FORMS} (names: hostnameport)"
        ) from None
    if bracketed != (address.version == 6):
        raise ConfigError(f"{shown}: brackets belong around IPv6 addresses, as in [::1]:443")
    if "%" in host:
        raise ConfigError(f"{shown}: an address with a zone cannot be bound; leave out the zone")
    return str(address)


def _name(host: str, shown: str) -> str:
    name = host.lower().removesuffix(".")
    if not name.isascii():
        raise ConfigError(f"{shown}: write the name as it goes over the wire, as in xn--bcher-kva")
    labels = name.removeprefix(WILDCARD).split(".")
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ConfigError(f"{shown}: {host!r} is not a host name; write {FORMS}")
    if labels[-1].isdigit():
        raise ConfigError(f"{shown}: SNI knows names only; write ipport= for an address")
    return name
