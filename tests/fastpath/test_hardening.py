"""What other processes can learn from a running proxy: from core files, the environment, files."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from proxy.spawn import ProxyProcess, spawn_proxy

SECRETIVE = ("SSLKEYLOGFILE", "OPENSSL_CONF", "PASSWORD")


@pytest.fixture(scope="module", params=["kernel", "user"])
def proxy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProxyProcess]:
    """With an environment that a worker should not see."""
    folder = tmp_path_factory.mktemp("hardening")
    patch = pytest.MonkeyPatch()
    for name in SECRETIVE:
        patch.setenv(name, str(folder / name))
    try:
        with spawn_proxy("9", "--mode", request.param, state_dir=folder / "state") as proxy:
            patch.undo()  # this process must not write the file that it looks for
            yield proxy
    finally:
        patch.undo()


def of(proxy: ProxyProcess, name: str) -> list[str]:
    """The content of /proc/PID/``name`` for the front end and the worker."""
    return [Path(f"/proc/{pid}/{name}").read_text() for pid in proxy.pids]


def needs_root(path: Path) -> None:
    """Whether others may look is what `protect_memory` decides; this test wants to look."""
    if not os.access(path, os.R_OK):
        pytest.skip("only root can look into the worker")


def test_no_core_files(proxy: ProxyProcess) -> None:
    assert len(proxy.pids) == 2
    for limits in of(proxy, "limits"):
        [line] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert line.split()[4:6] == ["0", "0"]


def test_nobody_of_the_same_user_can_attach(proxy: ProxyProcess) -> None:
    """A process that is not dumpable belongs to root in /proc (proc_pid(5)). To a test that is
    root itself this looks no different from any other process."""
    for pid in proxy.pids:
        assert Path(f"/proc/{pid}/mem").stat().st_uid == 0


def test_the_workers_environment(proxy: ProxyProcess) -> None:
    [pid] = proxy.worker_pids
    path = Path(f"/proc/{pid}/environ")
    needs_root(path)
    names = {entry.partition("=")[0] for entry in path.read_text().split("\0")}
    assert not names & {*SECRETIVE, "LD_PRELOAD", "PATH", "PYTEST_CURRENT_TEST"}


def test_the_workers_descriptors(proxy: ProxyProcess) -> None:
    """Standard streams and the link; none of the front end's sockets, files or event polls."""
    [pid] = proxy.worker_pids
    folder = Path(f"/proc/{pid}/fd")
    needs_root(folder)
    others = {int(link.name): link for link in folder.iterdir() if int(link.name) > 2}
    assert len(others) == 1
    [link] = others.values()
    assert stat.S_ISSOCK(link.stat().st_mode)
    assert os.readlink(folder / "0") == os.devnull


def test_sslkeylogfile_writes_nothing(proxy: ProxyProcess) -> None:
    context = ssl.create_default_context(cafile=proxy.ca)
    connection = HTTPSConnection("localhost", proxy.port, context=context)
    connection.request("GET", "/")
    assert connection.getresponse().status == 502
    connection.close()
    assert proxy.ca is not None
    folder = Path(proxy.ca).parent.parent
    assert not (folder / "SSLKEYLOGFILE").exists()
