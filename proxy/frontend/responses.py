"""Responses of our own, with what the site of the request wants in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kssl.proxy.http.pages import error_response, redirect_response
from kssl.proxy.http.policy import own_fields

if TYPE_CHECKING:
    from kssl.proxy.frontend.answering import Answering

_Fields = tuple[tuple[bytes, bytes], ...]


def own_page(
    connection: Answering,
    status: int,
    substatus: int = 0,
    *,
    extra_fields: _Fields = (),
    **what: Any,
) -> bytes:
    """A complete response; ``what`` as in `error_response`."""
    own = own_fields(connection.admission.policy, connection.front.server_field)
    return error_response(status, substatus, extra_fields=(*extra_fields, *own), **what)


def redirect_page(connection: Answering, location: bytes, *, head_only: bool) -> bytes:
    own = own_fields(connection.admission.policy, connection.front.server_field)
    return redirect_response(location, extra_fields=own, head_only=head_only)
