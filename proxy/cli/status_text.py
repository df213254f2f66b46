"""What `kssl status` tells, in lines. They may hold foreign text: to be printed by `printable`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kssl.fastpath.net.closing import End

_COLUMNS = (End.CLOSE_NOTIFY, End.FIN, End.RESET, End.ALERT, End.NONE)

_ROWS = (
    ("from clients", "client", "received"),
    ("to clients", "client", "sent"),
    ("from upstreams", "upstream", "received"),
    ("to upstreams", "upstream", "sent"),
)

_LABEL, _NUMBER = 18, 14  # characters


def status_text(document: dict[str, Any]) -> Iterator[str]:
    """``document``: see `kssl.proxy.service.snapshot`; or one with "error", the service's
    words."""
    yield f"{', '.join(document['urls'])} (process {document['pid']}, {document['mode']} mode)"
    if "error" in document:
        yield f"  {document['error']}"
        return
    if document["state"] != "serving":
        yield _line(document["state"], _waits_for(document["waits_for"]))
    yield _line("engine", f"{document['engine']}, profile {document['profile']}")
    yield _line("started", document["started"])
    connections = document["connections"]
    yield _line("connections", f"{connections['open']} open, {connections['closing']} closing")
    files, memory = document["capacity"]["files"], document["capacity"]["memory"]
    yield _line("descriptors", f"{files['used']} of {files['limit']}")
    of = f"{memory['used'] >> 20} of {memory['limit'] >> 20} MiB"
    yield _line("memory", f"{of}, {memory['cut']} connections cut for want of it")
    for worker in document["workers"]:
        yield _line("worker", _worker(worker))
        yield from _problems(worker)
    if document["verifier"] is not None:
        yield _line("verifier", _verifier(document["verifier"]))
        yield from _problems(document["verifier"])
    for upstream in document["upstreams"]:
        yield _line("upstream", _upstream(upstream))
        if upstream.get("uncertain"):
            requests = _count(upstream["uncertain"], "request")
            yield _line("", f"{requests} met a kept connection as the app closed it")
    yield from _logs(document["logs"])
    yield ""
    yield from _ends(document)


def _waits_for(what: dict[str, Any]) -> str:
    counts = (
        _count(what["tunnels"], "tunnel"),
        _count(what["requests"], "request"),
        _count(what["idle"], "idle connection"),
    )
    return (
        f"takes no more connections; waits for {', '.join(counts)}, for {what['seconds']} s at "
        "most; to end it now: kssl stop"
    )


def _line(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}"


def _problems(process: dict[str, Any]) -> Iterator[str]:
    """A line for each thing that it refuses to serve. An older service does not tell."""
    for problem in process.get("problems", []):
        yield _line("  not served", problem)


def _worker(worker: dict[str, Any]) -> str:
    if worker["connections"] is None:
        return _silent(worker)
    return (
        f"process {worker['pid']}: {_count(worker['connections'], 'connection')}, "
        f"{worker['handshakes']} of them in the handshake; {_restarts(worker)}"
    )


def _verifier(verifier: dict[str, Any]) -> str:
    if verifier["questions"] is None:
        return _silent(verifier)
    return (
        f"process {verifier['pid']}: {_count(verifier['questions'], 'question')}; "
        f"{_restarts(verifier)}"
    )


def _upstream(upstream: dict[str, Any]) -> str:
    target, kept = upstream["target"], _count(upstream["idle"], "connection")
    text = f"{target}: {kept} kept for the next request"
    # A service of an older version does not tell the rest.
    addresses = upstream.get("addresses", [])
    if any(address not in target for address in addresses):
        text += f"; at {', '.join(addresses)}"
    if upstream.get("unknown"):
        text += f"; {upstream['unknown']}"
    if upstream.get("failures"):
        pause = upstream["paused"]
        how = f"paused for {pause} s" if pause else "to be tried again"
        text += f"; failed {_count(upstream['failures'], 'time')} in a row, {how}"
    return text


def _silent(process: dict[str, Any]) -> str:
    if process["pid"] is None:
        return f"died, and another is not up yet; {_restarts(process)}"
    return f"process {process['pid']} does not answer; {_restarts(process)}"


def _restarts(process: dict[str, Any]) -> str:
    return f"restarted {_count(process['restarts'], 'time')}"


def _logs(logs: dict[str, Any]) -> Iterator[str]:
    """Nothing if every line was written."""
    names = {"access": "access log", "errors": "HTTPERR log", "messages": "standard error"}
    for name, text in names.items():
        if logs["lost"][name]:
            yield _line("lines lost", f"{text}: {logs['lost'][name]} could not be written")
    for name, left_out in logs["left_out"].items():
        if left_out:
            kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(left_out.items()))
            yield _line("lines left out", f"{names[name]}: {kinds}")


def _ends(document: dict[str, Any]) -> Iterator[str]:
    closes = document["closes"]
    yield _line("TLS ended by", "".join(f"{end.value:>{_NUMBER}}" for end in _COLUMNS))
    for label, peer, direction in _ROWS:
        numbers = closes[peer][direction]
        yield _line(label, "".join(f"{numbers[end.value]:>{_NUMBER}}" for end in _COLUMNS))
    yield ""
    wanted = document["parameters"]["EnableSslCloseNotify"]
    yield (
        f"  {_count(closes['unclean_close'], 'connection')} of clients without their close_notify "
        f"(EnableSslCloseNotify={wanted})"
    )
    yield f"  {_count(closes['upstream_truncated'], 'answer')} of upstreams refused as truncated"
    yield f"  {_count(closes['without_request'], 'connection')} of clients without a request"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
