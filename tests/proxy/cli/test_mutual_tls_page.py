"""docs/mutual-tls.md: what it tells to type works, in that order; only the ports are others."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.needs import need
from tests.proxy.frontend.upstreams import Upstream

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "mutual-tls.md"
SECONDS = 60


def blocks() -> list[str]:
    """The indented ones."""
    found = re.findall(r"(?:^ {4}.*\n)+", PAGE.read_text(), re.MULTILINE)
    return [re.sub(r"^ {4}", "", each, flags=re.MULTILINE) for each in found]


@dataclass
class Shell:
    """Types one line after another, in the folder `mtls` as soon as it is there."""

    home: Path

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        folder = self.home / "mtls"
        return subprocess.run(
            ["/bin/bash", "-c", f"umask 077\n{line}"],
            capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL,
            cwd=folder if folder.exists() else self.home,
            env={
                "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT / "src"),
                "XDG_STATE_HOME": str(self.home / "xdg"),
            },
        )  # fmt: skip

    def out(self, line: str) -> str:
        result = self.type(line)
        assert result.returncode == 0, (line, result)
        return result.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    need("openssl")
    need("curl")
    kssl = tmp_path / "bin" / "kssl"
    kssl.parent.mkdir()
    kssl.write_text(f'#!/bin/sh\nexec {sys.executable} -m kssl.proxy "$@"\n')
    kssl.chmod(0o755)
    shell = Shell(tmp_path)
    yield shell
    shell.type("kssl stop")


def test_every_command_of_the_page(shell: Shell, app: Upstream) -> None:
    make, toml, before, says, try_it, browser, lock_out, stop = blocks()
    for line in make.splitlines():
        shell.out(line)
    assert toml.startswith("[[site]]\n")
    assert len(toml.splitlines()) == 6
    assert toml.count('"8000"') == 1
    (shell.home / "mtls" / "kssl.toml").write_text(toml.replace('"8000"', f'"{app.port}"'))
    (shell.home / "mtls" / "kssl.toml").chmod(0o600)
    check, test = before.splitlines()
    assert "kssl.toml is fine" in shell.out(check)
    assert shell.out(test).startswith(says)

    start, alice, nobody = try_it.splitlines()
    shell.out(f"{start} --listen 127.0.0.1:0")
    (service,) = json.loads(shell.out("kssl status --json"))
    port = service["urls"][0].rpartition(":")[2]

    def typed(line: str) -> str:
        assert ":8443/" in line
        return shell.out(line.replace(":8443/", f":{port}/"))

    assert typed(alice) == "abc"
    for field in (b"X-Client-Cert-Verdict: ok", b"X-Client-Cert-San: email:alice@example.org"):
        assert b"\r\n" + field.lower() + b"\r\n" in app.received.lower()
    assert "403.7" in typed(nobody)
    shell.out(browser.strip())
    assert (shell.home / "mtls" / "alice.p12").stat().st_size > 0

    deny, restart, again = lock_out.splitlines()
    shell.out(deny)
    shell.out(restart)
    assert "403.12" in typed(again)
    refused = shell.type(test)
    assert refused.returncode == 1
    assert "the client gets 403.12" in " ".join(refused.stdout.split())
    shell.out(stop.strip())
