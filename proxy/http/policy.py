"""What is changed in responses."""
# STAND-IN

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResponsePolicy:
    drop_server: bool = False
    hsts: bytes | None = None


def own_fields(policy: ResponsePolicy | None, server: bool) -> tuple[tuple[bytes, bytes], ...]:
    """What the proxy's own pages carry."""
    fields = [(b"Server", b"kssl")] if server else []
    if policy is not None and policy.hsts is not None:
        fields.append((b"Strict-Transport-Security", policy.hsts))
    return tuple(fields)
