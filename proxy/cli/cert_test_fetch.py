"""`kssl cert test --fetch`: what is missing is asked for, by the rules of
`kssl.fastpath.verifier.fetch`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime

from kssl.fastpath.verifier.fetch import Allowed, Fetcher, FetchPool, Kind
from kssl.fastpath.verifier.fetch.asker import Get
from kssl.fastpath.verifier.retrieval import Retrieval, retrieve
from kssl.fastpath.verifier.rules.policy import Policy


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fetch", action="store_true",
        help="ask the URLs in certificates for missing issuers and CRLs",
    )  # fmt: skip
    parser.add_argument(
        "--fetch-allow", metavar="HOST|NETWORK", action="extend", nargs="+", default=[],
        help="with --fetch: hosts and networks that may be asked beside the public Internet",
    )  # fmt: skip


def allowed(entries: Sequence[str]) -> Allowed:
    """Raises ConfigError."""
    return Allowed.of(entries, setting="--fetch-allow")


def retrieved(
    presented: Sequence[bytes], policy: Policy, now: datetime, entries: Sequence[str]
) -> Retrieval:
    """`entries` of --fetch-allow. Raises ConfigError, for these only."""
    pool = FetchPool(Fetcher(allowed=allowed(entries)), threads=1)
    try:
        return retrieve(presented, policy, now, _get(pool, Kind.CERTIFICATE), _get(pool, Kind.CRL))
    finally:
        pool.close()


def _get(pool: FetchPool, kind: Kind) -> Get:
    return lambda url, seconds: pool.get(url, kind, seconds)
