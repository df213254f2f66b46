"""A trace as plain values. docs/trace.md describes the fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kssl.proxy.trace.render import ACTORS, pid_of
from kssl.proxy.trace.run import Trace
from kssl.proxy.trace.steps import Step, Walk

FORMAT = "kssl-trace/1"


def to_json(traces: Iterable[Trace], *, handshake: bool = False) -> dict[str, Any]:
    return {"format": FORMAT, "traces": [_trace(trace, handshake) for trace in traces]}


def _trace(trace: Trace, handshake: bool) -> dict[str, Any]:
    found = {
        "mode": trace.mode,
        "engine": trace.engine,
        "hops": trace.hops,
        "app": trace.app,
        "request": {
            "method": trace.request.method,
            "path": trace.request.path,
            "body_bytes": trace.request.length,
        },
        "reply": {
            "status": trace.reply.status,
            "body_bytes": trace.reply.size,
            "from_app": trace.reached_the_app,
        },
        "tls": {"version": trace.tls[0], "cipher": trace.tls[1]},
        **_walk(trace, trace.walk),
    }
    if handshake:
        found["handshake"] = _walk(trace, trace.handshake)
    return found


def _walk(trace: Trace, walk: Walk) -> dict[str, Any]:
    return {
        "front_end_us": _us(walk.front),
        "client_us": _us(walk.client),
        "steps": [_step(trace, step) for step in walk.steps],
    }


def _step(trace: Trace, step: Step) -> dict[str, Any]:
    return {
        "number": step.number,
        "iis_name": step.iis_name,
        "process": ACTORS[step.actor],
        "pid": pid_of(trace, step),
        "direction": step.direction,
        "does": step.what,
        "count": step.count,
        "bytes_in": step.bytes_in,
        "bytes_out": step.bytes_out,
        "records_opened": step.opened,
        "records_sealed": step.sealed,
        "begin_us": _us(step.begin),
        "worked_us": _us(step.work),
        "waited_us": _us(step.wait),
        "busy_us": _us(step.busy),
        "crypto_us": _us(step.crypto),
    }


def _us(ns: int) -> float:
    return ns / 1000
