"""``python -m kssl.proxy.trace.counting OUT.json serve …``: kssl with its system calls counted.

SIGUSR1 makes it write the totals since the last SIGUSR1 to OUT.json, whole or not at all: remove
the file, send the signal, wait for the file. All numbers are the front end's:

    client_sends    client_recvs    client_bytes_in    client_bytes_out
    link_sends      link_recvs      link_bytes_in      link_bytes_out     link_frames_in, _out
    upstream_sends  upstream_recvs  upstream_bytes_in  upstream_bytes_out

A send or a recv is one system call, also if it moved nothing. The link is the socketpair to the
crypto worker. Frames are counted as they are handed to the link or to their connection.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from kssl.proxy.trace.points import COUNTED, install
from kssl.proxy.trace.recorder import Event
from kssl.proxy.trace.watch import Watch

_PEERS = ("client", "link", "upstream")
NAMES = (
    *(f"{peer}_{what}" for peer in _PEERS for what in ("sends", "recvs", "bytes_in", "bytes_out")),
    "link_frames_in",
    "link_frames_out",
)


class Counters:
    """Totals since the last `take`."""

    def __init__(self) -> None:
        self._totals = dict.fromkeys(NAMES, 0)
        self._taken = dict(self._totals)

    def count(self, event: Event) -> None:
        totals, what = self._totals, event.what
        if what == "recv":
            if event.peer:
                totals[f"{event.peer}_recvs"] += 1
                totals[f"{event.peer}_bytes_in"] += event.size
        elif what in ("send", "drain"):
            if event.peer:
                totals[f"{event.peer}_sends"] += 1
                totals[f"{event.peer}_bytes_out"] += event.size
        elif what == "frame-in":
            totals["link_frames_in"] += 1
        elif what == "frame-out":
            totals["link_frames_out"] += 1

    def take(self) -> dict[str, int]:
        now, before = dict(self._totals), self._taken
        self._taken = now
        return {name: now[name] - before[name] for name in NAMES}


def write(path: Path, totals: dict[str, int]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(totals) + "\n")
    part.replace(path)


def main(argv: Sequence[str]) -> int:
    if len(argv) < 2 or not Path(argv[0]).parent.is_dir():
        # In a folder that does not exist, the first SIGUSR1 would end the proxy.
        print("usage: python -m kssl.proxy.trace.counting OUT.json serve …", file=sys.stderr)
        return 2
    path, arguments = Path(argv[0]), argv[1:]
    counters = Counters()
    install(Watch(counters.count), COUNTED)

    def asked(*_: object) -> None:
        # At the end of this turn of the loop, because Python may run this in the middle of a call
        # that has moved its bytes and is not counted yet.
        try:
            asyncio.get_running_loop().call_soon_threadsafe(tell)
        except RuntimeError:  # there is no loop yet
            tell()

    def tell() -> None:
        write(path, counters.take())

    signal.signal(signal.SIGUSR1, asked)
    sys.argv[1:] = arguments
    runpy.run_module("kssl.proxy", run_name="__main__", alter_sys=True)  # ends by SystemExit
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
