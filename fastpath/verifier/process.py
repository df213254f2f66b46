"""The verifier's process: one blocking loop over one socketpair, as the worker's.

The loop judges, which takes a millisecond, and answers all that have arrived at once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fastpath import collector
from fastpath.clientcert.judge import judge
from fastpath.hardening import become_helper
from fastpath.verifier.messages import pack_verdict, unpack_judge
from fastpath.verifier.policies import Loaded, UnusableError, load
from fastpath.verifier.remembering import Remembered, key_of, until
from fastpath.verifier.verdicts import CHANGED, UNCHECKED, told
from fastpath.worker.frames import MAX_PAYLOAD, FrameType, Joined, parse, pieces
from fastpath.worker.output import Output

log = logging.getLogger("kssl.verifier")

_BUFFER_SIZE = 4 * MAX_PAYLOAD  # several of the largest frames


def utc_now() -> datetime:
    return datetime.now(UTC)


class Verifier:
    """All questions of one front end."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """``clock``: seconds, never goes back; ``now``: the time of verdicts."""
        self._sock = sock
        self._now = now
        self._output = Output(sock)
        self._settings = Joined()
        self._fixed: str | None = None  # state folder
        self._loaded: Loaded | None = None
        self._remembered = Remembered(clock)

    def run(self) -> None:
        """Returns when the front end closes its end of the socketpair."""
        view = memoryview(bytearray(_BUFFER_SIZE))
        have = 0
        while True:
            received = self._sock.recv_into(view[have:])
            if not received:
                return
            have += received
            done = 0
            for kind, connection, start, end in parse(view, have):
                self._handle(kind, connection, view[start:end])
                done = end
            self._output.flush()
            if done:
                view[: have - done] = bytes(view[done:have])
                have -= done

    def _handle(self, kind: int, identifier: int, payload: memoryview) -> None:
        if kind == FrameType.JUDGE:
            self._judge(identifier, payload)
        elif kind == FrameType.END:
            return  # it was answered at once
        elif kind == FrameType.COUNT:
            counts = {"connections": 0, "handshakes": 0}
            self._output.frame(FrameType.COUNTS, 0, json.dumps(counts).encode())
        elif kind in (FrameType.CONFIGURE, FrameType.RECONFIGURE):
            settings = self._settings.add(payload)
            if settings is not None:
                self._configure(json.loads(settings), again=kind == FrameType.RECONFIGURE)
        else:
            raise RuntimeError(f"unknown frame type {kind}")

    def _judge(self, identifier: int, payload: memoryview) -> None:
        if self._loaded is None:
            raise RuntimeError("JUDGE before CONFIGURE")
        try:
            packed = self._judged(self._loaded, payload)
        except BaseException as error:  # a panic in cryptography's Rust is no Exception
            log.error("a client's certificate could not be checked (%s)", type(error).__name__)
            packed = pack_verdict(UNCHECKED)
        self._output.frame(FrameType.VERDICT, identifier, packed)

    def _judged(self, loaded: Loaded, payload: memoryview) -> bytes:
        name, presented = unpack_judge(payload)
        site = loaded.sites.get(name)
        if site is None:
            return pack_verdict(CHANGED)
        key = key_of(name, presented)
        packed = self._remembered.get(key)
        if packed is None:
            now = self._now()
            verdict = judge(presented, site.policy, now)
            packed = pack_verdict(told(verdict))
            end = until(verdict, site.policy, now)
            self._remembered.keep(key, packed, (end - self._now()).total_seconds())
        return packed

    def _configure(self, wanted: dict[str, Any], *, again: bool) -> None:
        """All or nothing. Questions wait meanwhile."""
        fixed = wanted["state_dir"]
        if not again and self._fixed is not None:
            raise RuntimeError("CONFIGURE a second time")
        if again and self._loaded is None:
            raise RuntimeError("RECONFIGURE before CONFIGURE")
        if again and fixed != self._fixed:
            raise RuntimeError("RECONFIGURE with another state folder")
        self._fixed = fixed
        try:
            self._loaded = load(wanted)
        except UnusableError as error:
            self._answer(FrameType.REFUSED, "\n".join(error.problems).encode())
            return
        self._remembered.clear()
        answer: dict[str, list[str]] = {"warnings": [], "problems": []}
        self._answer(FrameType.READY, json.dumps(answer).encode())

    def _answer(self, kind: FrameType, payload: bytes) -> None:
        for piece in pieces(payload):
            self._output.frame(kind, 0, piece)


def main() -> int:
    """``python -m fastpath.verifier FD``: FD is the verifier's end of the socketpair."""
    link = int(sys.argv[1])
    become_helper(link)
    logging.basicConfig(format="kssl verifier: %(message)s", level=logging.WARNING)
    # For the whole process: what sets it for a moment (`judge`) does so for all threads.
    warnings.simplefilter("ignore")
    collector.tune()
    with socket.socket(fileno=link) as sock, contextlib.suppress(ConnectionError):
        Verifier(sock).run()
    return 0
