"""A CA, a client, and how to ask for a verdict."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from kssl.fastpath.verifier.rules.judge import judge
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.verdict import Kind, Outcome, Verdict
from tests.fastpath.verifier.rules.pki import CLIENT, NOW, Made, self_signed

T = TypeVar("T")

ROOT = self_signed("CN=Root,O=Example")
MIDDLE = ROOT.issue("CN=Middle,O=Example", ca=True)
LEAF = MIDDLE.issue("CN=alice", (CLIENT, False))
OTHER = self_signed("CN=Other,O=Elsewhere")
POLICY = Policy.prepare([ROOT.certificate])


def ask(*presented: Made | bytes, policy: Policy = POLICY, now: datetime = NOW) -> Verdict:
    return judge([each if isinstance(each, bytes) else each.der for each in presented], policy, now)


def refused(verdict: Verdict, outcome: Outcome, *words: str) -> Verdict:
    assert verdict.outcome is outcome, verdict.reason
    assert not verdict.ok
    for each in words:
        assert each in verdict.reason
    assert verdict.reason.isprintable()
    return verdict


def untrusted(verdict: Verdict, *words: str) -> Verdict:
    return refused(verdict, Outcome.UNTRUSTED, *words)


def kinds(verdict: Verdict) -> list[list[Kind]]:
    return [[fault.kind for fault in step.faults] for step in verdict.steps]


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` gives, if that takes no more of the processor. What takes long by itself does so
    each time; three times, because a cache may be cold or the machine busy. Without the cyclic
    collector, which would look through what all other tests have left."""
    collects = gc.isenabled()
    gc.disable()
    try:
        for _ in range(3):
            began = time.thread_time()
            result = work()
            took = time.thread_time() - began
            if took < seconds:
                return result
    finally:
        if collects:
            gc.enable()
    raise AssertionError(f"{took:.3f} s of the processor, more than {seconds} s: {result}")
