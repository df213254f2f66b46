"""Fill in the demo page and the error page."""

from __future__ import annotations

import functools
import html
import re
import secrets
from collections.abc import Mapping
from importlib import resources

from kssl.proxy.demo.seen import SeenRequest, TlsView

_PLACE = re.compile(r"\{\{(\w+)\}\}")

_BEHIND = "This page comes from a plain-HTTP app behind a TLS-terminating proxy."
_MODE_TEXT = {
    "kernel": f"{_BEHIND} Kernel mode: the crypto worker does the handshake only; "
    "the front end encrypts the records.",
    "user": f"{_BEHIND} User mode: every record makes the round trip to the crypto worker.",
    "none": "This request reached the app directly, over plain HTTP: it is not behind kssl.",
}

# What the arrow between the front end and the crypto worker carries.
_WIRE_TEXT = {"kernel": "handshake only", "user": "every record", "none": ""}

_ERROR = """<!doctype html>
<html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{{title}}</title>
<style nonce="{{nonce}}">body{font:1.1rem/1.6 system-ui,sans-serif;max-width:36rem;
margin:18vh auto 0;padding:0 1.25rem}h1{font-size:1.6rem;margin:0}</style>
<h1>{{title}}</h1><p>{{detail}}</p><p><a href="/">Back to the demo</a></p></html>
"""


def policy(nonce: str) -> str:
    """The Content-Security-Policy: our own style and script, our own origin, nothing else."""
    return (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "connect-src 'self'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def new_nonce() -> str:
    """A fresh nonce for one page."""
    return secrets.token_urlsafe(16)


def render(request: SeenRequest, nonce: str) -> str:
    """The demo page for one request."""
    rows = "\n".join(
        f"<tr><th scope=row>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in request.headers
    )
    told = (request.tls.mode if request.tls else None) or ""
    mode = told if told in _MODE_TEXT else "none"
    return _fill(
        _template(),
        nonce=nonce,
        method=html.escape(request.method),
        target=html.escape(request.target),
        http_version=html.escape(request.http_version),
        client=html.escape(request.client or "unknown"),
        rows=rows,
        badges=_badges(request.tls),
        mode=mode,
        # Behind a kssl that does not tell its mode, or tells one that we do not know.
        mode_text=_BEHIND if request.tls and mode == "none" else _MODE_TEXT[mode],
        wire_text=_WIRE_TEXT[mode],
    )


def render_error(title: str, detail: str, nonce: str) -> str:
    """A small page for an error."""
    return _fill(_ERROR, nonce=nonce, title=html.escape(title), detail=html.escape(detail))


def _badges(tls: TlsView | None) -> str:
    if tls is None:
        return '<span class="badge off">not behind kssl</span>'
    shown = (
        ("TLS", tls.version),
        ("cipher", tls.cipher),
        ("mode", tls.mode),
        ("engine", tls.engine),
    )
    return "\n".join(
        f'<span class="badge"><small>{name}</small> {html.escape(value)}</span>'
        for name, value in shown
        if value
    )


def _fill(template: str, **values: str) -> str:
    # One pass: what a value contains is never taken for a placeholder.
    fields: Mapping[str, str] = values
    return _PLACE.sub(lambda match: fields[match[1]], template)


@functools.cache
def _template() -> str:
    return resources.files("kssl.proxy.demo").joinpath("page.html").read_text("utf-8")
