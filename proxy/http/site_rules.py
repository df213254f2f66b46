"""What one site asks of a request: encryption (sslFlags) and the limits of request filtering.

Statuses and substatuses are those of IIS; docs/errors.md lists them.
"""

from __future__ import annotations

import re
from functools import lru_cache

from kssl.config.model import Site
from kssl.config.profiles import Rules
from kssl.proxy.http import grammar
from kssl.proxy.http.bodies import BodyReader, LengthReader, LimitedReader
from kssl.proxy.http.messages import HttpError, RequestHead

STRONG = 128
"""Bits of key that Ssl128 asks for."""
HTTPS_PORT = 443

_UNKNOWN = 1  # bits: encrypted, but nothing to rely on

# IANA's names of ciphers, in suites of TLS 1.3 and 1.2 alike → bits of key.
_CIPHERS = {"AES_128": 128, "AES_256": 256, "CHACHA20": 256}


@lru_cache(maxsize=64)
def key_bits(cipher_name: str) -> int:
    """Bits of key of a suite by its IANA name; 0 for "", that is plain HTTP."""
    if not cipher_name:
        return 0
    return next((bits for cipher, bits in _CIPHERS.items() if cipher in cipher_name), _UNKNOWN)


class SiteRules:
    """Of one site. `https_port`: where it speaks TLS, for redirects; None: nowhere.

    active: whether `check` looks at anything over TLS; if not, a caller may leave it out there.
    body_limit: bytes of a request body, 0: unlimited. `limited` sees to it.
    """

    __slots__ = (
        "_https_port",
        "_max_query",
        "_max_url",
        "_redirect",
        "_ssl",
        "_ssl128",
        "_too_large",
        "active",
        "body_limit",
    )

    def __init__(self, site: Site, rules: Rules, https_port: int | None) -> None:
        limits = site.limits
        self._https_port = https_port
        self._max_query = limits.max_query_string
        self._max_url = limits.max_url
        self._redirect = site.redirect
        self._ssl = "Ssl" in site.ssl_flags
        self._ssl128 = "Ssl128" in site.ssl_flags
        self._too_large = rules.too_large
        self.body_limit = limits.max_allowed_content_length
        self.active = bool(self._ssl128 or self._max_url or self._max_query or self.body_limit)

    def check(self, head: RequestHead, key_bits: int) -> bytes | None:
        """None: the request may pass. Otherwise where to redirect it: see `redirect_response`.

        key_bits: of the connection, 0 for plain HTTP. Raises HttpError.
        """
        if self._ssl and not key_bits:
            location = self._https_url(head) if self._redirect else None
            if location is not None:
                return location
            raise HttpError(403, "Forbidden", "This site is for HTTPS only (sslFlags: Ssl).", 4)
        if self._ssl128 and key_bits < STRONG:
            raise HttpError(
                403,
                "Forbidden",
                f"This site asks for a key of at least {STRONG} bits (sslFlags: Ssl128).",
                5,
            )
        if self._max_url or self._max_query:
            path, _, query = head.target.partition(b"?")
            if 0 < self._max_url < len(path):
                detail = f"The path is longer than maxUrl ({self._max_url} bytes)."
                raise HttpError(404, "URL_Length", detail, 14)
            if 0 < self._max_query < len(query):
                detail = f"The query is longer than maxQueryString ({self._max_query} bytes)."
                raise HttpError(404, "URL_Length", detail, 15)
        if head.content_length is not None and 0 < self.body_limit < head.content_length:
            raise self._body_error()
        return None

    def limited(self, reader: BodyReader | None) -> BodyReader | None:
        """The reader of a request body that `check` let pass: one that stops at `body_limit`.

        The body of known length needs none: `check` has seen its length.
        """
        if reader is None or not self.body_limit or isinstance(reader, LengthReader):
            return reader
        return LimitedReader(reader, self.body_limit, self._body_error())

    def _body_error(self) -> HttpError:
        status, substatus = self._too_large
        detail = f"The body is longer than maxAllowedContentLength ({self.body_limit} bytes)."
        return HttpError(status, "EntityTooLarge", detail, substatus)

    def _https_url(self, head: RequestHead) -> bytes | None:
        """None: it cannot be said, for want of a port, a host or a path."""
        if self._https_port is None or grammar.host(head.host) is None or head.target == b"*":
            return None
        # The colons of an IPv6 literal stand before its bracket.
        name = re.sub(rb":[0-9]*\Z", b"", head.host)
        port = b"" if self._https_port == HTTPS_PORT else b":%d" % self._https_port
        return b"https://" + name + port + head.target
