"""The grammar of RFC 9110, 9112 and 3986 as regular expressions, with the ABNF above each.

No input can make a match take more than a few passes: quantifiers of single characters are
possessive (`++`, `*+`), and a repeated group has only one way to match. Groups are not repeated
possessively, because Python before 3.11.5 goes on from a wrong place when the last repetition fails
half-way (python/cpython#106052), and Debian 12 has 3.11.2. All patterns are matched with
`fullmatch`, or say otherwise.
"""

from __future__ import annotations

import re

# token = 1*tchar (RFC 9110 section 5.6.2)
# tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~"
#         / DIGIT / ALPHA
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"

# field-value   = *( VCHAR / obs-text / SP / HTAB ), as any order (RFC 9110 section 5.5)
# obs-text      = %x80-FF
_VALUE = rb"[\t -~\x80-\xff]*+"

# field-line = field-name ":" OWS field-value OWS (RFC 9112 section 5), each ended by CRLF.
# No obs-fold: a line that starts with white space has an empty name. The look-behind sends a
# value that ends in OWS to the slow path, so that the fast path never has to strip.
_FIELD_LINE = _TOKEN + rb":" + _VALUE + rb"(?<![ \t])\r\n"
_FIELD_LINES = rb"(?:" + _FIELD_LINE + rb")*"

# request-line = method SP request-target SP HTTP-version (RFC 9112 section 3)
# Here the target is in origin-form only: "/" and then VCHAR except "#". That is wider than
# absolute-path [ "?" query ] of RFC 3986, since browsers send "|", "[" or '"' unescaped.
_ORIGIN = rb"/[!\"$-~]*+"

request_head = re.compile(
    rb"(" + _TOKEN + rb") (" + _ORIGIN + rb") HTTP/1\.([01])\r\n" + _FIELD_LINES + rb"\r\n"
).fullmatch
"""A whole ordinary request head → method, target, minor version."""

common_request_line = re.compile(
    rb"(?!CONNECT )(" + _TOKEN + rb") (" + _ORIGIN + rb") HTTP/1\.1"
).fullmatch
"""A request line of HTTP/1.1 in origin-form → method, target."""

# status-line = HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112 section 4)
# The second SP may be missing: many servers leave it out with the reason.
# Any three digits but 0xx pass: applications use numbers above 599, and what a client makes of
# them is its business (RFC 9110 section 15).
_STATUS_LINE = rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: (" + _VALUE + rb"))?"

response_head = re.compile(_STATUS_LINE + rb"\r\n" + _FIELD_LINES + rb"\r\n").fullmatch
"""A whole ordinary response head → minor version, status, reason or None."""

usual_response = re.compile(
    rb"HTTP/1\.1 ([2-9][0-9]{2}) (" + _VALUE + rb")\r\n" + _FIELD_LINES + rb"\r\n"
).fullmatch
"""As response_head, but HTTP/1.1 only, final, and with a reason or its space → status, reason."""

usual_length = re.compile(rb"\ncontent-length:[ \t]*+([0-9]{1,18}+)\r").search
"""In a head in lower case: the first Content-Length → a number that fits in 63 bits."""

token = re.compile(_TOKEN).fullmatch
value = re.compile(_VALUE).fullmatch
status_line = re.compile(_STATUS_LINE).fullmatch
origin_form = re.compile(_ORIGIN).fullmatch

# HTTP-version = HTTP-name "/" DIGIT "." DIGIT (RFC 9112 section 2.3)
http_version = re.compile(rb"HTTP/[0-9]\.[0-9]").fullmatch

# absolute-form = absolute-URI (RFC 9112 section 3.2.2), of the schemes http and https
absolute_form = re.compile(rb"(?i:(http|https))://([!\"$-.0->@-~]*+)([!\"$-~]*+)").fullmatch
"""An http(s) URI → scheme, authority, the rest ("" or from "/" or "?")."""

# uri-host    = IP-literal / IPv4address / reg-name (RFC 3986 section 3.2.2)
# reg-name    = *( unreserved / pct-encoded / sub-delims )
# port        = *DIGIT
# Not empty here, no IPvFuture, no zone, no port above 65535; who uses it checks the IPv6 literal.
_PORT = rb"(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[0-5][0-9]{4}|[0-9]{0,4})"
host = re.compile(
    rb"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=]++|%[0-9A-Fa-f]{2})+|\[([0-9A-Fa-f:.]++)\])"
    rb"(?::" + _PORT + rb")?"
).fullmatch
"""A Host value → IPv6 literal or None."""

# As request_head, but HTTP/1.1 only, not CONNECT, and with a Host that is neither an IP literal nor
# percent-encoded. No line in front of `Host` can be taken for it, so there is one way to match;
# that Host is not repeated below is for others to see.
usual_request = re.compile(
    rb"(?!CONNECT )(" + _TOKEN + rb") (" + _ORIGIN + rb") HTTP/1\.1\r\n"
    rb"(?:(?![Hh]ost:)" + _FIELD_LINE + rb")*"
    rb"[Hh]ost: ?([A-Za-z0-9\-._]++(?::" + _PORT + rb")?)\r\n" + _FIELD_LINES + rb"\r\n"
).fullmatch
"""A whole usual request head → method, target, host."""

# Upgrade  = #protocol (RFC 9110 section 7.8)
# protocol = protocol-name [ "/" protocol-version ], both tokens
protocol = re.compile(_TOKEN + rb"(?:/" + _TOKEN + rb")?").fullmatch

# chunk         = chunk-size [ chunk-ext ] CRLF chunk-data CRLF (RFC 9112 section 7.1)
# chunk-size    = 1*HEXDIG, here at most 16
# chunk-ext     = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
# chunk-ext-val = token / quoted-string
# BWS before ";" is refused, as h11 does: a size that ends in a space is a smuggler's tool.
_BWS = rb"[ \t]*+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_CHUNK_EXT = (
    rb"(?:;" + _BWS + _TOKEN + rb"(?:" + _BWS + rb"=" + _BWS + rb"(?:" + _TOKEN + rb"|" + _QUOTED
    + rb"))?)*"
)  # fmt: skip
chunk_line = re.compile(rb"([0-9A-Fa-f]{1,16}+)(?:" + _CHUNK_EXT + rb")\r\n").match
"""At the given position, a chunk's first line with its CRLF → size in hexadecimal."""

chunk_line_start = re.compile(rb"[0-9A-Fa-f]{1,16}+(?:;" + _VALUE + rb")?\r?").fullmatch
"""What may still become a chunk line when more bytes arrive (not empty)."""

# A bare LF, a CR that no LF follows (the last byte may still get one), or NUL (RFC 9112
# section 2.2). Used with `search` on a head that is not complete yet.
broken_line_end = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\0").search
