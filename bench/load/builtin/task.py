"""What the client has to do."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Self
from urllib.parse import urlsplit

KINDS = ("reply", "connections", "upload", "handshake", "websocket", "paced", "idle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """``kind`` is one of `KINDS`; ``body`` a file with what an upload sends; ``rate`` is in
    requests per second over all connections."""

    kind: str
    url: str
    ca: str | None
    connections: int
    warm_seconds: float
    seconds: float
    size: int = 0
    rate: int | None = None
    resumed: bool = False
    varied: bool = False
    content_type: str = ""
    body: str | None = None

    @property
    def tls(self) -> bool:
        return urlsplit(self.url).scheme == "https"

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if self.tls else 80)

    @property
    def path(self) -> str:
        return urlsplit(self.url).path or "/"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))
