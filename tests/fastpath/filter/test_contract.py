"""The whole contract suite once more, through a filter (`hops` in conftest.py)."""

from tests.fastpath.engines.test_contract import *  # noqa: F403
from tests.fastpath.harness import Place


async def test_the_others_went_through_a_filter(place: Place) -> None:
    assert place.supervisor.filter_pid is not None
    assert place.supervisor.restarts == 0
