"""`kssl engines`, `kssl ca path`, `kssl demo`, and usage errors."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proxy.cli.conftest import Kssl
from tests.proxy.frontend.clients import Client
from tests.proxy.frontend.rig import wait_for


def test_engines(kssl: Kssl) -> None:
    result = kssl("engines")
    assert (result.returncode, result.stderr) == (0, "")
    assert {line.split()[0] for line in result.stdout.splitlines()} >= {"aead", "worker"}


def test_engines_as_json(kssl: Kssl) -> None:
    result = kssl("engines", "--json")
    engines = {entry["name"]: entry for entry in json.loads(result.stdout)}
    for name in ("aead", "worker"):
        assert set(engines[name]) == {"name", "available", "reason"}
        assert engines[name]["available"] is True


def test_ca_path(kssl: Kssl, tmp_path: Path) -> None:
    first, second, other = kssl("ca", "path"), kssl("ca", "path"), kssl("ca", "path", "--json")
    path = Path(first.stdout.rstrip("\n"))
    assert path == tmp_path / "xdg" / "kssl" / "ca.pem"
    assert path.read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert second.stdout == first.stdout
    assert json.loads(other.stdout) == {"ca": str(path)}
    elsewhere = kssl("ca", "path", "--state-dir", str(tmp_path / "elsewhere"))
    assert elsewhere.stdout == f"{tmp_path}/elsewhere/ca.pem\n"


@pytest.mark.parametrize(
    "arguments", [(), ("fly",), ("serve", "1", "--mode", "x"), ("ca",)], ids=str
)
def test_usage_errors(kssl: Kssl, arguments: tuple[str, ...]) -> None:
    result = kssl(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("usage: kssl")


def test_the_demo_app_needs_no_ca(kssl: Kssl, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch(0o600)
    result = kssl("demo", "--listen", "127.0.0.1:0", "--upstream-ca", str(ca))
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("kssl: --upstream-ca is for a TARGET with https://, not for http://127")


@pytest.mark.parametrize("command", ["serve", "check"])
def test_the_help_names_what_a_target_may_be(kssl: Kssl, command: str) -> None:
    told = " ".join(kssl(command, "--help").stdout.split())
    assert "PORT, HOST:PORT, http[s]://HOST[:PORT] or unix:/PATH" in told
    assert "--upstream-ca FILE PEM bundle" in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo(tmp_path: Path, number: int) -> None:
    ready = tmp_path / "ready.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "kssl.proxy", "demo", "--listen", "127.0.0.1:0", "--ready-file",
         str(ready), "--state-dir", str(tmp_path / "state")],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(lambda: ready.exists() or process.poll() is not None, "the ready file")
        told = json.loads(ready.read_text())
        context = ssl.create_default_context(cafile=told["ca"])
        with Client(int(told["url"].rpartition(":")[2]), context) as client:
            answer = client.ask()
            assert answer.status == 200
            assert b"<html" in answer.body
            assert client.ask(b"GET", b"/bytes/1000").status == 200
    finally:
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in stderr
    assert f"open {told['url']}/" in stderr
    for pid in told["worker_pids"]:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
