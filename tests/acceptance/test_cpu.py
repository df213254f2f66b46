"""CPU time per request in kernel mode as a multiple of nginx's, measured in the same run."""

from __future__ import annotations

import io

import pytest

from kssl.bench import nginx, scenarios
from kssl.bench.outcome import Plan
from kssl.bench.progress import Progress
from kssl.bench.report.shape import to_report
from kssl.bench.report.text import to_text
from kssl.bench.run import run
from tests.acceptance.conftest import Figure

pytestmark = pytest.mark.acceptance

AT_MOST = {"tiny": 1.6, "10k": 1.4, "10m": 1.1}


def test_ratio_to_nginx(figure: Figure) -> None:
    if nginx.find() is None:
        pytest.skip("nginx is not installed")
    plan = Plan(scenarios=scenarios.choose(AT_MOST))
    outcome = run(plan, print, lambda seconds: Progress(seconds, io.StringIO()))
    report = to_report(outcome, "make acceptance")
    print(f"\n{to_text(report)}")
    found = {
        one["scenario"]: one["median"]
        for one in report["ratios"]
        if (one["above"], one["below"]) == ("kssl kernel", "nginx")
    }
    for name, most in AT_MOST.items():
        figure(f"{name}: kernel mode / nginx {found[name]:.2f}, at most {most}")
    assert all(found[name] <= most for name, most in AT_MOST.items()), found
