"""Notices a process behind the front end that lives and does nothing: stopped, or in a loop.

One that died is noticed by its link. This one is asked now and then for its counts, which it gives
between two other frames; so a busy one answers, too, and no work of its own can take this long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastpath.worker.link import WorkerLink

# Seconds. Two questions in a row go unanswered before a process counts as hung, as a machine that
# stood still itself lets the first one run out.
EVERY = 10.0
PATIENCE = 10.0
MISSES = 2


async def watch(
    link_now: Callable[[], WorkerLink | None],
    excused: Callable[[], bool],
    hung: Callable[[WorkerLink], None],
) -> None:
    """Until it is cancelled. ``excused``: it may take its time now, as it loads other settings."""
    misses = 0
    while True:
        await asyncio.sleep(EVERY)
        link = link_now()
        if link is None or excused() or await _answers(link):
            misses = 0
        elif link is link_now() and not excused():
            misses += 1
            if misses == MISSES:
                misses = 0
                hung(link)


async def _answers(link: WorkerLink) -> bool:
    """Also if it died: that is somebody else's to notice."""
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.shield(link.count())  # others may wait for it too
    except TimeoutError:
        return False
    return True
