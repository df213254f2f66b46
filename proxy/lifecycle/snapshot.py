"""What a running proxy is doing, as a JSON document: what its admin socket gives."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastpath.worker.control import Counts
from fastpath.worker.supervisor import Supervisor
from proxy.frontend.front import Front


async def snapshot(front: Front, urls: Sequence[str], started: datetime) -> dict[str, Any]:
    """As it is now; workers and verifier are asked. The keys are those of ``docs/service.md``.

    ``started`` has a time zone. Takes up to two seconds when one of them does not answer.
    """
    supervisors, verifier = tuple(front.supervisors), front.verifier
    *counts, questions = await asyncio.gather(
        *(supervisor.count() for supervisor in supervisors),
        verifier.count() if verifier is not None else _nothing(),
    )
    return {
        "pid": os.getpid(),
        "mode": front.mode,
        "engine": front.engine.name,
        "profile": front.profile.value,
        "urls": list(urls),
        "started": started.isoformat(timespec="seconds"),
        "connections": {
            "open": len(front.connections),
            "closing": sum(not channel.closed for channel in front.closing),
        },
        "tasks": len(asyncio.all_tasks()),
        "workers": [_worker(*pair) for pair in zip(supervisors, counts, strict=True)],
        "verifier": _verifier(verifier, questions) if verifier is not None else None,
        "upstreams": [
            {"target": str(target), "idle": pool.idle} for target, pool in front.pools.items()
        ],
        "closes": front.closes.to_json(),
        "parameters": front.parameters.by_name,
    }


async def _nothing() -> None:
    """The counts of a verifier that there is not."""


def _worker(supervisor: Supervisor, counts: Counts | None) -> dict[str, int | None]:
    """``pid`` None: it has died, and there is no other yet. Counts None: it does not answer."""
    counted = counts or {}
    return {
        "pid": supervisor.pid if supervisor.link is not None else None,
        "restarts": supervisor.restarts,
        "connections": counted.get("connections"),
        "handshakes": counted.get("handshakes"),
    }


def _verifier(supervisor: Supervisor, counts: Counts | None) -> dict[str, int | None]:
    """As `_worker`; its connections are questions in progress."""
    of_process = _worker(supervisor, counts)
    return {
        "pid": of_process["pid"],
        "restarts": of_process["restarts"],
        "questions": of_process["connections"],
    }
