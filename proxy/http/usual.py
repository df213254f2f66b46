"""Heads of the usual kind, for which the rules have been asked before.

What a head comes to is decided by its special fields (names.special_lines): whether the connection
stays, how the body ends, which lines may not pass. There are few combinations of them, so what the
rules say about each is a `Plan`, kept in a cache. The rules themselves are not repeated here: a
plan is made by asking them about a head that has these special fields and nothing else.

A plan depends on its key alone, and the key is
    the names of all special fields, in order, and the values of Connection and Transfer-Encoding;
    of a response also its status and whether it answers HEAD.
The start line, Host and Content-Length are no part of it: grammar.py judges them, and no rule for
a usual head looks at one of them and at another field. Where a rule needs more, such as the value
of Upgrade or Via, or whether a length is 0 where no body may be, there is no plan, and the head
takes the long way (codec_httptools.py). So the
cache never sees a credential, and its bytes are bounded: MAX_PLANS keys of at most MAX_KEY.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from kssl.proxy.http import grammar
from kssl.proxy.http.keep_alive import idle_limit
from kssl.proxy.http.messages import (
    Field,
    Fields,
    Framing,
    HttpError,
    Limits,
    RequestHead,
    ResponseHead,
    UpstreamError,
)
from kssl.proxy.http.names import HARMLESS_OPTIONS, HOP_BY_HOP, REBUILT, is_forged, special_lines
from kssl.proxy.http.request_rules import make_request
from kssl.proxy.http.response_rules import make_response

MAX_KEY = 256
"""Bytes of the special fields of one head; with more of them there is no plan."""
MAX_PLANS = 512
"""Of requests, and as many of responses. More than a few dozens are only seen under attack."""

_LIMITS = Limits()
_CHUNKED = Framing.CHUNKED  # looking up a member in the class takes 50 ns
_HINT = b"\r\nkeep-alive:"
_NONE = Framing.NONE
# The rules only want to know that these are well-formed, which grammar.py has found.
_STAND_IN = {b"host": b"h", b"content-length": b"1"}


@dataclass(slots=True, frozen=True)
class Plan:
    """What the rules say about heads with the same special fields."""

    keep_alive: bool
    options: frozenset[bytes]
    """Of Connection."""
    framing: Framing
    """Of a request only whether it is CHUNKED."""
    has_length: bool
    """There is one Content-Length."""
    cut: tuple[bytes, ...]
    """The lines that may not pass, in order: CRLF, the name in lower case and a colon."""
    has_hint: bool
    """There is a Keep-Alive; one, in a response."""


def usual_request(head: bytes, method: bytes, target: bytes, host: bytes) -> RequestHead | None:
    """A head that matches grammar.usual_request, whose groups these are; None for the long way."""
    low = head.lower()
    key = b"".join(special_lines(low))
    plan = request_plan(key) if len(key) <= MAX_KEY else None
    if plan is None:
        return None
    length: int | None = None
    if plan.has_length:
        match = grammar.usual_length(low)
        if match is None:
            return None
        length = int(match[1])
    return RequestHead(
        method,
        target,
        b"1.1",
        Fields(None, head, _without(head, low, plan.cut) if plan.cut else head[:-2]),
        host,
        length,
        plan.framing is _CHUNKED,
        plan.keep_alive,
        None,
        False,
        plan.options,
    )


def usual_response(head: bytes, status: bytes, reason: bytes, to_head: bool) -> ResponseHead | None:
    """As usual_request, by grammar.usual_response; to_head: the request was HEAD."""
    low = head.lower()
    key = b"".join(special_lines(low))
    plan = response_plan(key, status, to_head) if len(key) <= MAX_KEY else None
    if plan is None:
        return None
    length: int | None = None
    if plan.has_length:
        match = grammar.usual_length(low)
        if match is None:
            return None
        length = int(match[1])
        if not length and plan.framing is _NONE:
            return None  # announces no body; the plan was made for one that does
    return ResponseHead(
        int(status),
        reason,
        b"1.1",
        Fields(None, head, _without(head, low, plan.cut) if plan.cut else head[:-2]),
        plan.framing,
        length,
        plan.keep_alive,
        plan.options,
        None,
        _idle_limit(low) if plan.has_hint else None,
    )


def _idle_limit(low: bytes) -> int | None:
    """What the one Keep-Alive of a head says. Sound for the same reason as `_without`."""
    start = low.index(_HINT) + len(_HINT)
    return idle_limit(low[start : low.index(b"\r\n", start)].strip(b" \t"))


def _without(head: bytes, low: bytes, cut: tuple[bytes, ...]) -> bytes:
    """The head without these lines and without its empty line.

    Sound because the grammar has matched the whole head: behind CRLF there is always a name, so
    what is found there is that field's line and nothing else.
    """
    parts = []
    position = 0
    for name in cut:
        start = low.index(name, position)
        parts.append(head[position:start])
        position = low.index(b"\r\n", start + 2)
    parts.append(head[position:-2])
    return b"".join(parts)


# -- plans ---------------------------------------------------------------------------------


@lru_cache(maxsize=MAX_PLANS)
def request_plan(key: bytes) -> Plan | None:
    """The plan for a request of HTTP/1.1 that is not CONNECT, in origin-form."""
    special = _fields(key)
    try:
        head = make_request(b"GET", b"/", b"1", Fields(special), 0, _LIMITS, True)
    except HttpError:
        return None  # the long way has the words for it
    framing = Framing.CHUNKED if head.chunked else Framing.NONE
    cut = [low for low, _, _ in special if low in HOP_BY_HOP or is_forged(low)]
    return _plan(head, special, framing, cut)


@lru_cache(maxsize=MAX_PLANS)
def response_plan(key: bytes, status: bytes, to_head: bool) -> Plan | None:
    """The plan for a final response of HTTP/1.1."""
    special = _fields(key)
    names = [low for low, _, _ in special]
    if status == b"426" and b"upgrade" in names:
        return None  # its value passes, and is no part of the key
    if names.count(b"keep-alive") > 1:
        return None  # they are one list
    method = b"HEAD" if to_head else b"GET"
    try:
        head = make_response(b"1", int(status), b"", Fields(special), method, None, 0, _LIMITS)
    except UpstreamError:
        return None
    return _plan(head, special, head.framing, [low for low, _, _ in special if low in HOP_BY_HOP])


def _fields(key: bytes) -> list[Field]:
    fields: list[Field] = []
    for line in key.split(b"\n")[1:]:
        low, _, value = line.partition(b":")
        fields.append((low, low, value.strip(b" \t") or _STAND_IN.get(low, b"")))
    return fields


def _plan(
    head: RequestHead | ResponseHead, special: list[Field], framing: Framing, cut: list[bytes]
) -> Plan | None:
    """None when more than these lines would have to be changed."""
    names = {low for low, _, _ in special}
    has_length = b"content-length" in names
    if (
        not REBUILT.isdisjoint(names)
        or not head.connection_options <= HARMLESS_OPTIONS
        or has_length != (head.content_length is not None)  # of 204, where none may pass
    ):
        return None
    return Plan(
        head.keep_alive,
        head.connection_options,
        framing,
        has_length,
        tuple(b"\r\n" + low + b":" for low in cut),
        b"keep-alive" in names,
    )
