"""What `kssl cert list` and `show` tell, ready for JSON. Times are ISO 8601 in UTC."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from kssl.config import foreign
from kssl.config.keykinds import is_pss
from kssl.config.store.place import Place
from kssl.config.store.sites import SiteNames, covers, unused
from kssl.config.store.staged import ADD, DELETE
from kssl.config.store.store import Entry, View

NOT_SERVED = "not served: no binding"


def list_report(view: View, sites: list[SiteNames], now: datetime) -> dict[str, Any]:
    """``{"certificates": […], "dangling": [{"ipport": …, "certhash": …}], "staged": number}``.

    A certificate::

        {"thumbprint", "subject", "names": […], "not_before", "not_after", "days_left": number,
         "state": "served" | "not served: …" | "staged add" | "staged delete" | "damaged: …",
         "bindings": [{"ipport" or "hostnameport": …, "staged": "" | "bind" | "unbind",
                       "note": "" | why it is not served all the same}]}
    """
    return {
        "certificates": [_listed(entry, sites, now) for entry in view.entries],
        "dangling": [
            {place.kind: place.netloc, "certhash": each} for place, each in view.dangling.items()
        ],
        "staged": view.staged,
    }


def _listed(entry: Entry, sites: list[SiteNames], now: datetime) -> dict[str, Any]:
    bindings = [
        _bound(place, "unbind" if place in entry.staged_unbinds else "", sites)
        for place in entry.places
    ] + [_bound(place, "bind", sites) for place in entry.staged_places]
    told: dict[str, Any] = {
        "thumbprint": entry.thumbprint,
        "state": _state(entry, sites),
        "bindings": bindings,
    }
    if entry.chain:
        leaf = entry.chain[0]
        told |= {"subject": subject(leaf), "names": names(leaf)} | _validity(leaf, now)
    return told


def _bound(place: Place, staged: str, sites: list[SiteNames]) -> dict[str, str]:
    return {place.kind: place.netloc, "staged": staged, "note": unused(place, sites)}


def _state(entry: Entry, sites: list[SiteNames]) -> str:
    if entry.problem:
        return f"damaged: {entry.problem}"
    if entry.staged == DELETE:
        return "staged delete"
    if entry.staged == ADD:
        return "staged add" if not entry.stored else "staged add: another chain"
    if not entry.places:
        return NOT_SERVED
    reasons = [unused(place, sites) for place in entry.places]
    return "served" if "" in reasons else f"not served: {reasons[0]}"


def show_report(entry: Entry, sites: list[SiteNames], now: datetime) -> dict[str, Any]:
    """As one of `list_report`, and::

    {"issuer", "serial": hex, "key_type", "sha1", "chain": [{"subject", "issuer",
     "issued_by_next": bool, "not_before", "not_after", "days_left"}],
     "covers": […], "does_not_cover": […]: host names of the configured sites}
    """
    told = _listed(entry, sites, now)
    if not entry.chain:
        return told
    leaf = entry.chain[0]
    hostnames = list(dict.fromkeys(name for site in sites for name in site.hostnames))
    own = names(leaf)
    return told | {
        "issuer": _name(leaf.issuer),
        "serial": f"{leaf.serial_number:x}",
        "key_type": key_type(leaf),
        "sha1": hashlib.sha1(leaf.public_bytes(Encoding.DER), usedforsecurity=False).hexdigest(),
        "chain": _chain(entry.chain, now),
        "covers": [name for name in hostnames if covers(own, name)],
        "does_not_cover": [name for name in hostnames if not covers(own, name)],
    }


def _chain(chain: Sequence[x509.Certificate], now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "subject": subject(each),
            "issuer": _name(each.issuer),
            "issued_by_next": number + 1 < len(chain) and foreign.issued(each, chain[number + 1]),
        }
        | _validity(each, now)
        for number, each in enumerate(chain)
    ]


def _validity(certificate: x509.Certificate, now: datetime) -> dict[str, Any]:
    end = certificate.not_valid_after_utc
    return {
        "not_before": f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        "days_left": (end - now).days,  # rounded down: -1 once it has expired
    }


def subject(certificate: x509.Certificate) -> str:
    return _name(certificate.subject)


def _name(name: x509.Name) -> str:
    return name.rfc4514_string() or "an empty subject"


def names(certificate: x509.Certificate) -> list[str]:
    """DNS names and IP addresses of the subjectAltName."""
    found = foreign.host_names(certificate)
    return found.all if found is not None else []


def key_type(certificate: x509.Certificate) -> str:
    key = foreign.attempt(certificate.public_key, None)
    if key is None:
        return "unknown"
    if isinstance(key, rsa.RSAPublicKey):
        return f"{'RSASSA-PSS' if is_pss(certificate) else 'RSA'} {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name}"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    return "Ed448" if isinstance(key, ed448.Ed448PublicKey) else type(key).__name__
