"""`kssl start` without saying what to serve, however the state folder is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.proxy.cli.conftest import Kssl
from tests.proxy.frontend.upstreams import Upstream


@pytest.mark.parametrize("form", ["--state-dir={}", "--state-dir {}"])
def test_start_without_saying_what(kssl: Kssl, app: Upstream, tmp_path: Path, form: str) -> None:
    """However the folder is written: not a second one, and later what ran last."""
    where = form.format(tmp_path / "state").split()
    first = kssl("start", *where, str(app.port), "--listen", "127.0.0.1:0", "--json")
    assert first.returncode == 0, first.stderr
    try:
        pid = json.loads(first.stdout)["pid"]
        again = kssl("start", *where)
        assert again.returncode == 1
        assert f"runs already: https://localhost:{_port(first.stdout)} (process {pid})" in (
            again.stderr
        )
        restarted = kssl("restart", *where, "--json")
        assert json.loads(restarted.stdout)["pid"] != pid
        assert _port(restarted.stdout) == _port(first.stdout)
    finally:
        assert kssl("stop", *where).returncode == 0
    try:
        assert kssl("start", *where).returncode == 0
    finally:
        assert kssl("stop", *where).returncode == 0
    assert kssl("stop", *where).returncode == 1
    assert kssl("restart", *where).returncode == 1


def _port(answer: str) -> str:
    [url] = json.loads(answer)["urls"]
    return str(url).rpartition(":")[2]
