"""Recordings written by hand: who did what for how long, one after the other."""

from __future__ import annotations

from kssl.proxy.trace.client import Reply
from kssl.proxy.trace.recorder import Event, Recording
from kssl.proxy.trace.request import Request
from kssl.proxy.trace.run import Trace
from kssl.proxy.trace.steps import Walk, request_walk

US = 1000  # ns
PIDS = {"client": 1, "front": 2, "worker": 3, "filter": 4}
TAG = 22  # bytes that TLS 1.3 adds to one record of ours
FRAME = 9  # bytes that a frame adds


class Script:
    """A clock that each line moves on; between two lines of different processes it waits."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.begin = self.now
        self._events: dict[str, list[Event]] = {actor: [] for actor in PIDS}
        self._actor = ""

    def __call__(
        self, actor: str, what: str, peer: str = "", *, took: int = 10, size: int = 0,
        frame: str = "", made: int = 0, records: int = 0,
    ) -> None:  # fmt: skip
        """``took`` in µs."""
        if self._actor not in ("", actor):
            self.now += 5 * US
        self._actor = actor
        end = self.now + took * US
        event = Event(self.now, end, what, peer, frame, 1, size, made, records)
        self._events[actor].append(event)
        self.now = end

    @property
    def recordings(self) -> list[Recording]:
        return [Recording(actor, PIDS[actor], found) for actor, found in self._events.items()]

    def walk(self) -> Walk:
        return request_walk(self.recordings, self.begin, self.now)


def relayed(script: Script, size: int, *, to: str) -> None:
    """The filter passes ``size`` bytes on ``to`` "worker" or "front"."""
    script("filter", "recv", "front" if to == "worker" else "worker", took=0, size=size)
    script("filter", "send", to, size=size)


def opening(script: Script, size: int, *, filtered: bool = False) -> None:
    """Records of ``size`` bytes of plaintext go to the worker, and it comes back."""
    script("front", "recv", "client", size=size + TAG)
    script("front", "frame-out", "link", frame="OPEN", size=size + TAG + FRAME)
    script("front", "send", "link", size=size + TAG + FRAME)
    if filtered:
        relayed(script, size + TAG + FRAME, to="worker")
    script("worker", "frame-in", "link", frame="OPEN", size=size + TAG + FRAME)
    script("worker", "open", size=size + TAG, made=size, records=1)
    script("worker", "frame-out", "link", frame="OPENED", size=size + FRAME)
    script("worker", "flush")
    if filtered:
        relayed(script, size + FRAME, to="front")
    script("front", "recv", "link", size=size + FRAME)
    script("front", "frame-in", "link", frame="OPENED", size=size + FRAME)


def sealing(script: Script, size: int, *, filtered: bool = False) -> None:
    """Plaintext goes to the worker, its records come back and to the client."""
    script("front", "frame-out", "link", frame="SEAL", size=size + FRAME)
    script("front", "send", "link", size=size + FRAME)
    if filtered:
        relayed(script, size + FRAME, to="worker")
    script("worker", "frame-in", "link", frame="SEAL", size=size + FRAME)
    script("worker", "seal", size=size, made=size + TAG, records=1)
    script("worker", "frame-out", "link", frame="SEALED", size=size + TAG + FRAME)
    script("worker", "flush")
    if filtered:
        relayed(script, size + TAG + FRAME, to="front")
    script("front", "recv", "link", size=size + TAG + FRAME)
    script("front", "frame-in", "link", frame="SEALED", size=size + TAG + FRAME)
    script("front", "send", "client", size=size + TAG)
    script("client", "recv", "front", size=size + TAG)


def user_mode(*, filtered: bool = False, batches: int = 1) -> Script:
    """A request of 80 bytes, 300 with what the front end adds; a response of 150 a batch."""
    script = Script()
    script("client", "send", "front", size=80 + TAG)
    opening(script, 80, filtered=filtered)
    script("front", "start", size=300)
    script("front", "send", "upstream", size=300)
    script.now += 200 * US  # the app
    for _ in range(batches):
        script("front", "recv", "upstream", size=150)
        script("front", "answer")
        sealing(script, 150, filtered=filtered)
    return script


def kernel_mode() -> Script:
    script = Script()
    script("client", "send", "front", size=80 + TAG)
    script("front", "recv", "client", size=80 + TAG)
    script("front", "open", size=80 + TAG, made=80, records=1)
    script("front", "start", size=300)
    script("front", "send", "upstream", size=300)
    script.now += 200 * US
    script("front", "recv", "upstream", size=150)
    script("front", "seal", size=150, made=150 + TAG, records=1)
    script("front", "answer")
    script("front", "send", "client", size=150 + TAG)
    script("client", "recv", "front", size=150 + TAG)
    return script


def trace_of(script: Script, *, mode: str = "user", app: str = "demo app") -> Trace:
    """As if `run` had made it."""
    return Trace(
        mode=mode,
        engine="worker" if mode == "user" else "aead",
        hops=int(mode == "user"),
        app=app,
        app_pid=99,
        request=Request("GET", "/tiny", ()),
        reply=Reply(200, 12, script.begin, script.now),
        tls=("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        handshake=Walk((), 0, 0),
        walk=script.walk(),
    )
