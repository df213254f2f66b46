"""`kssl restart` of a service that runs in a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kssl.config.running import all_services, running_services
from kssl.fastpath.ipc.hardening import interpreter
from tests.proxy.cli.conftest import Kssl
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import Upstream


class Terminal:
    """A pseudo terminal with `kssl serve` in its foreground."""

    def __init__(self, state: Path, *arguments: str) -> None:
        self.ours, theirs = os.openpty()
        self.process = subprocess.Popen(
            [*interpreter(), "-m", "kssl.proxy", "serve", *arguments, "--state-dir", str(state)],
            preexec_fn=lambda: os.login_tty(theirs),
            pass_fds=[theirs],
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        """Until nobody has the terminal any more (EIO)."""
        try:
            while os.read(self.ours, 65536):
                pass
        except OSError:
            pass

    def close(self) -> None:
        self.process.wait(60)
        self._reader.join(60)
        os.close(self.ours)


@pytest.fixture
def terminal(app: Upstream, tmp_path: Path) -> Iterator[Terminal]:
    started = Terminal(tmp_path, str(app.port), "--listen", "127.0.0.1:0")
    try:
        wait_for(lambda: running_services(tmp_path), "the service")
        yield started
    finally:
        for service in all_services(tmp_path):
            os.kill(service.pid, signal.SIGKILL)
        started.close()


def ignores_ctrl_c(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (mask,) = (line.split()[1] for line in lines if line.startswith("SigIgn:"))
    return bool(int(mask, 16) & 1 << (signal.SIGINT - 1))


@pytest.mark.parametrize("how", ["ctrl-c", "stop", "signal"])
def test_it_stays_until_its_successor_ends(
    how: str, terminal: Terminal, kssl: Kssl, tmp_path: Path
) -> None:
    where = ("--state-dir", str(tmp_path))
    successor = json.loads(kssl("restart", *where, "--json").stdout)["pid"]
    wait_for(lambda: [each.pid for each in all_services(tmp_path)] == [successor], "it is drained")
    wait_for(lambda: ignores_ctrl_c(terminal.process.pid), "it only waits")
    assert terminal.process.poll() is None
    assert os.tcgetpgrp(terminal.ours) == os.getpgid(successor)
    if how == "ctrl-c":
        os.write(terminal.ours, b"\x03")
    elif how == "stop":
        assert kssl("stop", *where).returncode == 0
    else:
        terminal.process.terminate()
    assert terminal.process.wait(60) == 0
    assert all_services(tmp_path) == []
