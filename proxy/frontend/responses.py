"""Responses of our own, with what the site of the request wants in each."""

from __future__ import annotations

from typing import Any

from kssl.proxy.frontend.router import Route
from kssl.proxy.http.pages import error_response, redirect_response
from kssl.proxy.http.policy import own_fields


def own_page(
    route: Route, status: int, substatus: int = 0, *, server_field: bool, **what: Any
) -> bytes:
    """Return a complete response. ``what``: as in `error_response`; ``server_field``: whether it
    says who we are."""
    own = own_fields(route.policy, server_field)
    return error_response(status, substatus, extra_fields=own, **what)


def redirect_page(route: Route, location: bytes, *, server_field: bool, head_only: bool) -> bytes:
    """Return a complete redirection."""
    own = own_fields(route.policy, server_field)
    return redirect_response(location, extra_fields=own, head_only=head_only)
