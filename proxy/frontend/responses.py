"""Responses of our own, with what the site of the request wants in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy.http.pages import error_response
from proxy.http.policy import own_fields

if TYPE_CHECKING:
    from proxy.frontend.http_connection import HttpConnection

_Fields = tuple[tuple[bytes, bytes], ...]


def own_page(
    connection: HttpConnection,
    status: int,
    substatus: int = 0,
    *,
    extra_fields: _Fields = (),
    **what: Any,
) -> bytes:
    """A complete response; ``what`` as in `error_response`."""
    own = own_fields(connection.admission.policy, connection.front.server_field)
    return error_response(status, substatus, extra_fields=(*extra_fields, *own), **what)


def redirect_page(connection: HttpConnection, location: bytes, *, head_only: bool) -> bytes:
    """308 (RFC 9110 section 15.4.9): the method and the body stay what they are."""
    return own_page(
        connection,
        308,
        reason_phrase="Permanent Redirect",
        detail="This site is for https only.",
        advice=f"Use {location.decode('latin-1')} instead.",
        extra_fields=((b"Location", location),),
        head_only=head_only,
    )
