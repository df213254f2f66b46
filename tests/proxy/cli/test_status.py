"""`kssl status` of real services: what it says, also when something is wrong with them."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kssl.config.parameters import Parameters
from kssl.config.running import running_services
from kssl.proxy.cli import main
from kssl.proxy.cli import status as module
from kssl.proxy.service.admin import admin_path
from kssl.proxy.service.ask import NoAnswerError, ask
from kssl.proxy.service.spawn import ProxyProcess, spawn_proxy
from tests.fastpath.verifier.rules.pki import self_signed
from tests.processes import halt
from tests.proxy.cli.conftest import Kssl
from tests.proxy.frontend.clients import Client
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import Upstream


@contextmanager
def service(state: Path, *arguments: str) -> Iterator[ProxyProcess]:
    """`kssl serve`, once other commands find it."""
    with spawn_proxy(*arguments, state_dir=state) as proxy:
        wait_for(lambda: proxy.pid in [each.pid for each in running_services(state)], "record")
        yield proxy


def status(kssl: Kssl, state: Path, *more: str) -> list[dict[str, Any]]:
    result = kssl("status", "--state-dir", str(state), "--json", *more)
    assert (result.returncode, result.stderr) == (0, ""), result
    told: list[dict[str, Any]] = json.loads(result.stdout)
    return told


def client(proxy: ProxyProcess) -> Client:
    return Client(proxy.port, ssl.create_default_context(cafile=proxy.ca))


@pytest.mark.parametrize("mode", ["kernel", "user"])
def test_a_service_at_work(kssl: Kssl, app: Upstream, tmp_path: Path, mode: str) -> None:
    with service(tmp_path, str(app.port), "--mode", mode, "--workers", "2") as proxy:
        with client(proxy) as first, client(proxy):
            assert first.ask().body == b"abc"
            (told,) = status(kssl, tmp_path)
        assert (told["pid"], told["mode"], told["engine"]) == (proxy.pid, mode, proxy.engine)
        assert told["urls"] == [proxy.url]
        assert told["connections"] == {"open": 2, "closing": 0}
        assert [
            (each["pid"], each["restarts"], each["connections"], each["handshakes"])
            for each in told["workers"]
        ] == [(pid, 0, 1, 0) for pid in proxy.worker_pids]
        (upstream,) = told["upstreams"]
        assert (upstream["target"], upstream["idle"]) == (f"http://localhost:{app.port}", 1)
        assert upstream["uncertain"] == 0
        assert upstream["addresses"] == ["127.0.0.1", "::1"]
        assert set(told["closes"]) == {
            "client",
            "upstream",
            "unclean_close",
            "upstream_truncated",
            "without_request",
        }
        values = Parameters(enable_kernel_ssl=int(mode == "kernel"))
        assert told["parameters"] == values.by_name
        tasks = told["tasks"]
        wait_for(lambda: status(kssl, tmp_path)[0]["connections"]["open"] == 0, "their end")
        assert status(kssl, tmp_path)[0]["tasks"] <= tasks


def test_for_people(kssl: Kssl, app: Upstream, tmp_path: Path) -> None:
    with service(tmp_path, str(app.port)) as proxy:
        result = kssl("status", "--state-dir", str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{proxy.url} (process {proxy.pid}, kernel mode)\n")
    assert "\n  connections       0 open, 0 closing\n" in result.stdout
    assert f"process {proxy.worker_pids[0]}: 0 connections" in result.stdout


@pytest.mark.parametrize("more", [(), ("--json",), ("--pid", "1")])
def test_none_runs(kssl: Kssl, tmp_path: Path, more: tuple[str, ...]) -> None:
    for state in (tmp_path, tmp_path / "missing"):
        result = kssl("status", "--state-dir", str(state), *more)
        assert (result.returncode, result.stdout) == (1, "")
        which = " with process id 1" if "--pid" in more else ""
        told = (
            ""
            if state.exists()
            else ", which does not exist (one that runs without it is not found)"
        )
        assert result.stderr == (
            f"kssl: no service{which} runs on {state}{told}; start one: kssl start\n"
        )


def test_several_and_one_of_them(kssl: Kssl, app: Upstream, tmp_path: Path) -> None:
    with service(tmp_path, str(app.port)) as one, service(tmp_path, str(app.port)) as two:
        assert {each["pid"] for each in status(kssl, tmp_path)} == {one.pid, two.pid}
        assert [each["pid"] for each in status(kssl, tmp_path, "--pid", str(two.pid))] == [two.pid]
        text = kssl("status", "--state-dir", str(tmp_path)).stdout
        assert text.count("\n\nhttps://") == 1
    assert kssl("status", "--state-dir", str(tmp_path)).returncode == 1


def test_many_ask_at_once(app: Upstream, tmp_path: Path) -> None:
    """Twenty at a time, while eight that do not read hold on to what they can."""
    with service(tmp_path, str(app.port)) as proxy, ExitStack() as stack:
        (record,) = running_services(tmp_path)
        for _ in range(8):
            idle = stack.enter_context(socket.socket(socket.AF_UNIX))
            idle.connect(str(admin_path(tmp_path, proxy.pid)))
        with ThreadPoolExecutor(20) as pool:
            told = list(pool.map(lambda _: ask(tmp_path, record), range(200)))
        assert [each["pid"] for each in told] == [proxy.pid] * 200
        (worker,) = told[-1]["workers"]
        assert (worker["pid"], worker["restarts"]) == (proxy.worker_pids[0], 0)
        with client(proxy) as one:
            assert one.ask().body == b"abc"


def test_a_killed_worker(kssl: Kssl, app: Upstream, tmp_path: Path) -> None:
    with service(tmp_path, str(app.port)) as proxy:
        os.kill(proxy.worker_pids[0], signal.SIGKILL)
        wait_for(lambda: status(kssl, tmp_path)[0]["workers"][0]["restarts"], "another worker")
        (worker,) = status(kssl, tmp_path)[0]["workers"]
        assert worker["pid"] != proxy.worker_pids[0]
        assert worker == {
            "pid": worker["pid"], "restarts": 1, "problems": [], "connections": 0, "handshakes": 0,
        }  # fmt: skip


def test_a_worker_that_stands_still(kssl: Kssl, app: Upstream, tmp_path: Path) -> None:
    """The rest is told all the same."""
    with service(tmp_path, str(app.port)) as proxy:
        (worker,) = proxy.worker_pids
        halt(worker)
        try:
            (told,) = status(kssl, tmp_path)
        finally:
            os.kill(worker, signal.SIGCONT)
        assert told["workers"] == [
            {"pid": worker, "restarts": 0, "problems": [], "connections": None, "handshakes": None}
        ]


def asking(folder: Path, app: Upstream, flags: str) -> tuple[str, str]:
    """Options for a configuration with one site."""
    write(folder / "clients.pem", self_signed("CN=Root").pem)
    text = f'[[site]]\nbindings = ["https://127.0.0.1:0"]\nupstreams = ["{app.port}"]\n{flags}'
    write(folder / "kssl.toml", text.encode())
    return "--config", str(folder / "kssl.toml")


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o600)


NEGOTIATE = 'sslFlags = ["Ssl", "SslNegotiateCert"]\nclient_ca = "clients.pem"\n'


def test_a_verifier(kssl: Kssl, app: Upstream, tmp_path: Path) -> None:
    """One that dies is replaced; one that nobody needs any more goes."""
    state = tmp_path / "state"
    options = asking(tmp_path, app, NEGOTIATE)
    with spawn_proxy(None, *options, state_dir=state, listen=None) as proxy:
        wait_for(lambda: running_services(state), "its record")

        def verifier() -> dict[str, Any] | None:
            told: dict[str, Any] | None = status(kssl, state)[0]["verifier"]
            return told

        first = verifier()
        assert first is not None
        assert first == {"pid": first["pid"], "restarts": 0, "problems": [], "questions": 0}
        text = kssl("status", "--state-dir", str(state)).stdout
        words = f"  verifier          process {first['pid']}: 0 questions; restarted 0 times\n"
        assert words in text
        os.kill(first["pid"], signal.SIGKILL)
        wait_for(lambda: (verifier() or {}).get("restarts"), "another verifier")
        second = verifier()
        assert second is not None
        assert second == {"pid": second["pid"], "restarts": 1, "problems": [], "questions": 0}
        assert second["pid"] != first["pid"]
        asking(tmp_path, app, "")
        proxy.process.send_signal(signal.SIGHUP)
        wait_for(lambda: verifier() is None, "no verifier")


def test_a_verifier_that_stands_still(kssl: Kssl, app: Upstream, tmp_path: Path) -> None:
    state = tmp_path / "state"
    options = asking(tmp_path, app, NEGOTIATE)
    with spawn_proxy(None, *options, state_dir=state, listen=None):
        wait_for(lambda: running_services(state), "its record")
        pid = status(kssl, state)[0]["verifier"]["pid"]
        halt(pid)
        try:
            (told,) = status(kssl, state)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert told["verifier"] == {"pid": pid, "restarts": 0, "problems": [], "questions": None}
        assert told["workers"][0]["connections"] == 0


# -- the life of the socket --------------------------------------------------------------------


@pytest.mark.parametrize("parts", [0, 3], ids=["short", "long"])
def test_the_socket_is_private_and_goes_with_the_service(
    kssl: Kssl, app: Upstream, tmp_path: Path, parts: int
) -> None:
    state = tmp_path.joinpath(*["x" * 100] * parts)
    with service(state, str(app.port)) as proxy:
        path = admin_path(state, proxy.pid)
        assert (len(os.fsencode(path)) > 107) == bool(parts)
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert [each["pid"] for each in status(kssl, state)] == [proxy.pid]
    assert [each.name for each in path.parent.iterdir()] == ["last-start"]


def test_what_a_killed_service_leaves_goes(kssl: Kssl, app: Upstream, tmp_path: Path) -> None:
    with service(tmp_path, str(app.port)) as proxy:
        proxy.process.kill()
        proxy.process.wait()
        left = admin_path(tmp_path, proxy.pid)
        assert left.exists()
        assert kssl("status", "--state-dir", str(tmp_path)).returncode == 1
        with service(tmp_path, str(app.port)) as next_one:
            assert not left.exists()
            assert [each["pid"] for each in status(kssl, tmp_path)] == [next_one.pid]


def test_reload(kssl: Kssl, app: Upstream, tmp_path: Path) -> None:
    config = tmp_path / "kssl.toml"

    def write(more: str) -> None:
        site = f'[[site]]\nbindings = ["https://127.0.0.1:0"]\nupstreams = ["{app.port}"{more}]\n'
        limit = f"[parameters]\nIdleConnectionTimeout = {60 if more else 90}\n"
        config.write_text(limit + '[logs]\naccess = "off"\n' + site)
        config.chmod(0o600)

    write("")
    arguments = ("--config", str(config))
    with spawn_proxy(None, *arguments, state_dir=tmp_path / "state", listen=None) as proxy:
        state = tmp_path / "state"
        wait_for(lambda: running_services(state), "its record")
        (before,) = status(kssl, state)
        assert before["parameters"]["IdleConnectionTimeout"] == 90
        assert len(before["upstreams"]) == 1
        write(', "9"')
        proxy.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(status(kssl, state)[0]["upstreams"]) == 2, "the reload")
        (after,) = status(kssl, state)
        assert after["parameters"]["IdleConnectionTimeout"] == 60
        for name in ("pid", "started", "urls", "workers", "closes"):
            assert after[name] == before[name]


def test_a_successor_has_its_own(kssl: Kssl, app: Upstream, tmp_path: Path) -> None:
    where = ("--state-dir", str(tmp_path))
    with service(tmp_path, str(app.port)) as proxy:
        with client(proxy) as waiting:
            waiting.ask()
            try:
                told = json.loads(kssl("restart", *where, "--json").stdout)
                states = {each["pid"]: each["state"] for each in status(kssl, tmp_path)}
                assert states == {proxy.pid: "draining", told["pid"]: "serving"}
                waiting.ask()
            finally:
                assert kssl("stop", *where).returncode == 0
        wait_for(lambda: not list((tmp_path / "run").glob("*.sock")), "no socket is left")


# -- services that do not answer ---------------------------------------------------------------


def test_without_a_socket(kssl: Kssl, app: Upstream, tmp_path: Path) -> None:
    with service(tmp_path, str(app.port)) as proxy:
        path = admin_path(tmp_path, proxy.pid)
        path.unlink()
        result = kssl("status", "--state-dir", str(tmp_path), "--json")
        (told,) = json.loads(result.stdout)
        assert result.returncode == 1
        assert (told["pid"], told["urls"]) == (proxy.pid, [proxy.url])
        assert f"has no admin socket {path}" in told["error"]
        text = kssl("status", "--state-dir", str(tmp_path))
        assert text.returncode == 1
        assert "has no admin socket" in text.stdout
        assert "Traceback" not in text.stderr


def test_one_that_ends_while_it_is_asked(
    app: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with service(tmp_path, str(app.port)) as proxy:

        def ends(state: Path, *_: object) -> dict[str, Any]:
            proxy.process.terminate()
            proxy.process.wait(60)
            raise NoAnswerError("too late")

        monkeypatch.setattr(module, "ask", ends)
        assert main(["status", "--state-dir", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"no service runs on {tmp_path}" in captured.err


def test_one_of_another_version(
    app: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with service(tmp_path, str(app.port)):
        monkeypatch.setattr(module, "ask", lambda *_: {"pid": 1, "urls": ["https://a\x1b[2J"]})
        assert main(["status", "--state-dir", str(tmp_path)]) == 0
        assert "of another version" in capsys.readouterr().out
        known = {"pid": 1, "mode": "user", "urls": ["https://a\x1b[2J"], "error": "no"}
        monkeypatch.setattr(module, "ask", lambda *_: known)
        assert main(["status", "--state-dir", str(tmp_path)]) == 1
        assert capsys.readouterr().out == "https://a\\x1b[2J (process 1, user mode)\n  no\n"
