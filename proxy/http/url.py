"""What a path may look like: the URL parameters of http.sys.

They look at the path of an accepted target, never at the query. A path is judged decoded once, by
its %XX escapes; what is forwarded are the bytes that came. An escaped slash is a character of its
segment and separates nothing (RFC 3986 section 2.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from kssl.config.parameters import Parameters
from kssl.proxy.http.errors import HttpError

_UNLIMITED = 1 << 62  # longer than any target
_PERCENT = 0x25  # as a number: looking for b"%" takes three times as long

# %uNNNN, of no RFC: one UTF-16 code unit, as old JavaScript's escape() wrote it. The group is
# missing where four digits do not follow.
_PERCENT_U = re.compile(rb"%[uU]([0-9A-Fa-f]{4})?")

# Escapes that need a closer look; without them a path decodes to printable ASCII.
_SUSPECT = re.compile(rb"%(?:[01][0-9A-Fa-f]|7[Ff]|[89A-Fa-fUu])")

# C0, DEL and C1.
_RESTRICTED = re.compile("[\0-\x1f\x7f-\x9f]")


@dataclass(slots=True, frozen=True)
class UrlRules:
    """The parameters of the same names (kssl.config.table); the defaults are those of Windows.

    The two numbers are characters and segments, 0: unlimited.
    """

    segment_max_length: int = 260
    segment_max_count: int = 255
    allow_restricted_chars: bool = False
    percent_u_allowed: bool = True
    enable_non_utf8: bool = True
    favor_utf8: bool = True
    _harmless: int = field(init=False, repr=False, compare=False)
    """Bytes: a target up to this length without "%" breaks no rule. It has at most as many
    segments as bytes, since each begins with a slash, and no more characters than bytes."""

    def __post_init__(self) -> None:
        harmless = min(
            self.segment_max_length or _UNLIMITED,
            self.segment_max_count or _UNLIMITED,
        )
        object.__setattr__(self, "_harmless", harmless)

    @classmethod
    def of(cls, parameters: Parameters) -> UrlRules:
        return cls(
            segment_max_length=parameters.url_segment_max_length,
            segment_max_count=parameters.url_segment_max_count,
            allow_restricted_chars=bool(parameters.allow_restricted_chars),
            percent_u_allowed=bool(parameters.percent_u_allowed),
            enable_non_utf8=bool(parameters.enable_non_utf8),
            favor_utf8=bool(parameters.favor_utf8),
        )

    def check(self, target: bytes) -> None:
        """`target`: in origin-form, or ``*``. Raises HttpError, whose detail names the parameter.

        Costs less than 0.1 µs for a short target without escapes.
        """
        if len(target) > self._harmless or _PERCENT in target:
            self._check_path(target.partition(b"?")[0])

    def _check_path(self, path: bytes) -> None:
        escaped = _PERCENT in path
        if len(path) <= self._harmless and not escaped:
            return
        if 0 < self.segment_max_count < path.count(b"/"):
            raise _refused(
                f"The path has more segments than UrlSegmentMaxCount ({self.segment_max_count})."
            )
        encoding = "latin-1"
        if escaped and _SUSPECT.search(path) is not None:
            encoding = self._check_escapes(path)
        if encoding == "utf-8" and not self.favor_utf8 and self.enable_non_utf8:
            encoding = "latin-1"  # each byte counts
        limit = self.segment_max_length
        if limit and any(
            len(segment) > limit and len(_decode(segment).decode(encoding)) > limit
            for segment in path.split(b"/")
        ):
            raise _refused(
                f"The path has a segment with more characters than UrlSegmentMaxLength ({limit})."
            )

    def _check_escapes(self, path: bytes) -> str:
        """The encoding of the path: utf-8, or latin-1 for one that is not UTF-8."""
        for match in _PERCENT_U.finditer(path):
            if match[1] is None:
                raise _refused("The path has a %u without four hexadecimal digits behind it.")
            if not self.percent_u_allowed:
                raise _refused("The path has a %u escape, and PercentUAllowed is 0.")
            self._check_characters(chr(int(match[1], 16)))
        octets = _decode(path)
        encoding = "utf-8"
        try:
            text = octets.decode()
        except UnicodeDecodeError:
            if not self.enable_non_utf8:
                raise _refused("The path is not UTF-8, and EnableNonUTF8 is 0.") from None
            encoding = "latin-1"
            # In the code pages of Windows, %80-%9F are letters or halves of them.
            text = octets.decode("ascii", "ignore")
        self._check_characters(text)
        return encoding

    def _check_characters(self, text: str) -> None:
        if not self.allow_restricted_chars and _RESTRICTED.search(text) is not None:
            raise _refused(
                "The path has an escaped control character, and AllowRestrictedChars is 0."
            )


def _decode(part: bytes) -> bytes:
    """Without escapes; those that are none, such as %zz, stay as they are.

    A %u escape becomes one byte, and none that could be a digit of the "%" in front of it.
    """
    return unquote_to_bytes(_PERCENT_U.sub(b"x", part))


def _refused(detail: str) -> HttpError:
    return HttpError(400, "URL", detail)
