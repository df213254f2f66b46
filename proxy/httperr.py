"""The HTTPERR log."""
# STAND-IN

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class ErrorLog:
    def __init__(self, folder: Path, truncate_size: int, now: Callable[[], float]) -> None: ...

    @classmethod
    def off(cls) -> ErrorLog:
        return cls(Path(), 0, float)

    def write(
        self,
        *,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
        version: bytes,
        method: bytes,
        uri: bytes,
        status: int,
        site: int,
        reason: str,
        queue: str,
    ) -> None: ...

    def flush(self) -> None: ...
