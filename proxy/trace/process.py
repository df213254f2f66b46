"""``python -m kssl.proxy.trace.process FOLDER MODULE …``: runs MODULE with its points watched.

MODULE is ``kssl.proxy`` (the front end), ``kssl.fastpath.worker`` or ``kssl.fastpath.filter``. What
was seen is written to FOLDER when the process ends: nothing disturbs the frames, and a worker that
closes all descriptors but its link needs no other one.
"""

from __future__ import annotations

import asyncio
import runpy
import sys
from pathlib import Path
from typing import Any

from kssl.fastpath.ipc import processes
from kssl.proxy.trace import recorder
from kssl.proxy.trace.points import TRACED, install
from kssl.proxy.trace.recorder import Event
from kssl.proxy.trace.watch import Watch

# Seconds: for the events of some gigabytes on a busy machine.
_WRITING = 15.0

_ACTORS = {
    "kssl.proxy": "front",
    "kssl.fastpath.worker": "worker",
    "kssl.fastpath.filter": "filter",
}


def main() -> None:
    folder, module = Path(sys.argv[1]), sys.argv[2]
    sys.argv = sys.argv[2:]
    actor = _ACTORS[module]
    events: list[Event] = []
    watch = Watch(events.append)
    install(watch, TRACED[actor])
    if actor == "front":
        _trace_children(folder)
    elif actor == "filter":
        watch.filter_between(int(sys.argv[1]), int(sys.argv[2]))
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        recorder.write(folder, actor, events)


def _trace_children(folder: Path) -> None:
    """The supervisor starts its processes with ``python -m MODULE …``: they are traced too, and
    have the time to write down what they saw before it kills them."""
    processes._END_LIMIT = _WRITING
    start = asyncio.create_subprocess_exec

    async def start_traced(program: str, *arguments: str, **options: Any) -> Any:
        if "-m" in arguments[:2]:  # behind another option, maybe
            at = arguments.index("-m") + 1
            if arguments[at] in _ACTORS:
                ours = ("kssl.proxy.trace.process", str(folder))
                arguments = (*arguments[:at], *ours, *arguments[at:])
        return await start(program, *arguments, **options)

    asyncio.create_subprocess_exec = start_traced  # type: ignore[assignment]


if __name__ == "__main__":
    main()
