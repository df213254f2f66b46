"""Which core runs what."""

from __future__ import annotations

import os

import pytest

from kssl.bench.pinning import Cores, choose_cores, pinned


@pytest.mark.parametrize(
    ("allowed", "cores"),
    [
        ({0}, Cores(None, None, None)),
        ({2, 3}, Cores(2, 3, 3)),
        ({0, 1, 2}, Cores(0, 1, 2)),
        ({0, 1, 2, 3}, Cores(0, 1, 3)),
    ],
)
def test_out_of_those_that_are_allowed(allowed: set[int], cores: Cores) -> None:
    assert choose_cores(allowed) == cores


def test_our_own_mask_is_respected() -> None:
    cores = choose_cores()
    allowed = os.sched_getaffinity(0)
    assert {cores.proxy, cores.load, cores.backend} - {None} <= allowed


def test_pinned_within_and_not_after() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    with pinned(core):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
    with pinned(None):
        assert os.sched_getaffinity(0) == before
