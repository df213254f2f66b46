"""The little that is told about certificates needs of the sites in kssl.toml.

It is read leniently: what is wrong with a site is said by `kssl check`, not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kssl.config.document.edit import read_document
from kssl.config.errors import ConfigError
from kssl.config.model import UNASSIGNED, WILDCARD
from kssl.config.store.place import IPPORT, Place
from kssl.config.target import Listen, parse_listen


@dataclass(frozen=True, slots=True)
class SiteNames:
    """A site's names, lower case, and where it listens for TLS. `listens` None: not said in the
    file, so only the service knows (``--listen``)."""

    hostnames: tuple[str, ...]
    listens: tuple[Listen, ...] | None


def read_sites(path: Path) -> list[SiteNames]:
    """Raises ConfigError if the file cannot be read or is not TOML."""
    document = read_document(path)
    tables = [] if document is None else document.data().get("site")
    tables = tables if isinstance(tables, list) else []
    return [_site(table) for table in tables if isinstance(table, dict)]


def _site(table: dict[str, Any]) -> SiteNames:
    names = tuple(name.lower().removesuffix(".") for name in _texts(table.get("hostnames")))
    if "bindings" not in table:
        return SiteNames(names, None)
    listens = []
    for text in _texts(table["bindings"]):
        if not text.lower().startswith("http://"):
            try:
                listens.append(parse_listen(text.removeprefix("https://")))
            except ConfigError:
                continue
    return SiteNames(names, tuple(listens))


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def unused(place: Place, sites: list[SiteNames]) -> str:
    """Why a certificate bound to `place` is not served all the same; "" if it is, or nobody knows.

    The rules are those of `kssl.config.routing`.
    """
    if not sites or any(site.listens is None for site in sites):
        return ""
    there = [site for site in sites if any(_meets(place, each) for each in site.listens or ())]
    if not there:
        return f"no site listens at {place.netloc if place.kind == IPPORT else f'*:{place.port}'}"
    if place.kind == IPPORT or any(_has(site.hostnames, place.host) for site in there):
        return ""
    return f"no site at port {place.port} has the name {place.host}"


def _meets(place: Place, listen: Listen) -> bool:
    if place.port != listen.port:
        return False
    return place.kind != IPPORT or place.host in (UNASSIGNED, listen.host)


def _has(hostnames: tuple[str, ...], name: str) -> bool:
    return name in hostnames or WILDCARD + name.partition(".")[2] in hostnames


def covers(certificate_names: list[str], hostname: str) -> bool:
    """RFC 9525, 6.3: exactly, or a wildcard for the first label. A site's wildcard name needs the
    same wildcard."""
    names = [name.lower().removesuffix(".") for name in certificate_names]
    if hostname in names:
        return True
    first, _, rest = hostname.partition(".")
    return bool(rest) and first != "*" and WILDCARD + rest in names
