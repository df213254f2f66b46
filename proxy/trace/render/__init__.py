"""A trace as text for a terminal, as JSON, and as a sequence diagram (SVG); and what they share."""

from __future__ import annotations

from kssl.proxy.trace.run import Trace
from kssl.proxy.trace.steps import Step

# Our names for the stations, beside those of IIS 6.
ACTORS = {
    "client": "client",
    "front": "front end",
    "filter": "filter",
    "worker": "crypto worker",
    "app": "app",
}


def title(trace: Trace) -> str:
    """``user mode, engine worker, TLSv1.3 TLS_AES_256_GCM_SHA384``"""
    hops = ", 2 hops" if trace.hops == 2 else ""
    return f"{trace.mode} mode{hops}, engine {trace.engine}, {' '.join(trace.tls)}"


def asked(trace: Trace) -> str:
    """``GET /tiny → http://127.0.0.1:8000: 200, 12 bytes``"""
    body = f" ({trace.request.length:,} bytes)" if trace.request.length else ""
    return printable(
        f"{trace.request.method} {trace.request.path}{body} → {trace.app}: "
        f"{trace.reply.status}, {trace.reply.size:,} bytes"
    )


def micros(ns: int) -> str:
    """A time for people, in µs."""
    return f"{ns / 1000:,.0f} µs" if ns >= 9_950 or not ns else f"{ns / 1000:.1f} µs"


def pid_of(trace: Trace, step: Step) -> int | None:
    return trace.app_pid if step.actor == "app" else step.pid


def records(step: Step) -> str:
    """``1 opened``"""
    told = [(step.opened, "opened"), (step.sealed, "sealed")]
    return ", ".join(f"{number:,} {what}" for number, what in told if number)


def times(step: Step) -> str:
    """Behind a step's name: how often it was taken up, if more than once."""
    return f" \N{MULTIPLICATION SIGN} {step.count:,}" if step.count > 1 else ""


def printable(text: str) -> str:
    """A terminal must not obey what hides in a file's name."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
