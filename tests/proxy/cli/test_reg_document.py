"""The transcripts in docs/registry.md are what `kssl reg` prints."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from kssl.proxy.cli import main

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "registry.md"
_TRANSCRIPT = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^```reg\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HOME = "/home/me"  # stands for the test's folder


def test_transcripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for variable in list(os.environ):
        if variable.startswith("KSSL_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".local" / "state"))
    monkeypatch.chdir(tmp_path)
    text = DOCUMENT.read_text()
    (file,) = _FILE.findall(text)
    (tmp_path / "iis.reg").write_text(file)
    ran = 0
    for transcript in _TRANSCRIPT.findall(text):
        printed = []
        for line in re.findall(r"^\$ (.*)\n", transcript, re.MULTILINE):
            main(shlex.split(line)[1:])
            printed += [f"$ {line}\n", "".join(capfd.readouterr())]
            ran += 1
        assert "".join(printed).replace(str(tmp_path), _HOME).replace("\r", "") == transcript
    assert ran == 10
