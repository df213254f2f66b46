"""`kssl start`, `stop`, `restart`: a service in the background, and its successor."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kssl.config.running import running_services
from tests.proxy.cli.conftest import Kssl
from tests.proxy.frontend.clients import Client
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import Upstream


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder; whatever runs on it at the end is ended."""
    folder = tmp_path / "state"
    yield folder
    for service in running_services(folder):
        os.kill(service.pid, signal.SIGKILL)


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def ask(state: Path, port: int) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=state / "ca.pem")
    with Client(port, context) as client:
        answer = client.ask()
        return answer.status, answer.body


def ok(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result
    return result.stdout


def test_start_restart_stop(kssl: Kssl, state: Path, app: Upstream) -> None:
    where = ("--state-dir", str(state))
    told = json.loads(ok(kssl("start", str(app.port), "--listen", "127.0.0.1:0", *where, "--json")))
    (url,) = told["urls"]
    assert ask(state, port_of(url)) == (200, b"abc")
    (record,) = running_services(state)
    assert (record.pid, record.urls) == (told["pid"], told["urls"])

    text = ok(kssl("restart", *where))
    assert f"in the place of {told['pid']}" in text
    (successor,) = running_services(state)
    assert successor.pid != told["pid"]
    # The same socket: no port could be found again otherwise.
    assert successor.urls == [url]
    assert successor.predecessor == told["pid"]
    assert ask(state, port_of(url)) == (200, b"abc")
    wait_for(lambda: not record.runs(), "the end of the old one")

    assert f"stopped: {url} (process {successor.pid})" in ok(kssl("stop", *where))
    assert not successor.runs()
    assert running_services(state) == []
    log = (state / "LogFiles" / "kssl.log").read_text()
    assert log.count('"GET / HTTP/1.1" 200') == 2
    assert (state / "LogFiles" / "kssl.log").stat().st_mode & 0o777 == 0o600


def test_start_without_arguments_is_the_last_start(kssl: Kssl, state: Path, app: Upstream) -> None:
    where = ("--state-dir", str(state))
    ok(kssl("start", str(app.port), "--listen", "127.0.0.1:0", "--mode", "user", *where))
    again = kssl("start", *where)
    assert again.returncode == 1
    assert "runs already" in again.stderr
    ok(kssl("stop", *where))
    ok(kssl("start", *where))
    (record,) = running_services(state)
    assert record.mode == "user"
    assert ask(state, port_of(record.urls[0])) == (200, b"abc")


def test_what_is_wrong_is_said_and_nothing_runs(kssl: Kssl, state: Path) -> None:
    config = state.parent / "kssl.toml"
    config.write_text("[[site]]\nhostnames = 1\nupstreams = []\n")
    result = kssl("start", "--config", str(config), "--state-dir", str(state))
    assert result.returncode == 2
    assert "kssl.toml:2: site[1].hostnames" in result.stderr
    assert "kssl.toml:3: site[1].upstreams" in result.stderr
    assert "Traceback" not in result.stderr
    assert running_services(state) == []


def test_a_port_that_is_taken(kssl: Kssl, state: Path, app: Upstream) -> None:
    result = kssl("start", "9", "--listen", f"127.0.0.1:{app.port}", "--state-dir", str(state))
    assert result.returncode == 2
    assert "the port is in use" in result.stderr


def test_a_successor_that_fails_changes_nothing(kssl: Kssl, state: Path, app: Upstream) -> None:
    where = ("--state-dir", str(state))
    config = state.parent / "kssl.toml"
    good = f'[[site]]\nhostnames = ["localhost"]\nupstreams = ["{app.port}"]\n'
    config.write_text(good)
    started = json.loads(
        ok(kssl("start", "--config", str(config), "--listen", "127.0.0.1:0", *where, "--json"))
    )
    port = port_of(started["urls"][0])
    config.write_text(good + "colour = 1\n")
    for _ in range(2):  # the same words a second time are news too
        result = kssl("restart", *where)
        assert result.returncode == 2
        assert "not restarted, the old one goes on" in result.stderr
        assert "colour" in result.stderr
    assert [each.pid for each in running_services(state)] == [started["pid"]]
    assert ask(state, port) == (200, b"abc")
    config.write_text(good)
    ok(kssl("restart", *where))
    assert ask(state, port) == (200, b"abc")


def test_several_services_must_be_named(kssl: Kssl, state: Path, app: Upstream) -> None:
    where = ("--state-dir", str(state))
    pids = [
        json.loads(ok(kssl("start", str(app.port), "--listen", "127.0.0.1:0", *where, "--json")))[
            "pid"
        ]
        for _ in range(2)
    ]
    for command in ("stop", "restart"):
        result = kssl(command, *where)
        assert result.returncode == 2
        assert all(f"--pid {pid}" in result.stderr for pid in pids)
    ok(kssl("stop", "--pid", str(pids[0]), *where))
    assert [each.pid for each in running_services(state)] == [pids[1]]


@pytest.mark.parametrize("command", ["stop", "restart"])
@pytest.mark.parametrize("more", [(), ("--pid", "1")])
def test_nothing_runs(kssl: Kssl, state: Path, command: str, more: tuple[str, ...]) -> None:
    result = kssl(command, "--state-dir", str(state), *more)
    assert result.returncode == 1
    assert "runs on" in result.stderr
    assert "Traceback" not in result.stderr


def test_sighup_with_a_wrong_file_keeps_everything(kssl: Kssl, state: Path, app: Upstream) -> None:
    where = ("--state-dir", str(state))
    config = state.parent / "kssl.toml"
    good = f'[[site]]\nhostnames = ["localhost"]\nupstreams = ["{app.port}"]\n'
    config.write_text(good)
    ok(kssl("start", "--config", str(config), "--listen", "127.0.0.1:0", *where))
    (service,) = running_services(state)
    config.write_text("nonsense")
    os.kill(service.pid, signal.SIGHUP)
    wait_for(lambda: running_services(state)[0].failure, "the failure in the record")
    assert ask(state, port_of(service.urls[0])) == (200, b"abc")
    log = state / "LogFiles" / "kssl.log"
    wait_for(lambda: "no reload; everything goes on" in log.read_text(), "the line in the log")
    config.write_text(good + "hsts = 60\n")
    os.kill(service.pid, signal.SIGHUP)
    wait_for(lambda: not running_services(state)[0].failure, "a reload that works")
    context = ssl.create_default_context(cafile=state / "ca.pem")
    with Client(port_of(service.urls[0]), context) as client:
        assert client.ask().get(b"strict-transport-security") == b"max-age=60"
