"""CPU time per request in kernel mode as a multiple of nginx's, measured in the same run."""

from __future__ import annotations

import pytest

from bench import nginx, scenarios
from bench.report import to_text
from bench.run import Plan, run
from bench.stats import ratio
from tests.acceptance.conftest import Figure

pytestmark = pytest.mark.acceptance

AT_MOST = {"tiny": 1.6, "10k": 1.4, "10m": 1.1}


def test_ratio_to_nginx(figure: Figure) -> None:
    if nginx.find() is None:
        pytest.skip("nginx is not installed")
    outcome = run(Plan(scenarios=scenarios.choose(AT_MOST)), print)
    print(f"\n{to_text(outcome)}")
    found = {}
    for scenario in outcome.scenarios:
        versus = ratio(outcome.rounds, scenario.name, "kssl kernel", "nginx")
        assert versus is not None
        found[scenario.name] = versus.median
        most = AT_MOST[scenario.name]
        figure(f"{scenario.label}: kernel mode / nginx {versus.median:.2f}, at most {most}")
    assert all(found[name] <= most for name, most in AT_MOST.items()), found
