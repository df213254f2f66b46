"""What a search may ask the network for, by the settings of a site."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from kssl.fastpath.verifier.fetch import Allowed, Fetched, Fetcher, FetchError, FetchPool, Kind
from kssl.fastpath.verifier.fetch.asker import Get
from kssl.fastpath.verifier.lists import good_for
from kssl.fastpath.verifier.policies import Loaded, Site
from kssl.fastpath.verifier.retrieval import Retrieval

_SWITCHED_OFF = {
    Kind.CERTIFICATE: "not asked, as DisableSslCertChainCacheOnlyUrlRetrieval is 0",
    Kind.CRL: "not asked, as verifyrevocationwithcachedclientcertonly is on",
}


class Network:
    """Two pools: whoever has certificates fetched, a stranger, must not keep CRLs waiting."""

    def __init__(self, allowed: Allowed, clock: Callable[[], float] = time.monotonic) -> None:
        self.allowed = allowed
        self._pools = {kind: FetchPool(Fetcher(allowed=allowed), now=clock) for kind in Kind}

    def getters(self, loaded: Loaded, site: Site) -> tuple[Get, Get]:
        """For certificates, for CRLs."""
        lists = site.wanted.revocation and not site.wanted.cached_revocation_only
        return (
            self._get(Kind.CERTIFICATE, allowed=loaded.retrieve_issuers),
            self._get(Kind.CRL, allowed=lists),
        )

    def digest(self, result: Retrieval, loaded: Loaded, now: datetime) -> None:
        """Tells the pools how long to remember what came."""
        for found in result.lists:
            seconds = good_for(found.crl, now, loaded.freshness)
            self._pools[Kind.CRL].shorten(found.url, Kind.CRL, max(seconds, 0.0))
        for url, kind in result.useless:
            self._pools[kind].shorten(url, kind, 0.0)

    def close(self, seconds: float) -> bool:
        """Ends all fetches and waits ``seconds`` for each pool; False: some hang."""
        ended = [pool.close(seconds) for pool in self._pools.values()]
        return all(ended)

    def _get(self, kind: Kind, *, allowed: bool) -> Get:
        pool = self._pools[kind]

        def get(url: str, seconds: float) -> Fetched:
            if not allowed:
                raise FetchError(url, _SWITCHED_OFF[kind])
            return pool.get(url, kind, seconds)

        return get
