"""Errors, split by culprit: the client's have a status to answer with, the upstream's are 502."""

from __future__ import annotations

from collections.abc import Callable


class HttpError(Exception):
    """The client's fault: answer `status`, log `reason`, close the connection.

    reason: a word of the HTTPERR log (kssl.proxy.journal.httperr.REASONS), such as "BadRequest" or
    "Header". detail: one sentence for people. It never quotes more than a name from the request.
    substatus: what IIS writes behind the status in its pages, 4 of 403.4; 0: none. Only pages and
    logs have it, the status line does not.
    """

    def __init__(self, status: int, reason: str, detail: str, substatus: int = 0) -> None:
        number = f"{status}.{substatus}" if substatus else str(status)
        super().__init__(f"{number} {reason}: {detail}")
        self.status = status
        self.reason = reason
        self.detail = detail
        self.substatus = substatus


class UpstreamError(Exception):
    """The upstream's fault: the client gets 502. `detail` is one sentence for people."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


ErrorFactory = Callable[[str, str], Exception]
"""Makes the exception of the side that is read, from an HTTPERR reason and a detail."""


def client_error(reason: str, detail: str) -> HttpError:
    """The ErrorFactory for bytes that come from the client."""
    return HttpError(400, reason, detail)


def upstream_error(reason: str, detail: str) -> UpstreamError:
    """The ErrorFactory for bytes that come from the upstream; it has no use for the reason."""
    return UpstreamError(detail)


def too_long_request(limit: int) -> HttpError:
    """Return the refusal of a request head above ``limit`` bytes."""
    return HttpError(
        400, "RequestLength", f"The request head is longer than MaxRequestBytes ({limit} bytes)."
    )


def too_long_response(limit: int) -> str:
    """Return what is said of a response head above ``limit`` bytes."""
    return f"The response head is longer than MaxResponseHeadBytes ({limit} bytes)."
