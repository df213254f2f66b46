"""A report as `kssl bench` could write it: plausible sizes, gaps, and names that mean harm.

``python -m tests.bench.html.sample FOLDER`` writes its page and its picture there, to be looked at.
"""

from __future__ import annotations

import random
import statistics
import sys
from pathlib import Path
from typing import Any

from kssl.bench.html import picture, render

HOSTILE = "<script>alert('1')</script>"
LONG = "a-proxy-whose-name-is-as-long-as-anybody-could-ever-need-60ch"

# Name, kind, mode, hops, and a factor on nginx's CPU time of small requests and of bytes.
_SUBJECTS: tuple[tuple[str, str, str | None, int | None, float, float], ...] = (
    ("kssl user", "kssl", "user", 1, 2.05, 1.2),
    ("kssl user 2 hops", "kssl", "user", 2, 2.6, 1.7),
    ("kssl kernel", "kssl", "kernel", None, 1.4, 0.42),
    ("nginx", "peer", None, None, 1.0, 1.0),
    ("nginx-large", "peer", None, None, 0.96, 0.55),
    ("haproxy", "peer", None, None, 0.91, 0.5),
    ("hitch", "peer", None, None, 0.7, 0.6),
    ("stunnel", "peer", None, None, 1.5, 0.75),
    ("caddy", "peer", None, None, 3.1, 0.9),
    ("mitmproxy", "peer", None, None, 95.0, 9.0),
    (HOSTILE, "peer", None, None, 4.4, 2.0),
    (LONG, "peer", None, None, 1.02, 1.01),
    ("nginx-plain", "floor", None, None, 0.6, 0.2),
)

# Name, label, kind, unit, size, connections, and nginx's µs of CPU for each.
_SCENARIOS: tuple[tuple[str, str, str, str, int, int, float], ...] = (
    ("tiny", "12 B, 32 connections", "reply", "request", 12, 32, 20.6),
    ("varied", "12 B, heads vary", "reply", "request", 12, 32, 19.9),
    ("10k", "10 KiB, 32 connections", "reply", "request", 10240, 32, 26.1),
    ("1m", "1 MiB, 8 connections", "reply", "request", 2**20, 8, 1480.0),
    ("10m", "10 MiB, 4 connections", "reply", "request", 10 * 2**20, 4, 15409.0),
    ("10m-up", "10 MiB upload, 4 connections", "upload", "request", 10 * 2**20, 4, 13100.0),
    ("full", "new connections, full handshake", "handshake", "connection", 12, 16, 612.0),
    ("resumed", "new connections, resumed", "handshake", "connection", 12, 16, 214.0),
    ("websocket", "WebSocket, 125 B echoed", "websocket", "message", 125, 32, 11.2),
    ("c1", "12 B, 1 connection", "connections", "request", 12, 1, 31.0),
    ("c4", "12 B, 4 connections", "connections", "request", 12, 4, 24.0),
    ("c256", "12 B, 256 connections", "connections", "request", 12, 256, 21.5),
    ("c1000", "12 B, 1000 connections", "connections", "request", 12, 1000, 24.9),
    ("latency", "12 B, 20,000 requests/s", "latency", "request", 12, 32, 22.0),
    ("idle", "10,000 idle connections", "idle", "request", 12, 32, 24.0),
)

_KSSL_BYTES_MATTER = 100_000


def report(seed: int = 1) -> dict[str, Any]:
    """The same for the same seed."""
    chance = random.Random(seed)
    results = [
        _result(chance, subject, scenario) for scenario in _SCENARIOS for subject in _SUBJECTS
    ]
    # Gaps: what a peer cannot do, what was not told, what was told in part.
    by_key = {(one["scenario"], one["subject"]): one for one in results}
    by_key["10k", "stunnel"]["cpu_us"] = None
    by_key["1m", "hitch"]["cpu_us"]["by_process"] = None
    by_key["10m", "caddy"]["latency_us"] = None
    by_key["c4", "haproxy"]["per_s"] = None
    by_key["tiny", "kssl kernel"]["crossings"] = None
    by_key["idle", "caddy"]["idle"]["p99_us_with"] = None
    gone = {("websocket", "mitmproxy"), ("websocket", HOSTILE), ("c1000", "mitmproxy")}
    return {
        "schema": "kssl-bench/1",
        "when": "2026-11-21T11:02:03+00:00",
        "command": "kssl bench --peers all --hops --floor --html report.html",
        "machine": {
            "cpu": "Some Vendor Processor X-1234 @ 2.80GHz",
            "cores": 4, "memory_mib": 16009, "kernel": "Linux 6.1.0", "python": "3.11.2",
            "packages": {"kssl": "0.1.0", "cryptography": "48.0.0", "h11": None},
        },
        "rounds": 5, "seconds": 3, "clock": "schedstat", "taken_seconds": 2512.3,
        "pinning": {"proxy": [0], "load": [1], "backend": [3]},
        "loads": [
            {"scenario": "tiny", "name": "wrk", "version": "4.1.0",
            "command": "wrk -t1 -c32 -d3s https://localhost/"},
            {"name": "h2load", "version": None, "command": None},
        ],
        "backend": {"kind": "nginx", "version": "1.22.1", "config": "events { }\nhttp {\n}\n"},
        "subjects": [_subject(*one[:4]) for one in _SUBJECTS],
        "scenarios": [_scenario(*one[:6]) for one in _SCENARIOS],
        "results": [one for key, one in by_key.items() if key not in gone],
        "ratios": _ratios(by_key, gone),
        "notes": ["without proxy.py: not installed", f"{HOSTILE} gave up & went </main>"],
    }  # fmt: skip


def small(*scenarios: str) -> dict[str, Any]:
    """Four subjects, and four scenarios or those of these names."""
    told = report()
    subjects = {"kssl user", "kssl user 2 hops", "kssl kernel", "nginx"}
    chosen = scenarios or ("tiny", "10m", "c1", "idle")
    for part, key in (("subjects", "name"), ("results", "subject"), ("ratios", "below")):
        told[part] = [one for one in told[part] if one[key] in subjects]
    for part, key in (("scenarios", "name"), ("results", "scenario"), ("ratios", "scenario")):
        told[part] = [one for one in told[part] if one[key] in chosen]
    for result in told["results"]:
        for name in ("per_s", "mb_per_s", "cpu_us"):
            del result[name]["rounds"]
        del result["latency_us"]["p50"]["rounds"], result["latency_us"]["p99"]["rounds"]
    return told


def _subject(name: str, kind: str, mode: str | None, hops: int | None) -> dict[str, Any]:
    ours = kind == "kssl"
    settings = {"arguments": f"--mode {mode}"} if ours else {"config": f"# {name}\nworkers 1;\n"}
    return {
        "name": name, "kind": kind, "mode": mode, "hops": hops,
        "engine": {"user": "worker", "kernel": "aead"}.get(mode or ""),
        "version": "0.1.0" if ours else None if name == HOSTILE else "1.22.1",
        "processes": _processes(kind, mode, hops), "settings": settings,
        "tls": None if kind == "floor" else "TLSv1.3",
        "cipher": None if kind == "floor" else "TLS_AES_256_GCM_SHA384",
    }  # fmt: skip


def _processes(kind: str, mode: str | None, hops: int | None) -> list[str]:
    if kind != "kssl":
        return ["front"]
    return ["front", "filter", "worker"] if hops == 2 else ["front", "worker"]


def _scenario(
    name: str, label: str, kind: str, unit: str, size: int, connections: int
) -> dict[str, Any]:
    return {
        "name": name, "label": label, "kind": kind, "unit": unit, "size": size,
        "connections": connections, "rate": 20000 if kind == "latency" else None,
    }  # fmt: skip


def _result(chance: random.Random, subject: Any, scenario: Any) -> dict[str, Any]:
    name, kind, mode, hops, small, large = subject
    base = scenario[6] * (large if scenario[4] > _KSSL_BYTES_MATTER else small)
    base *= chance.uniform(0.93, 1.07)
    rounds = [base * chance.gauss(1, 0.015) for _ in range(5)]
    rates = [1e6 / value * 0.97 for value in rounds]
    p50 = scenario[5] / statistics.median(rates) * 1e6
    shares = {"front": 1.0}
    if kind == "kssl":
        user = mode == "user"
        shares = {"front": 0.62, "worker": 0.38} if user else {"front": 0.997, "worker": 0.003}
        if hops == 2:
            shares = {"front": 0.5, "filter": 0.2, "worker": 0.3}
    by_process = {
        process: {"user": base * share * 0.55, "system": base * share * 0.45}
        for process, share in shares.items()
    }
    tail = [[50, p50], [75, p50 * 1.1], [90, p50 * 1.35], [99, p50 * 2.1], [99.9, p50 * 5]]
    idle = scenario[2] == "idle"
    return {
        "scenario": scenario[0],
        "subject": name,
        "per_s": _spread(rates),
        "mb_per_s": _spread([rate * scenario[4] / 1e6 for rate in rates]),
        "latency_us": {
            "p50": _spread([p50]),
            "p99": _spread([p50 * chance.uniform(1.9, 2.3) for _ in range(5)]),
            "percentiles": tail,
        },
        "cpu_us": {
            **_spread(rounds), "user": base * 0.55, "system": base * 0.45,
            "by_process": by_process,
        },
        "crossings": {"frames": 2.0, "sends": 1.1, "bytes": 1234.5} if mode == "user" else None,
        "copied_bytes": 5678.0 if kind == "kssl" else None,
        "system_calls": 4.6 if kind == "kssl" else None,
        "peak_memory_kib": int(20000 + base * 10),
        "idle": {
            "kib_per_connection": 15 + 8 * small ** 0.5, "connections": 10000,
            "p99_us_before": p50 * 2, "p99_us_with": p50 * 2 * chance.uniform(1.0, 1.6),
        } if idle else None,
    }  # fmt: skip


def _spread(rounds: list[float]) -> dict[str, Any]:
    return {
        "median": statistics.median(rounds), "low": min(rounds), "high": max(rounds),
        "rounds": rounds,
    }  # fmt: skip


def _ratios(by_key: dict[Any, dict[str, Any]], gone: set[Any]) -> list[dict[str, Any]]:
    ours = [one[0] for one in _SUBJECTS if one[1] == "kssl"]
    peers = [one[0] for one in _SUBJECTS if one[1] == "peer"]
    found = []
    for scenario in _SCENARIOS:
        pairs = [(above, below) for below in peers for above in ours]
        pairs += [(above, "kssl kernel") for above in ours if above != "kssl kernel"]
        for above, below in pairs:
            one, other = by_key[scenario[0], above], by_key[scenario[0], below]
            if (scenario[0], below) in gone or not one["cpu_us"] or not other["cpu_us"]:
                continue
            found.append(_ratio(scenario[0], above, below, one["cpu_us"], other["cpu_us"]))
    return found


def _ratio(scenario: str, above: str, below: str, one: Any, other: Any) -> dict[str, Any]:
    each = sorted(a / b for a, b in zip(one["rounds"], other["rounds"], strict=True))
    low, high = each[0], each[-1]
    verdict = "no difference shown"
    if low > 1 or high < 1:
        verdict = f"{above} costs {'more' if low > 1 else 'less'}"
    return {
        "scenario": scenario, "above": above, "below": below,
        "median": statistics.median(each), "low": low, "high": high, "verdict": verdict,
    }  # fmt: skip


def main(folder: str) -> None:
    """For eyes."""
    told = report()
    Path(folder, "report.html").write_text(render(told), encoding="utf-8")
    Path(folder, "picture.svg").write_text(picture(told), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
