"""The result as a table, as JSON, and one attack as a sequence diagram in text and SVG."""

from __future__ import annotations

from kssl.proxy.demo.truncation.rows import Scene

TITLES: dict[Scene, str] = {
    "reply": "1. A reply, cut between proxy and client",
    "request": "2. A request, cut between client and proxy",
    "upstream": "3. A reply, cut between the app (TLS) and the proxy",
}
