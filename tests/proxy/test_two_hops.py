"""`kssl serve --mode user --set UserModeHops=2`, from a client to the demo app and back."""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import ssl
import subprocess
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from kssl.proxy.demo import forms
from kssl.proxy.demo.process import DemoProcess, start_demo_app
from kssl.proxy.demo.stream import pieces, stream_sha256
from kssl.proxy.service.spawn import ProxyProcess, spawn_proxy
from tests.proxy.frontend.clients import Client

SIZE = 10 * 2**20
TWO_HOPS = ("--set", "UserModeHops=2")

every_version = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS1.2", "TLS1.3"]
)


@pytest.fixture(scope="module")
def app() -> Iterator[DemoProcess]:
    with start_demo_app() as app:
        yield app


@pytest.fixture(scope="module")
def proxy(app: DemoProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    state = tmp_path_factory.mktemp("state")
    with spawn_proxy(str(app.port), "--mode", "user", *TWO_HOPS, state_dir=state) as proxy:
        yield proxy


def connect(proxy: ProxyProcess, version: ssl.TLSVersion | None = None) -> HTTPSConnection:
    context = ssl.create_default_context(cafile=proxy.ca)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return HTTPSConnection("localhost", proxy.port, timeout=60, context=context)


def tiny(proxy: ProxyProcess) -> bytes:
    connection = connect(proxy)
    try:
        connection.request("GET", "/tiny")
        return connection.getresponse().read()
    finally:
        connection.close()


@every_version
def test_ten_mebibytes_down(proxy: ProxyProcess, version: ssl.TLSVersion) -> None:
    connection = connect(proxy, version)
    connection.request("GET", f"/bytes/{SIZE}")
    body = connection.getresponse().read()
    assert isinstance(connection.sock, ssl.SSLSocket)
    assert connection.sock.version() == version.name.replace("_", ".")
    connection.close()
    assert len(body) == SIZE
    assert hashlib.sha256(body).hexdigest() == stream_sha256(SIZE)


@every_version
def test_ten_mebibytes_up(proxy: ProxyProcess, version: ssl.TLSVersion) -> None:
    told = upload(proxy, version, b"".join(pieces(SIZE)), "application/octet-stream")
    assert told == (SIZE, stream_sha256(SIZE))


@every_version
@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
def test_a_form_post(proxy: ProxyProcess, version: ssl.TLSVersion, kind: forms.Kind) -> None:
    """49,153 bytes: one more than the default of UploadReadAheadSize."""
    form = forms.body_of(kind, 49_153)
    body = b"".join(form.content())
    told = upload(proxy, version, body, form.content_type)
    assert told == (len(body), hashlib.sha256(body).hexdigest())


def upload(
    proxy: ProxyProcess, version: ssl.TLSVersion, body: bytes, content_type: str
) -> tuple[int, str]:
    """What arrived at the app: how many bytes, and their SHA-256."""
    connection = connect(proxy, version)
    connection.request("POST", "/upload", body, {"Content-Type": content_type})
    told = json.loads(connection.getresponse().read())
    connection.close()
    return told["bytes"], told["sha256"]


def test_the_processes(proxy: ProxyProcess) -> None:
    [worker], [filter_] = proxy.worker_pids, proxy.filter_pids
    assert proxy.pids == [proxy.pid, worker, filter_]
    assert b"kssl.fastpath.filter" in Path(f"/proc/{filter_}/cmdline").read_bytes()


def test_one_filter_for_each_worker(app: DemoProcess, tmp_path: Path) -> None:
    options = ("--mode", "user", "--workers", "2", *TWO_HOPS)
    with spawn_proxy(str(app.port), *options, state_dir=tmp_path) as proxy:
        assert len({*proxy.pids}) == 5
        assert [tiny(proxy) for _ in range(2)] == [b"Hello, kssl\n"] * 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in proxy.pids)


def test_nothing_outlives_a_killed_front_end(app: DemoProcess, tmp_path: Path) -> None:
    with spawn_proxy(str(app.port), "--mode", "user", *TWO_HOPS, state_dir=tmp_path) as proxy:
        assert tiny(proxy) == b"Hello, kssl\n"
        descriptors = [os.pidfd_open(pid) for pid in (*proxy.worker_pids, *proxy.filter_pids)]
        try:
            proxy.process.kill()
            for descriptor in descriptors:
                assert select.select([descriptor], [], [], 5)[0]
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def test_a_killed_filter(app: DemoProcess, tmp_path: Path) -> None:
    """Its connections are lost, and the next one waits for another."""
    options = ("--mode", "user", *TWO_HOPS)
    with spawn_proxy(
        str(app.port), *options, state_dir=tmp_path, stderr=subprocess.DEVNULL
    ) as proxy:
        context = ssl.create_default_context(cafile=proxy.ca)
        with Client(proxy.port, context) as client:
            assert client.ask(b"GET", b"/tiny").body == b"Hello, kssl\n"
            os.kill(proxy.filter_pids[0], signal.SIGKILL)
            assert client.read_to_end() == (b"", "cut")
        assert tiny(proxy) == b"Hello, kssl\n"


def test_kernel_mode_has_none_and_says_so(
    app: DemoProcess, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with spawn_proxy(str(app.port), *TWO_HOPS, state_dir=tmp_path) as proxy:
        assert proxy.filter_pids == []
        assert len(proxy.pids) == 2
        assert tiny(proxy) == b"Hello, kssl\n"
    [line] = [line for line in capfd.readouterr().err.splitlines() if "UserModeHops" in line]
    assert line.startswith("kssl: warning: UserModeHops=2 has no effect in kernel mode")
