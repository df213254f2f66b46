"""The CPU time of a subject."""

from __future__ import annotations

import os
import threading
import time

from bench.contract import Subject


def test_threads_that_have_ended_count() -> None:
    def work() -> None:
        end = time.thread_time() + 0.2
        while time.thread_time() < end:
            pass

    subject = Subject("us", 1, {"front": [os.getpid()]}, "1.0")
    before = subject.cpu()["front"]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (subject.cpu()["front"] - before).total >= 100_000_000
