"""What other processes can learn from a running proxy: from core files, the environment, files."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from kssl.fastpath.ipc.hardening import interpreter
from kssl.proxy.service.spawn import ProxyProcess, spawn_proxy

ROOT = Path(__file__).resolve().parents[3]

SECRETIVE = ("SSLKEYLOGFILE", "OPENSSL_CONF", "PASSWORD")


WAYS = {
    "kernel": ("--mode", "kernel"),
    "user": ("--mode", "user"),
    "user, 2 hops": ("--mode", "user", "--set", "UserModeHops=2"),
}


@pytest.fixture(scope="module", params=WAYS)
def proxy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProxyProcess]:
    """With an environment that no process behind the front end should see."""
    folder = tmp_path_factory.mktemp("hardening")
    patch = pytest.MonkeyPatch()
    for name in SECRETIVE:
        patch.setenv(name, str(folder / name))
    try:
        with spawn_proxy("9", *WAYS[request.param], state_dir=folder / "state") as proxy:
            patch.undo()  # this process must not write the file that it looks for
            assert len(proxy.pids) == (3 if "2 hops" in request.param else 2)
            yield proxy
    finally:
        patch.undo()


def of(proxy: ProxyProcess, name: str) -> list[str]:
    """The content of /proc/PID/``name`` of each process."""
    return [Path(f"/proc/{pid}/{name}").read_text() for pid in proxy.pids]


def needs_root(path: Path) -> None:
    """Whether others may look is what `protect_memory` decides; this test wants to look."""
    if not os.access(path, os.R_OK):
        pytest.skip("only root can look into the worker")


def test_no_core_files(proxy: ProxyProcess) -> None:
    for limits in of(proxy, "limits"):
        [line] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert line.split()[4:6] == ["0", "0"]


def test_nobody_of_the_same_user_can_attach(proxy: ProxyProcess) -> None:
    """A process that is not dumpable belongs to root in /proc (proc_pid(5)). To a test that is
    root itself this looks no different from any other process."""
    for pid in proxy.pids:
        assert Path(f"/proc/{pid}/mem").stat().st_uid == 0


def test_the_helpers_environment(proxy: ProxyProcess) -> None:
    for pid in (*proxy.worker_pids, *proxy.filter_pids):
        path = Path(f"/proc/{pid}/environ")
        needs_root(path)
        values = dict(entry.partition("=")[::2] for entry in path.read_text().split("\0"))
        assert Path(values.pop("OPENSSL_CONF")).resolve() == ROOT / "fastpath/tls/openssl.cnf"
        assert not values.keys() & {*SECRETIVE, "LD_PRELOAD", "PATH", "PYTEST_CURRENT_TEST"}


def test_the_helpers_descriptors(proxy: ProxyProcess) -> None:
    """Standard streams and the links; none of the front end's sockets, files or event polls."""
    [worker] = proxy.worker_pids
    for pid, links in ((worker, 1), *((pid, 2) for pid in proxy.filter_pids)):
        folder = Path(f"/proc/{pid}/fd")
        needs_root(folder)
        others = [link for link in folder.iterdir() if int(link.name) > 2]
        assert len(others) == links
        assert all(stat.S_ISSOCK(link.stat().st_mode) for link in others)
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


def test_the_current_folder_is_not_searched_for_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In /tmp, say, anybody may have put a package of our name."""
    package = tmp_path / "kssl" / "fastpath"
    package.mkdir(parents=True)
    (tmp_path / "kssl" / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "worker.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    command = [
        *interpreter(),
        "-c",
        "import kssl.fastpath.worker; print(kssl.fastpath.worker.__file__)",
    ]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.stdout.startswith(str(ROOT)), found.stderr
    assert interpreter(ROOT / "src") == [sys.executable]  # we are imported from there
    assert interpreter(tmp_path / "gone") == [sys.executable, "-P"]
