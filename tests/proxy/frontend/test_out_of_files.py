"""A service at its limit of open files, with an app that does not answer."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from kssl.fastpath.ipc.hardening import interpreter
from kssl.proxy.service.spawn import ProxyProcess, spawn_proxy
from tests.proxy.frontend.clients import Client, ClosedError, CutError
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import SECONDS, Rig, wait_for
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide, answer_all, response

FILES = 256


def hang(side: UpstreamSide) -> None:
    side.read_head()
    side.read_to_end()


@contextmanager
def few_files(upstream: Upstream, state: Path, stderr: Path) -> Iterator[ProxyProcess]:
    """A service that cannot raise its limit, root or not."""
    wrapper = ["prlimit", f"--nofile={FILES}:{FILES}"]
    if os.geteuid() == 0:
        wrapper = ["setpriv", "--bounding-set", "-sys_resource", *wrapper]
    missing = [name for name in ("prlimit", "setpriv") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed (util-linux)")
    with (
        stderr.open("wb") as file,
        spawn_proxy(str(upstream.port), state_dir=state, stderr=file, wrapper=wrapper) as process,
    ):
        yield process


def status(state: Path) -> dict[str, object]:
    command = [*interpreter(), "-m", "kssl.proxy", "status", "--json", "--state-dir", str(state)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=SECONDS)
    (told,) = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def test_a_request_without_a_descriptor_for_the_app_is_503(proxy: Rig, serve: Serve) -> None:
    """At once. An idle connection to an app makes room first."""
    serve(answer_all(response(b"abc")))
    with proxy.client() as client, proxy.client() as other:
        assert client.ask().body == b"abc"
        full = proxy.call(lambda: proxy.front.capacity.used_files)
        before = proxy.front.capacity.files
        change = replace(before, both=full)
        proxy.call(lambda: setattr(proxy.front.capacity, "files", change))
        try:
            assert proxy.call(proxy.front.make_room)
            assert [pool.idle for pool in proxy.front.pools.values()] == [0]
            change = replace(before, both=1)
            proxy.call(lambda: setattr(proxy.front.capacity, "files", change))
            answer = other.ask()
            assert answer.status == 503
            assert b"limit of open files" in answer.body
            assert [line["status"] for line in proxy.errors.of("QueueFull")] == [503]
        finally:
            proxy.call(lambda: setattr(proxy.front.capacity, "files", before))
        assert other.ask().body == b"abc"


def test_clients_are_refused_and_a_worker_is_restarted(tmp_path: Path) -> None:
    """Nobody hangs: whoever is taken waits for the app, everybody else is refused at once."""
    state, stderr = tmp_path / "state", tmp_path / "stderr"
    with (
        Upstream(hang) as upstream,
        few_files(upstream, state, stderr) as proxy,
        ExitStack() as all,
    ):
        context = ssl.create_default_context(cafile=proxy.ca)
        taken = 0
        for _ in range(FILES):
            try:
                client = all.enter_context(Client(proxy.port, context))
            except (OSError, ClosedError, CutError):
                break
            client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            taken += 1
            wait_for(lambda count=taken: upstream.accepted == count, "the app has it")  # type: ignore[misc]
        assert FILES // 4 < taken < FILES // 2
        for _ in range(50):  # all of them at once, and none waits
            refused = all.enter_context(socket.create_connection(("127.0.0.1", proxy.port)))
            refused.settimeout(SECONDS)
            with suppress(ConnectionResetError):
                assert refused.recv(1) == b""
        (before,) = proxy.worker_pids
        os.kill(before, signal.SIGKILL)

        def restarted() -> bool:
            workers = status(state)["workers"]
            assert isinstance(workers, list)
            return workers[0]["pid"] not in (None, before)

        wait_for(restarted, "another worker")
    said = stderr.read_text()
    assert f"the limit of open files ({FILES}) reached" in said
    assert "cannot accept" not in said
    assert "Too many open files" not in said
