"""CRLs that were fetched: read once, and kept for the sites that need them.

A list in memory takes several times what it has as DER, and a list of megabytes takes seconds to
read; so both are bounded by DER, and a newer list of the same CA and for the same certificates
takes the place of the older one. A stale one stays until then: it can still say who is revoked.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kssl.fastpath.verifier.fetch.cache import Cache
from kssl.fastpath.verifier.retrieval import FoundList
from kssl.fastpath.verifier.rules.crl import Crl

# Bytes of DER, of all sites together. The largest single one that is fetched has 10 MiB.
SIZE = 32 << 20
PER_SITE = 64

# Those just read, for others who have fetched the same, in seconds and entries.
_READ_SECONDS = 300.0
_READ_ENTRIES = 64


class Reader:
    """`Crl.parse`, but each list is read once for all who bring it. Thread-safe.

    One at a time: reading takes the interpreter's lock anyway.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        self._read: Cache[bytes, Crl] = Cache(_READ_ENTRIES, SIZE, clock)

    def __call__(self, data: bytes, where: str) -> Crl:
        """Raises as `Crl.parse`."""
        digest = hashlib.sha256(data).digest()
        with self._lock:
            crl = self._read.get(digest)
            if crl is None:
                crl = Crl.parse(data, where)
                self._read.put(digest, crl, len(data), _READ_SECONDS)
            return crl


@dataclass(frozen=True, slots=True)
class _Scope:
    """Lists of one scope replace each other. ``site``: the name of its policy."""

    site: str
    issuer: x509.Name
    key: bytes  # of the issuer: there may be a namesake
    only_users: bool
    only_cas: bool
    point: tuple[x509.GeneralName, ...]
    # A list for some reasons only is no successor of a full one, which knows of more.
    doubtful: bool


class Lists:
    """By site, those that came last at the end. Not thread-safe."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Scope, FoundList] = OrderedDict()
        self._size = 0

    def of(self, site: str) -> list[Crl]:
        return [found.crl for scope, found in self._kept.items() if scope.site == site]

    def keep(self, site: str, lists: Iterable[FoundList]) -> set[str]:
        """The sites whose lists are others now."""
        changed: set[str] = set()
        for found in lists:
            scope = _scope(site, found)
            known = self._kept.get(scope)
            if found.size > SIZE or (known and known.crl.this_update > found.crl.this_update):
                continue
            self._drop(scope)
            self._kept[scope] = found
            self._size += found.size
            changed.add(site)
        while (over := self._over(site)) is not None:
            changed.add(over.site)
            self._drop(over)
        return changed

    def retain(self, sites: Collection[str]) -> None:
        """Forgets those of all others."""
        for scope in [each for each in self._kept if each.site not in sites]:
            self._drop(scope)

    def _over(self, site: str) -> _Scope | None:
        """The oldest one that has to go."""
        if self._size > SIZE:
            return next(iter(self._kept))
        ours = [scope for scope in self._kept if scope.site == site]
        return ours[0] if len(ours) > PER_SITE else None

    def _drop(self, scope: _Scope) -> None:
        found = self._kept.pop(scope, None)
        if found is not None:
            self._size -= found.size


def _scope(site: str, found: FoundList) -> _Scope:
    key = found.issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    crl = found.crl
    return _Scope(site, crl.issuer, key, crl.only_users, crl.only_cas, crl.point, bool(crl.doubt))


def good_for(crl: Crl, now: datetime, freshness: timedelta | None) -> float:
    """Seconds until it should be fetched again; below 0: it should have been."""
    ends = [crl.next_update] if crl.next_update is not None else []
    if freshness is not None:
        ends.append(crl.this_update + freshness)
    return (min(ends) - now).total_seconds() if ends else 0.0
