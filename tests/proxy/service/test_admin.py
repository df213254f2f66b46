"""kssl.proxy.service.admin: one document for each who connects, whatever they do, and how
many."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from kssl.proxy.service import admin
from kssl.proxy.service.admin import AdminSocket, admin_path, open_admin, short_name
from tests.fastpath.harness import until

pytestmark = pytest.mark.asyncio

Document = Callable[[], Awaitable[dict[str, Any]]]


async def hello() -> dict[str, Any]:
    return {"hello": 1}


def connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(60)
        with short_name(path) as name:
            sock.connect(name)
    except BaseException:
        sock.close()
        raise
    return sock


def read(sock: socket.socket) -> bytes:
    with sock:
        return b"".join(iter(lambda: sock.recv(65536), b""))


async def get(path: Path) -> bytes:
    return await asyncio.to_thread(lambda: read(connect(path)))


def opened(state: Path, document: Document = hello) -> AdminSocket:
    found = open_admin(state, document)
    assert found is not None
    return found


async def test_one_document_and_the_end(tmp_path: Path) -> None:
    socket_ = opened(tmp_path)
    assert socket_.path == admin_path(tmp_path, os.getpid())
    for _ in range(3):
        assert await get(socket_.path) == b'{"hello": 1}\n'
    await socket_.close()
    assert not socket_.path.exists()


async def test_nothing_is_read(tmp_path: Path) -> None:
    socket_ = opened(tmp_path)
    client = connect(socket_.path)
    client.sendall(b'{"stop": true}\n' * 100)
    assert await asyncio.to_thread(client.recv, 65536) == b'{"hello": 1}\n'
    client.close()
    assert await get(socket_.path) == b'{"hello": 1}\n'
    await socket_.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Everybody may go into it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


# -- who may ask -------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
async def test_the_mode_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    (tmp_path / "run").mkdir(0o700)
    before = os.umask(umask)
    try:
        socket_ = opened(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(socket_.path.stat().st_mode) == 0o600
    await socket_.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
async def test_another_user_is_refused_by_the_kernel(open_folder: Path) -> None:
    socket_ = opened(open_folder)
    socket_.path.parent.chmod(0o755)

    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError):
            connect(socket_.path)
    finally:
        os.seteuid(0)
    assert await get(socket_.path) == b'{"hello": 1}\n'
    await socket_.close()


# -- limits ------------------------------------------------------------------------------------


class Gate:
    """A document that is made when the test says so."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.now = 0
        self.most = 0

    async def document(self) -> dict[str, Any]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.open.wait()
        finally:
            self.now -= 1
        return {"hello": 1}


async def test_many_at_once(tmp_path: Path) -> None:
    gate = Gate()
    socket_ = opened(tmp_path, gate.document)
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(connect(socket_.path))) for _ in range(100)]
        await until(lambda: gate.now == admin.MOST)
        for _ in range(20):
            await asyncio.sleep(0)
        gate.open.set()
        for client in clients:
            assert await asyncio.to_thread(read, client) == b'{"hello": 1}\n'
    assert gate.most == admin.MOST
    await until(lambda: len(socket_._tasks) == 1)
    await socket_.close()


async def test_a_place_is_free_again_when_the_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "LIMIT", 0.05)
    gate = Gate()
    socket_ = opened(tmp_path, gate.document)
    with ExitStack() as stack:
        clients = [
            stack.enter_context(closing(connect(socket_.path))) for _ in range(3 * admin.MOST)
        ]
        for client in clients:
            assert await asyncio.to_thread(client.recv, 10) == b""
    assert gate.most == admin.MOST
    await socket_.close()


async def test_clients_that_do_not_read_hold_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "LIMIT", 0.2)
    made = 0

    async def large() -> dict[str, Any]:
        nonlocal made
        made += 1
        return {"large": "x" * (8 << 20)}

    socket_ = opened(tmp_path, large)
    with ExitStack() as stack:
        for _ in range(admin.MOST):
            stack.enter_context(closing(connect(socket_.path)))
        await until(lambda: made == admin.MOST)
        patient = connect(socket_.path)
        monkeypatch.setattr(admin, "LIMIT", 10)
        assert len(await asyncio.to_thread(read, patient)) > 8 << 20
    await socket_.close()


async def test_a_mistake_in_the_document_costs_one_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong: list[Any] = [ValueError("a bug"), {"cannot": object()}]

    async def document() -> dict[str, Any]:
        if not wrong:
            return {"hello": 1}
        what = wrong.pop()
        if isinstance(what, Exception):
            raise what
        return dict(what)

    socket_ = opened(tmp_path, document)
    assert [await get(socket_.path) for _ in range(3)] == [b"", b"", b'{"hello": 1}\n']
    assert caplog.text.count("internal error in the admin socket") == 2
    await socket_.close()


async def test_out_of_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever waits is answered when there are some again."""
    monkeypatch.setattr(admin, "_PAUSE", 0.01)
    loop = asyncio.get_running_loop()
    accept, left = loop.sock_accept, [1] * 20  # more than there are places

    async def sock_accept(sock: socket.socket) -> Any:
        if left:
            left.pop()
            raise OSError(24, "Too many open files")
        return await accept(sock)

    monkeypatch.setattr(loop, "sock_accept", sock_accept)
    socket_ = opened(tmp_path)
    assert await get(socket_.path) == b'{"hello": 1}\n'
    assert "admin socket: Too many open files; trying on" in caplog.text
    await socket_.close()


# -- the path ----------------------------------------------------------------------------------


@pytest.fixture
def sized(tmp_path: Path) -> Callable[[int], Path]:
    """A state folder whose admin socket has a path of so many bytes."""

    def make(size: int) -> Path:
        missing = size - len(os.fsencode(admin_path(tmp_path, os.getpid())))
        folder = tmp_path
        while missing > 0:
            step = min(missing - 1, 100)
            step -= missing - 1 - step == 1  # a slash alone is no folder
            folder /= "x" * step
            missing -= step + 1
        folder.mkdir(parents=True, exist_ok=True)
        assert len(os.fsencode(admin_path(folder, os.getpid()))) == size
        return folder

    return make


@pytest.mark.parametrize("size", [106, 107, 108, 109, 300, 1000])
async def test_a_path_of_any_length(sized: Callable[[int], Path], size: int) -> None:
    state = sized(size)
    descriptors = len(os.listdir("/proc/self/fd"))
    socket_ = opened(state)
    assert stat.S_IMODE(socket_.path.stat().st_mode) == 0o600
    assert socket_.path == admin_path(state, os.getpid())
    assert await get(socket_.path) == b'{"hello": 1}\n'
    await socket_.close()
    assert not socket_.path.exists()
    assert len(os.listdir("/proc/self/fd")) <= descriptors


def left_behind(path: Path) -> None:
    """A socket that nobody listens on, as a killed process leaves it."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


@pytest.fixture
def another() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing until the test ends."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
def ended() -> int:
    """The number of a process that there was."""
    with subprocess.Popen(["true"]) as process:
        return process.pid


async def test_what_the_dead_have_left_goes(
    tmp_path: Path, another: subprocess.Popen[bytes], ended: int
) -> None:
    folder = tmp_path / "run"
    folder.mkdir(0o700)
    dead, own = folder / f"{ended}.sock", folder / f"{os.getpid()}.sock"
    living, foreign = folder / f"{another.pid}.sock", folder / "of-somebody.sock"
    for path in (dead, own, living, foreign):
        left_behind(path)
    socket_ = opened(tmp_path)
    assert sorted(folder.iterdir()) == sorted((own, living, foreign))
    assert await get(own) == b'{"hello": 1}\n'
    await socket_.close()
    assert sorted(folder.iterdir()) == sorted((living, foreign))


@pytest.mark.parametrize("how", ["no folder", "open to others", "in the way"])
async def test_no_socket_is_no_reason_not_to_start(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    if how == "no folder":
        folder.write_text("")
    elif how == "open to others":
        folder.mkdir()
        folder.chmod(0o777)
    else:
        (folder / f"{os.getpid()}.sock" / "x").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert open_admin(tmp_path, hello) is None
    assert f"no admin socket in {tmp_path}" in caplog.text


# -- the end -----------------------------------------------------------------------------------


async def test_close_cuts_off_and_leaves_nothing(tmp_path: Path) -> None:
    gate = Gate()
    socket_ = opened(tmp_path, gate.document)
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(connect(socket_.path))) for _ in range(12)]
        await until(lambda: gate.now == admin.MOST)
        await socket_.close()
        for client in clients[: admin.MOST]:
            assert await asyncio.to_thread(client.recv, 10) == b""
    assert gate.now == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(FileNotFoundError):
        connect(socket_.path)


async def test_close_after_somebody_has_cleared_the_folder(tmp_path: Path) -> None:
    socket_ = opened(tmp_path)
    socket_.path.unlink()
    socket_.path.parent.rmdir()
    await socket_.close()


async def test_the_document_is_json_of_one_line(tmp_path: Path) -> None:
    async def document() -> dict[str, Any]:
        return {"text": "line\nand ä"}

    socket_ = opened(tmp_path, document)
    content = await get(socket_.path)
    assert content.count(b"\n") == 1
    assert json.loads(content) == await document()
    await socket_.close()
