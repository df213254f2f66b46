"""The command as a whole, with the shortest rounds, and what it says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kssl.bench import nginx, run
from kssl.bench.measure.rounds import Bench
from kssl.bench.subjects import PEERS
from kssl.proxy.cli import main
from tests.bench.report.schema import check
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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hops", "--modes", "kernel"], "--hops is about user mode"),
        (["--json", "/nowhere/at/all.json"], "there is no folder /nowhere/at"),
    ],
)
def test_usage(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"), [("{", "cannot read"), ("[]", "is no report"), ('{"schema": 1}', "is no")]
)
def test_what_is_no_report(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    file.write_text(content)
    assert main(["bench", "--from", str(file)]) == 2
    assert said in capsys.readouterr().err
    assert main(["bench", "--from", str(tmp_path / "none.json")]) == 2


def test_nothing_to_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--modes", "", "--peers", ""]) == 1
    assert "nothing to measure" in capsys.readouterr().err


def test_configurations_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--print-configs", "--peers", "nginx,haproxy"]) == 0
    printed = capsys.readouterr().out
    assert "access_log off" in printed
    assert "##### haproxy" in printed


@pytest.fixture
def half_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of load, where whole ones are asked for: it keeps every processor busy meanwhile."""
    monkeypatch.setattr(
        run,
        "Bench",
        lambda ca, folder, seconds, cores: Bench(ca, folder, seconds / 2, cores),
    )
    monkeypatch.setattr(run, "_COUNTED_SECONDS", 0.5)


@pytest.mark.usefixtures("half_seconds")
def test_a_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With nginx where there is one, with the tools that there are."""
    file = tmp_path / "bench.json"
    options = ["--rounds", "2", "--seconds", "1", "--scenarios", "tiny", "--modes", "kernel"]
    page = tmp_path / "bench.html"
    assert main(["bench", *options, "--json", str(file), "--html", str(page)]) == 0
    assert "kssl kernel" in page.read_text()
    printed = capsys.readouterr()
    assert "1 scenario x" in printed.err
    assert "tiny: 12 B, 32 connections" in printed.out
    assert "note: fewer than 5 rounds" in printed.out
    report = json.loads(file.read_text())
    check(report)
    measured = {one["subject"]: one for one in report["results"]}
    cpu = measured["kssl kernel"]["cpu_us"]
    assert set(cpu["by_process"]) == {"front", "worker"}
    assert len(cpu["rounds"]) == 2
    assert ("nginx" in measured) == (nginx.find() is not None)
    assert report["subjects"][0]["cipher"] == "TLS_AES_256_GCM_SHA384"

    picture = tmp_path / "bench.svg"
    assert main(["bench", "--from", str(file), "--svg", str(picture)]) == 0
    assert capsys.readouterr().out == printed.out
    assert "kssl kernel" in picture.read_text()


@pytest.mark.usefixtures("half_seconds")
def test_without_any_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Our own client, the demo app behind, no peer: what is always there."""
    monkeypatch.setattr("kssl.bench.nginx.find", lambda: None)
    monkeypatch.setattr("kssl.bench.load.wrk.find", lambda: None)
    monkeypatch.setattr("kssl.bench.load.h2load.find", lambda: None)
    file = tmp_path / "bench.json"
    options = ["--rounds", "1", "--seconds", "1", "--modes", "kernel", "--peers", ""]
    options += ["--scenarios", "resumed,websocket"]
    assert main(["bench", *options, "--json", str(file)]) == 0
    assert "without wrk: not installed" in capsys.readouterr().out
    report = json.loads(file.read_text())
    check(report)
    assert [one["name"] for one in report["loads"]] == ["kssl's own client"]
    assert report["backend"]["kind"] == "demo app"
    measured = [one["scenario"] for one in report["results"]]
    assert measured == ["resumed", "websocket"]


def test_nginx_is_ended(tmp_path: Path) -> None:
    program = nginx.find() or need("nginx", "nginx-light")
    with nginx.backend(program, tmp_path / "nginx", tmp_path) as process:
        pids = [process.master, *process.workers]
        assert len(pids) == 2
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert "access_log off" in process.config
