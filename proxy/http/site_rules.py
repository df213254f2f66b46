"""What a site asks of a request."""
# STAND-IN

from __future__ import annotations

from config.model import Site
from config.profiles import Rules
from proxy.http.bodies import BodyReader
from proxy.http.messages import Field, HttpError, RequestHead


def key_bits(cipher_name: str) -> int:
    return 128 if "AES_128" in cipher_name else 256


class SiteRules:
    def __init__(self, site: Site, rules: Rules, https_port: int) -> None:
        self._site = site
        self._too_large = rules.too_large
        self._port = https_port
        limits = site.limits
        self.body_limit = limits.max_allowed_content_length
        self.active = "Ssl128" in site.ssl_flags or bool(
            limits.max_url or limits.max_query_string or self.body_limit
        )

    def check(self, head: RequestHead, key_bits: int) -> bytes | None:
        site, limits = self._site, self._site.limits
        if not key_bits and "Ssl" in site.ssl_flags:
            if site.redirect and head.host:
                port = b"" if self._port == 443 else b":%d" % self._port
                return b"https://" + head.host.partition(b":")[0] + port + head.target
            raise HttpError(403, "Forbidden", "This site is for https only.", substatus=4)
        if key_bits < 128 and "Ssl128" in site.ssl_flags:
            raise HttpError(403, "Forbidden", "At least 128 bits.", substatus=5)
        path, _, query = head.target.partition(b"?")
        if limits.max_url and len(path) > limits.max_url:
            raise HttpError(404, "URL_Length", "The path is too long.", substatus=14)
        if limits.max_query_string and len(query) > limits.max_query_string:
            raise HttpError(404, "URL_Length", "The query is too long.", substatus=15)
        if self.body_limit and (head.content_length or 0) > self.body_limit:
            raise self.body_too_large()
        return None

    def body_too_large(self) -> HttpError:
        status, substatus = self._too_large
        return HttpError(status, "EntityTooLarge", "Too large.", substatus=substatus)

    def limited(self, reader: BodyReader) -> BodyReader:
        return _LimitedReader(reader, self)


class _LimitedReader:
    def __init__(self, reader: BodyReader, rules: SiteRules) -> None:
        self._reader = reader
        self._rules = rules
        self._left = rules.body_limit
        self.done = reader.done
        self.trailers: list[Field] = []
        self.received = reader.received

    def feed(self, data: memoryview) -> tuple[list[memoryview], int]:
        pieces, used = self._reader.feed(data)
        self._left -= sum(map(len, pieces))
        if self._left < 0:
            raise self._rules.body_too_large()
        self.done, self.trailers = self._reader.done, self._reader.trailers
        self.received = self._reader.received
        return pieces, used

    def feed_eof(self) -> None:
        self._reader.feed_eof()
