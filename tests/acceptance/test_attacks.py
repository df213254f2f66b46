"""`kssl bench --attacks` as a whole, shortly; each attack comes to its end."""

from __future__ import annotations

import json

import pytest

from kssl.bench.attacks.kinds import ATTACKS
from kssl.proxy.cli import main

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("mode", ["kernel", "user"])
def test_every_attack(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--modes", mode, "--peers", "", "--rounds", "1", "--seconds", "1", "--json", "-"]
    assert main(["bench", "--attacks", *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [one["attack"] for one in report["found"]] == [attack.name for attack in ATTACKS]
    assert all(one["attacked"] is not None for one in report["found"])
