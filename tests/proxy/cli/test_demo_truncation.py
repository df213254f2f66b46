"""`kssl demo truncation` as a command; the scenes have their own tests."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kssl.proxy.cli import main
from kssl.proxy.demo.truncation import run as demonstration
from kssl.proxy.demo.truncation.run import Result
from tests.proxy.cli.conftest import Kssl
from tests.proxy.demo.truncation.sample import result, row


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Which modes were played; what comes out is the sample."""
    seen: list[tuple[str, ...]] = []

    def played(modes: tuple[str, ...]) -> Result:
        seen.append(tuple(modes))
        return result()

    monkeypatch.setattr(demonstration, "run", played)
    return seen


def test_text(asked: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "truncation"]) == 0
    shown = capsys.readouterr().out
    assert asked == [("user", "kernel")]
    assert shown.startswith("1. A reply")
    assert "FIN, forged" in shown
    assert shown.endswith("Everything came out as the protocol says.\n")


def test_json_and_svg(
    asked: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "attack.svg"
    assert main(["demo", "truncation", "--json", "--svg", str(file), "--mode", "user"]) == 0
    assert asked == [("user",)]
    assert set(json.loads(capsys.readouterr().out)) == {"format", "scenes", "clients", "verdict"}
    ElementTree.fromstring(file.read_text("utf-8"))  # noqa: S314


def test_what_differs_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = result()
    bad.rows.append(row("EnableSslCloseNotify=1", "python strict", "whole", "FOOLED"))
    monkeypatch.setattr(demonstration, "run", lambda modes: bad)
    assert main(["demo", "truncation"]) == 1
    assert "not as the protocol says: reply: kssl kernel mode" in capsys.readouterr().out


def test_a_file_that_cannot_be_written(
    asked: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["demo", "truncation", "--svg", str(tmp_path / "no" / "file.svg")]) == 2
    told = capsys.readouterr()
    assert "--svg: cannot write" in told.err
    assert told.out.startswith("1. A reply")  # what was seen is not lost


def test_usage(kssl: Kssl) -> None:
    assert kssl("demo", "truncation", "--mode", "both").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["truncation", "--upstream-ca", "ca.pem", "--set", "MaxConnections=2000"],
         "--set, --upstream-ca"),
        (["large-post", "--mode", "user", "--svg", "a.svg"], "--svg, --mode"),
        (["--svg", "a.svg"], "--svg"),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_refused(
    arguments: list[str],
    named: str,
    asked: list[tuple[str, ...]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo", *arguments]) == 2
    assert f" has no use for {named}; drop it" in capsys.readouterr().err
    assert asked == []
