"""A request as it reached the application: what the page and ``/request.json`` show."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kssl.proxy.demo.asgi import Scope, header


@dataclass(frozen=True)
class TlsView:
    """What the proxy says about the client's connection."""

    version: str | None
    cipher: str | None
    mode: str | None
    engine: str | None


@dataclass(frozen=True)
class SeenRequest:
    """One request, as the application saw it."""

    method: str
    target: str
    http_version: str
    headers: list[tuple[str, str]]
    client: str | None
    tls: TlsView | None

    def as_json(self) -> dict[str, Any]:
        """The shape of ``/request.json``."""
        return asdict(self)


def seen(scope: Scope) -> SeenRequest:
    """Read an ASGI scope."""
    target = bytes(scope["raw_path"])
    if query := scope["query_string"]:
        target += b"?" + query
    client = scope.get("client")
    return SeenRequest(
        method=scope["method"],
        target=target.decode("latin-1"),
        http_version=scope["http_version"],
        headers=[(k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"]],
        client=f"{client[0]}:{client[1]}" if client else None,
        tls=_tls(scope),
    )


def _tls(scope: Scope) -> TlsView | None:
    version, cipher, mode, engine = (
        header(scope, f"x-kssl-{name}") for name in ("tls-version", "cipher", "mode", "engine")
    )
    if version is cipher is mode is engine is None:
        return None
    return TlsView(version, cipher, mode, engine)
