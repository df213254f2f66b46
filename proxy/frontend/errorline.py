"""Lines of the HTTPERR log, made of what the front end knows at the time."""

from __future__ import annotations

from kssl.proxy.frontend.site import SiteFront
from kssl.proxy.journal.httperr import ErrorLog

HANDSHAKE = "Handshake"
_IN_FRONT = frozenset(("Rc2_Suite",))
"""Words of the HTTPERR log that the worker puts in front of a reason, with a colon."""


def write_line(
    log: ErrorLog,
    *,
    client: tuple[str, int],
    server: tuple[str, int],
    reason: str,
    status: int = 0,
    request_line: bytes = b"",
    site: SiteFront | None = None,
) -> None:
    """``request_line`` is as received, or b"" when there is none. ``status`` 0: none was sent."""
    method, _, rest = request_line.partition(b" ")
    uri, _, version = rest.rpartition(b" ")
    if not version.startswith(b"HTTP/"):  # cut off, or never there
        uri, version = rest, b""
    log.write(
        client=client,
        server=server,
        version=version,
        method=method,
        uri=uri,
        status=status,
        site=site.site.number if site is not None else 0,
        reason=reason,
        queue=site.site.name if site is not None else "",
    )


def handshake_reason(text: str) -> str:
    """The word for a handshake that failed with ``text``."""
    word = text.partition(":")[0]
    return word if word in _IN_FRONT else HANDSHAKE
