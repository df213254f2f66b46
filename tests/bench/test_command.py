"""The command as a whole, with the shortest rounds, and what it says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import nginx
from bench.subjects import PEERS
from proxy.cli import main
from tests.needs import need


def test_wrong_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--scenarios", "huge"]) == 1
    assert "no scenario 'huge'" in capsys.readouterr().err


def test_wrong_peer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--peers", "squid"]) == 1
    assert "no peer 'squid'" in capsys.readouterr().err


def test_wrong_mode(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--modes", "fast"]) == 2
    assert "user and kernel" in capsys.readouterr().err


def test_a_peer_that_is_missing_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nginx, "find", lambda: None)
    assert "not installed" in (PEERS["nginx"].missing() or "")


def test_one_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bench.json"
    options = ["--rounds", "1", "--seconds", "1", "--scenarios", "tiny", "--modes", "kernel"]
    assert main(["bench", *options, "--json", str(file)]) == 0
    assert "kssl kernel" in capsys.readouterr().out
    told = json.loads(file.read_text())
    ours = told["rounds"][0]
    assert ours["requests"] > 0
    assert set(ours["cpu"]) == {"front", "worker"}
    assert told["subjects"][0]["cipher"] == "TLS_AES_256_GCM_SHA384"


def test_nginx_is_ended(tmp_path: Path) -> None:
    program = nginx.find() or need("nginx", "nginx-light")
    with nginx.backend(program, tmp_path / "nginx", tmp_path) as process:
        pids = [process.master, *process.workers]
        assert len(pids) == 2
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert "access_log off" in process.config
