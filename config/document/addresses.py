"""Texts of kssl.toml that are addresses, host names and thumbprints.

Each function takes what a person wrote and raises ConfigError with what is allowed.
"""

from __future__ import annotations

import ipaddress
import re

from kssl.config.document.report import shown
from kssl.config.errors import ConfigError
from kssl.config.model import UNASSIGNED, WILDCARD, Binding
from kssl.config.target import MAX_PORT, Listen, parse_listen

# RFC 1123 section 2.1, and underscores, which container networks use.
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_MAX_NAME = 253
_SHA256_DIGITS, _SHA1_DIGITS = 64, 40
# As people copy it from elsewhere. U+200E stands unseen before the digits in Windows' dialog.
_BETWEEN_DIGITS = re.compile("[\\s:\u200e]")


def parse_hostname(text: str) -> str:
    """A host name, in lower case and without a final dot; it may begin with `WILDCARD`."""
    name = text.strip().lower().removesuffix(".")
    shown_text = shown(text)
    _check_ascii(name, shown_text)
    if name == UNASSIGNED:
        raise ConfigError(f"{shown_text}: for every name leave hostnames out, or set default")
    if "/" in name or re.fullmatch(r"[^:]*:[0-9]*", name):
        raise ConfigError(
            f"{shown_text}: a name alone, without https:// and port; ports are in bindings"
        )
    if _is_address(name):
        raise ConfigError(
            f"{shown_text}: an address is no host name; requests for addresses go to the default "
            "site: set default = true"
        )
    if not _is_name(name.removeprefix(WILDCARD)) or len(name) > _MAX_NAME:
        raise ConfigError(
            f"{shown_text}: not a host name; write app.example.com, or *.example.com for all names "
            "with one label more"
        )
    return name


def parse_upstream_name(text: str) -> str:
    """A host name, as `parse_hostname` but no wildcard; or an IP address, IPv6 without brackets."""
    name = text.strip().lower().removesuffix(".")
    _check_ascii(name, shown(text))
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    # A zone says which of our own interfaces; no certificate has one.
    if _is_address(bare) and "%" not in bare:
        return str(ipaddress.ip_address(bare))
    if not _is_name(name):
        raise ConfigError(
            f"{shown(text)}: neither a host name nor an IP address; write the one that the "
            "upstream's certificate has, app.example.com or 10.0.0.7, without https:// and port"
        )
    return name


def parse_binding(text: str) -> Binding:
    """``ADDRESS:PORT``, with ``https://`` (the default) or ``http://`` in front."""
    rest, tls = text.strip(), True
    scheme, separator, behind = rest.partition("://")
    if separator:
        if scheme.lower() not in ("http", "https"):
            raise ConfigError(f"{shown(text)}: write https:// or http:// or nothing in front")
        rest, tls = behind.removesuffix("/"), scheme.lower() == "https"
    if rest.startswith(f"{UNASSIGNED}:"):
        port = rest[2:]
        raise ConfigError(f"{shown(text)}: write 0.0.0.0:{port} (and [::]:{port} for IPv6)")
    return Binding(canonical(parse_listen(rest)), tls)


def parse_ipport(text: str) -> Listen:
    """``ADDRESS:PORT``; the address may be `UNASSIGNED`."""
    host, separator, port = text.strip().rpartition(":")
    if separator and host == UNASSIGNED:
        return Listen(UNASSIGNED, _port(text, port))
    return canonical(parse_listen(text))


def parse_hostnameport(text: str) -> tuple[str, int]:
    """``NAME:PORT``"""
    name, separator, port = text.strip().rpartition(":")
    if not separator:
        raise ConfigError(f"{shown(text)}: the port is missing; write app.example.com:443")
    return parse_hostname(name), _port(text, port)


def parse_thumbprint(text: str) -> str:
    """SHA-256 of a certificate in hexadecimal digits, in lower case."""
    digits = _BETWEEN_DIGITS.sub("", text).lower()
    if re.fullmatch(rf"[0-9a-f]{{{_SHA256_DIGITS}}}", digits):
        return digits
    if re.fullmatch(rf"[0-9a-f]{{{_SHA1_DIGITS}}}", digits):
        raise ConfigError(
            "this is a SHA-1 thumbprint; write the SHA-256 one, which kssl cert list shows"
        )
    raise ConfigError(
        f"{shown(text)}: not a SHA-256 thumbprint: {_SHA256_DIGITS} hexadecimal digits, "
        "which kssl cert list shows"
    )


def canonical(listen: Listen) -> Listen:
    """With the host in the one way in which it is compared."""
    host = listen.host.lower().removesuffix(".")
    if ":" in host:
        host = str(ipaddress.IPv6Address(host))
    return Listen(host, listen.port)


def _port(text: str, digits: str) -> int:
    port = int(digits) if re.fullmatch(r"[0-9]{1,5}", digits) else -1
    if not 0 <= port <= MAX_PORT:
        raise ConfigError(f"{shown(text)}: {shown(digits)} is not a port; ports are 0-{MAX_PORT}")
    return port


def _check_ascii(name: str, shown_text: str) -> None:
    if not name.isascii():
        raise ConfigError(
            f"{shown_text}: write the name as it goes over the wire, xn--… (an A-label, RFC 5890)"
        )


def _is_name(text: str) -> bool:
    labels = text.split(".")
    return (
        len(text) <= _MAX_NAME
        and not labels[-1].isdigit()
        and all(_LABEL.fullmatch(label) for label in labels)
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
