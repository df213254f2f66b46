"""100,000 inputs for the reader of .reg files: wrong ones are refused, never with a traceback."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from kssl.config.errors import ConfigError
from kssl.config.reg.parse import parse_reg
from tests.acceptance.conftest import Figure
from tests.config.reg.support import anything

INPUTS = 100_000


@pytest.mark.acceptance
def test_nothing_but_config_errors(figure: Figure) -> None:
    outcomes = {"read": 0, "refused": 0}

    @settings(
        max_examples=INPUTS,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(anything)
    def fuzz(data: bytes) -> None:
        try:
            parse_reg(data)
        except ConfigError:
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1

    start = time.monotonic()
    fuzz()
    seconds = time.monotonic() - start
    figure(f"{outcomes['read']} read, {outcomes['refused']} refused in {seconds:.0f} s")
    assert min(outcomes.values()) > INPUTS // 100
    assert sum(outcomes.values()) > INPUTS * 0.9  # hypothesis may run out of short ones
