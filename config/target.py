"""Addresses as people type them: the upstream app and the address to listen on.

Only syntax; no name is looked up here.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from pathlib import Path

from kssl.config.errors import ConfigError

LOOPBACK = "127.0.0.1"
LOCALHOST = "localhost"
LOOPBACKS = (LOOPBACK, "::1")
"""What `LOCALHOST` stands for, whatever /etc/hosts says (RFC 6761 section 6.3)."""

HTTP_PORT = 80
HTTPS_PORT = 443
MAX_PORT = 65535
# Bytes: sizeof(sockaddr_un.sun_path) is 108 on Linux, one of them for the final NUL (unix(7)).
MAX_UNIX_PATH = 107

TARGET_FORMS = "PORT, HOST:PORT, [IPV6]:PORT, http[s]://HOST[:PORT] or unix:/PATH"
LISTEN_FORMS = "PORT, ADDRESS:PORT or [IPV6]:PORT"

_OWN_PORT = {"http": HTTP_PORT, "https": HTTPS_PORT}

# One label of a name. Underscores are no host name syntax (RFC 1123, 2.1), but container
# networks use them and resolvers take them.
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_NAME = 253


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """How an https:// upstream proves who it is, and we to it. Paths of PEM files.

    `name`: host name or IP address that its certificate must have, and SNI if it is a name.
    `ca`: whom to believe; None: the system's CAs. `certificate`, `key`: ours, if it asks for one;
    `key` None: it is in `certificate`.
    """

    name: str
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def to_json(self) -> str:
        """What the crypto worker is told, and by which it finds it again: sorted, one line."""
        paths = {"ca": self.ca, "certificate": self.certificate, "key": self.key}
        told = {key: str(path) if path else None for key, path in paths.items()}
        return json.dumps({"name": self.name} | told, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Target:
    """The upstream. `port` is 1-65535; with `unix_path` set, `host` is "localhost", `port` 80.

    `host` is a name or an address, IPv6 without brackets. `tls` is there for https:// alone.
    """

    scheme: str
    host: str
    port: int
    unix_path: str | None = None
    tls: UpstreamTls | None = None

    @property
    def netloc(self) -> str:
        """The authority, as it goes into a Host field: no port if it is the scheme's own."""
        host = _bracketed(self.host)
        return host if self.port == _OWN_PORT[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        if self.unix_path is not None:
            return f"unix:{self.unix_path}"
        return f"{self.scheme}://{self.netloc}"


@dataclass(frozen=True, slots=True, order=True)
class Listen:
    """Where to accept clients. `port` 0: any free one. IPv6 `host` without brackets."""

    host: str
    port: int

    @property
    def netloc(self) -> str:
        """``host:port``, IPv6 in brackets; the port is always there."""
        return f"{_bracketed(self.host)}:{self.port}"

    def __str__(self) -> str:
        return self.netloc


def parse_target(text: str) -> Target:
    """The upstream that `text` names; without a host it is localhost, on 127.0.0.1 or ::1: many
    development servers listen on one of them alone.

    Raises:
        ConfigError: it is none of `TARGET_FORMS`.
    """
    text = text.strip()
    scheme, separator, rest = text.partition("://")
    # Before any message that repeats the text: what stands before an @ may be a password.
    if "@" in text and not text.lower().startswith("unix:"):
        raise ConfigError(f"a target takes no user name or password; write {TARGET_FORMS}")
    if text.lower().startswith("unix:"):
        return _unix_target(text)
    if not separator:
        host, port = _host_and_port(text, "target", TARGET_FORMS, lowest=1)
        return Target("http", host or LOCALHOST, port)
    scheme = scheme.lower()
    if scheme not in _OWN_PORT:
        raise ConfigError(f"target {text!r}: unknown scheme {scheme!r}; write {TARGET_FORMS}")
    authority = rest.removesuffix("/")
    if any(mark in authority for mark in "/?#\\"):
        raise ConfigError(
            f"target {text!r}: leave out the path; requests keep their own; write {TARGET_FORMS}"
        )
    if re.search(r":[0-9]*$", authority) is None or authority.endswith("]"):
        authority += f":{_OWN_PORT[scheme]}"
    host, port = _host_and_port(authority, "target", TARGET_FORMS, lowest=1, shown=text)
    if not host:
        raise ConfigError(f"target {text!r}: no host; write {TARGET_FORMS}")
    tls = UpstreamTls(host.removesuffix(".")) if scheme == "https" else None
    return Target(scheme, host, port, tls=tls)


def parse_listen(text: str) -> Listen:
    """The address that `text` names.

    Without an address it is 127.0.0.1, also for ``:8443``: opening a server to the network
    should be said (``0.0.0.0:8443`` or ``[::]:8443``), never implied.

    Raises:
        ConfigError: it is none of `LISTEN_FORMS`.
    """
    text = text.strip()
    host, port = _host_and_port(text, "listen address", LISTEN_FORMS, lowest=0)
    return Listen(host or LOOPBACK, port)


def _unix_target(text: str) -> Target:
    path = text[len("unix:") :]
    if path.startswith("//"):  # unix:///run/app.sock, as Docker writes it
        path = path[2:]
    # Absolute, because the processes that connect need not share our working folder.
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ConfigError(
            f"target {text!r}: a socket's path is absolute, for example unix:/run/app.sock"
        )
    if len(path.encode("utf-8", "surrogateescape")) > MAX_UNIX_PATH:
        raise ConfigError(f"target {text!r}: a socket's path has at most {MAX_UNIX_PATH} bytes")
    return Target("http", "localhost", HTTP_PORT, path)


def _host_and_port(
    text: str, what: str, forms: str, *, lowest: int, shown: str = ""
) -> tuple[str, int]:
    """Split ``PORT``, ``:PORT`` or ``HOST:PORT``; the host is "" if there is none."""
    shown = shown or text
    if not text:
        raise ConfigError(f"the {what} is empty; write {forms}")
    if text.isdigit():
        host, digits = "", text
    elif text.startswith("["):
        host, separator, digits = text[1:].partition("]:")
        if not separator or not _is_ipv6(host):
            raise ConfigError(f"{what} {shown!r}: not an IPv6 address and port; write {forms}")
    else:
        host, separator, digits = text.rpartition(":")
        if not separator:
            raise ConfigError(f"{what} {shown!r}: the port is missing; write {forms}")
        if _is_ipv6(text) or _is_ipv6(host):
            raise ConfigError(f"{what} {shown!r}: write an IPv6 address in brackets, [::1]:8000")
        if host and not _is_host(host):
            raise ConfigError(f"{what} {shown!r}: {host!r} is not a host; write {forms}")
    # ASCII digits only, and few: int() would take more than that.
    port = int(digits) if re.fullmatch(r"[0-9]{1,5}", digits) else -1
    if not lowest <= port <= MAX_PORT:
        raise ConfigError(
            f"{what} {shown!r}: {digits!r} is not a port; ports are {lowest}-{MAX_PORT}"
        )
    return host, port


def _is_ipv6(text: str) -> bool:
    # A zone (fe80::1%eth0) has no place in a Host field, and nobody has asked for one.
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text


def _is_host(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        pass
    else:
        return True
    labels = text.removesuffix(".").split(".")
    # A last label of digits only makes it an IPv4 address to a URL parser, here a broken one
    # (WHATWG URL, "ends in a number").
    return (
        len(text) <= _MAX_NAME
        and all(_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdigit()
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
