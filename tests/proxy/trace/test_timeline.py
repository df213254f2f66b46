"""Whatever the visits are, their time is given away once and whole."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kssl.proxy.trace.timeline import Stretch, Visit, partition
from tests.examples import examples

VISIT = st.builds(
    lambda step, begin, length: Visit(step, begin, begin + length),
    st.integers(1, 5),
    st.integers(0, 60),
    st.integers(0, 30),
)


# Slow to generate on a machine that is busy, which says nothing about the code.
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(VISIT, min_size=1, max_size=12))
def test_every_moment_once(found: list[Visit]) -> None:
    found.sort(key=lambda visit: visit.begin)
    begin, end = found[0].begin, max(visit.end for visit in found)
    shares = partition(found, begin, end)
    assert all(one.end == following.begin for one, following in pairwise(shares))
    assert sum(share.end - share.begin for share in shares) == end - begin
    for share in shares:
        for moment in range(share.begin, share.end):
            at_work = [v for v in found if v.begin <= moment < v.end]
            assert share.working == bool(at_work)
            if at_work:
                newest = max(visit.begin for visit in at_work)
                assert share.step in {v.step for v in at_work if v.begin == newest}


def test_waiting_belongs_to_who_ended_last() -> None:
    found = [Visit(1, 0, 20), Visit(2, 5, 10), Visit(3, 30, 31)]
    assert partition(found, 0, 40) == [
        Stretch(1, 0, 5, True),
        Stretch(2, 5, 10, True),
        Stretch(1, 10, 20, True),
        Stretch(1, 20, 30, False),
        Stretch(3, 30, 31, True),
        Stretch(3, 31, 40, False),
    ]
