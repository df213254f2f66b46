"""Less patience with a process that a test has stopped, and as much as ever with the others."""

from __future__ import annotations

import pytest

from kssl.fastpath.ipc import processes, watch
from kssl.fastpath.ipc import supervisor as module
from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.ipc.supervisor import Supervisor

_AT_ONCE = 0.05  # seconds


def give_up_soon(patch: pytest.MonkeyPatch, hung: Supervisor) -> None:
    """Let a reload find soon that the process of ``hung``, as it is now, does not answer, and let
    no process have long to end by itself."""
    ours = hung.link

    async def answers(link: WorkerLink, seconds: float) -> bool:
        return await watch.answers(link, _AT_ONCE if link is ours else seconds)

    patch.setattr(module, "answers", answers)
    patch.setattr(processes, "_END_LIMIT", _AT_ONCE)
