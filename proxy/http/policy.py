"""What a site wants of the heads of its responses, beside what every response gets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from kssl.config.model import Hsts

SERVER = (b"Server", b"kssl")
_HSTS = b"Strict-Transport-Security"

# A line that `ResponsePolicy.without` removes, with the CRLF in front of it. Sound only in a head
# that matches the grammar: behind CRLF there is always a name.
_LINE = rb"\r\n[Ss](?i:%b):[^\r]*+"


@dataclass(slots=True, frozen=True)
class ResponsePolicy:
    """For one site and one kind of connection. A site that wants nothing has None instead.

    drop_server: the app's Server does not pass (DisableServerHeader=2).
    hsts: the value of Strict-Transport-Security, which replaces the app's, for there may be one
    only (RFC 6797 section 6.1); None on plain HTTP, where it must not be sent (section 7.2).
    """

    drop_server: bool
    hsts: bytes | None
    dropped: frozenset[bytes] = field(init=False, repr=False, compare=False)
    """Names in lower case."""
    line: bytes = field(init=False, repr=False, compare=False)
    """What is added to a final response."""
    without: Callable[[bytes, bytes], bytes] = field(init=False, repr=False, compare=False)
    """(b"", an accepted head) → the head without the lines that are dropped."""

    def __post_init__(self) -> None:
        names = ([b"server"] if self.drop_server else []) + ([_HSTS.lower()] if self.hsts else [])
        # Both begin with S, which lets the search skip all other lines early.
        pattern = re.compile(_LINE % b"|".join(name[1:] for name in names) if names else rb"(?!)")
        line = b"%b: %b\r\n" % (_HSTS, self.hsts) if self.hsts else b""
        object.__setattr__(self, "dropped", frozenset(names))
        object.__setattr__(self, "line", line)
        object.__setattr__(self, "without", pattern.sub)


def response_policy(
    disable_server_header: int, hsts: Hsts | None, *, tls: bool
) -> ResponsePolicy | None:
    """disable_server_header: the parameter. None when responses pass as they are.

    Make it once per site and kind of connection: memo.py compares policies by identity.
    """
    drop_server = disable_server_header >= 2
    value = hsts.value if hsts is not None and tls else None
    return ResponsePolicy(drop_server, value) if drop_server or value else None


def own_fields(policy: ResponsePolicy | None, server: bool) -> tuple[tuple[bytes, bytes], ...]:
    """The fields of the proxy's own responses, for `error_response`.

    server: they say who answers, that is DisableServerHeader=0.
    """
    fields = (SERVER,) if server else ()
    if policy is not None and policy.hsts:
        return (*fields, (_HSTS, policy.hsts))
    return fields
