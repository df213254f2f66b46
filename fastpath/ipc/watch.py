"""The watch over a process behind the front end: does it hang, stopped or in a loop?

The link of a process that has died ends. To find one that lives and does nothing, the watch asks
it now and then for its counts. A process answers between two other frames, so a busy one does, too,
and no work of its own takes as long as `PATIENCE`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kssl.fastpath.ipc.link import WorkerLink

# Seconds. Two questions in a row go unanswered before a process counts as hung, as a machine that
# stood still itself lets the first one run out.
EVERY = 2.0
PATIENCE = 10.0
MISSES = 2

# Seconds after which one that has not answered yet gets no new handshakes while others do.
DOUBT = 1.0


def _nobody(silent: bool) -> None:
    """Do nothing: the caller does not ask."""


async def watch(
    link_now: Callable[[], WorkerLink | None],
    excused: Callable[[], bool],
    hung: Callable[[WorkerLink], None],
    silent: Callable[[bool], None] = _nobody,
) -> None:
    """Watch the process of the present link until cancelled, and call ``hung`` if it hangs.

    ``excused`` says whether it may take its time now, because it loads other settings. ``silent``
    is called with True when an answer is late, and with False when it has come.
    """
    misses = 0
    while True:
        await asyncio.sleep(EVERY)
        link = link_now()
        if link is None or excused() or await _answers(link, silent):
            misses = 0
        elif link is link_now() and not excused():
            misses += 1
            if misses == MISSES:
                misses = 0
                hung(link)


async def _answers(link: WorkerLink, silent: Callable[[bool], None]) -> bool:
    """Return whether it answers in time, or has died: the link's owner notices that."""
    told = link.count()
    doubt = min(DOUBT, PATIENCE)
    if not (await asyncio.wait({told}, timeout=doubt))[0]:
        silent(True)
        if not (await asyncio.wait({told}, timeout=PATIENCE - doubt))[0]:
            return False
    silent(False)
    return True


async def answers(link: WorkerLink, seconds: float) -> bool:
    """Return whether the process answers, or dies, within ``seconds``."""
    return bool((await asyncio.wait({link.count()}, timeout=seconds))[0])
