"""What a running proxy is doing, as a JSON document: what its admin socket gives."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kssl.config.running import State
from kssl.fastpath.ipc.supervisor import Supervisor
from kssl.fastpath.logs import messages
from kssl.proxy.frontend.front import Front
from kssl.proxy.upstream.dial import Address
from kssl.proxy.upstream.pool import Pool


async def snapshot(
    front: Front, urls: Sequence[str], started: datetime, left: float | None = None
) -> dict[str, Any]:
    """As it is now; workers and verifier are asked. The keys are those of ``docs/service.md``.

    ``left``: seconds until the service ends at the latest; None: it serves. ``started`` has a time
    zone. Takes up to two seconds when one of them does not answer.
    """
    verifier, *workers = await asyncio.gather(
        _verifier(front.verifier), *(_worker(supervisor) for supervisor in front.supervisors)
    )
    behind = [each for each in (*workers, verifier) if each is not None]
    lost = sum(each.pop("lost") or 0 for each in behind)
    return {
        "pid": os.getpid(),
        "mode": front.mode,
        "engine": front.engine.name,
        "profile": front.profile.value,
        "urls": list(urls),
        "started": started.isoformat(timespec="seconds"),
        "state": _state(front, left).value,
        "waits_for": _waits_for(front, left) if left is not None else None,
        "connections": {
            "open": len(front.connections),
            "closing": sum(not channel.closed for channel in front.closing),
        },
        "capacity": front.capacity.to_json(front.open_connections),
        "tasks": len(asyncio.all_tasks()),
        "workers": workers,
        "verifier": verifier,
        "upstreams": [_upstream(pool, front.loop.time()) for pool in front.pools.values()],
        "closes": front.journal.closes.to_json(),
        "logs": _logs(front, lost),
        "parameters": front.parameters.by_name,
    }


def _state(front: Front, left: float | None) -> State:
    if left is None:
        return State.SERVING
    return State.STOPPING if front.stopping else State.DRAINING


def _waits_for(front: Front, left: float) -> dict[str, Any]:
    """What keeps a service that takes no more connections."""
    tunnels = sum(each.tunnelled for each in front.connections)
    idle = sum(each.idle for each in front.connections) - tunnels
    return {
        "tunnels": tunnels,
        "requests": len(front.connections) - tunnels - idle,
        "idle": idle,
        "seconds": max(0, round(left)),
    }


def _logs(front: Front, lost_behind: int) -> dict[str, Any]:
    """``lost_behind``: lines of the processes behind the front end."""
    return {
        "lost": {
            "access": front.journal.access_log.lost,
            "errors": front.journal.error_log.lost,
            "messages": messages.lost() + lost_behind,
        },
        "left_out": {"errors": front.journal.error_log.left_out, "messages": messages.left_out()},
    }


def _upstream(pool: Pool, now: float) -> dict[str, Any]:
    """``paused``: seconds for which it gets no requests, null when it is well. ``unknown``: why it
    has no addresses, or why they are old ones; "" when they are current."""
    return {
        "target": str(pool.target),
        "idle": pool.idle,
        "uncertain": pool.uncertain,
        "addresses": [_shown(address) for address in pool.addresses],
        "failures": pool.health.failures,
        "paused": round(pool.health.pause_left(now), 1) if pool.health.failures else None,
        "unknown": pool.unknown,
    }


def _shown(address: Address) -> str:
    """Without the port, which is the target's."""
    _, where = address
    return where if isinstance(where, str) else str(where[0])


async def _worker(supervisor: Supervisor) -> dict[str, Any]:
    """``pid`` None: it has died, and there is no other yet. Counts None: it does not answer."""
    # Of the process that is asked: there may be another by the time of the answer.
    pid = supervisor.pid if supervisor.link is not None else None
    restarts = supervisor.restarts
    counted = await supervisor.count() or {}
    return {
        "pid": pid,
        "restarts": restarts,
        "problems": _problems(supervisor),
        "connections": counted.get("connections"),
        "handshakes": counted.get("handshakes"),
        "lost": counted.get("lost"),
    }


def _problems(supervisor: Supervisor) -> list[str]:
    """Why it is down, or what it could not load when it was restarted."""
    return [supervisor.down] if supervisor.down else list(supervisor.problems)


async def _verifier(supervisor: Supervisor | None) -> dict[str, Any] | None:
    """As `_worker`; its connections are questions in progress."""
    if supervisor is None:
        return None
    of_process = await _worker(supervisor)
    return {
        "pid": of_process["pid"],
        "restarts": of_process["restarts"],
        "problems": of_process["problems"],
        "questions": of_process["connections"],
        "lost": of_process["lost"],
    }
