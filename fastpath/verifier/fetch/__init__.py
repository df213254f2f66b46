"""Fetching intermediate certificates and CRLs by the URLs in certificates.

Whoever presents a certificate chooses these URLs, so this package is built against requests that
strangers forge through us (SSRF): http:// alone, a strict grammar (`url`), public addresses alone
(`special`) unless somebody allows more (`allowed`), connections to the checked address (`fetcher`),
and limits on time and size everywhere. What comes is bytes: signatures say whether they are worth
anything, and checking these is up to the caller.

`Fetcher` blocks; `FetchPool` runs it in threads and remembers. Neither belongs on an event loop.
"""

from __future__ import annotations

from kssl.fastpath.verifier.fetch.allowed import Allowed
from kssl.fastpath.verifier.fetch.content import Form
from kssl.fastpath.verifier.fetch.errors import FetchError
from kssl.fastpath.verifier.fetch.fetcher import Fetched, Fetcher
from kssl.fastpath.verifier.fetch.limits import Kind, Limits
from kssl.fastpath.verifier.fetch.memory import Room
from kssl.fastpath.verifier.fetch.pool import FetchPool

__all__ = [
    "Allowed",
    "FetchError",
    "FetchPool",
    "Fetched",
    "Fetcher",
    "Form",
    "Kind",
    "Limits",
    "Room",
]
