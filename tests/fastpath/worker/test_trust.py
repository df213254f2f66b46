"""What the worker does not do for a front end that is no longer its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kssl.fastpath.ipc.frames import (
    HEADER,
    FrameType,
    append,
    pack_begin,
    pack_connect,
    pack_failed,
    pieces,
)
from kssl.fastpath.ipc.supervisor import WorkerSettings
from tests.fastpath.harness import Certificates, worker_settings


class Worker:
    """A worker process, spoken to by hand."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(60)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kssl.fastpath.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        self.configure(FrameType.CONFIGURE, settings)
        answer = self.receive()
        assert answer is not None
        assert answer[0] == FrameType.READY

    def configure(self, kind: FrameType, settings: WorkerSettings) -> None:
        for piece in pieces(settings.to_json()):
            self.send(kind, 0, piece)

    def send(self, kind: FrameType, connection: int, payload: bytes) -> None:
        out = bytearray()
        append(out, kind, connection, payload)
        self.sock.sendall(out)

    def receive(self) -> tuple[int, bytes] | None:
        """None when the worker has ended."""
        head = self.sock.recv(HEADER.size, socket.MSG_WAITALL)
        if not head:
            return None
        length, _, kind = HEADER.unpack(head)
        return kind, self.sock.recv(length, socket.MSG_WAITALL)

    def end(self) -> str:
        """Waits for the process; returns what it said."""
        self.sock.close()
        return self.process.communicate(timeout=60)[1].decode()


@pytest.fixture
def user_mode(certificates: Certificates, tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(worker_settings(tmp_path, certificates.ecdsa, kernel_mode=False))
    yield worker
    if worker.process.poll() is None:
        worker.end()


def test_no_keys_in_user_mode(user_mode: Worker) -> None:
    user_mode.send(FrameType.BEGIN, 1, pack_begin(True, 0) + b"\x16\x03\x01\x00\x01\x01")
    assert user_mode.receive() is None
    assert "keys were asked for in user mode" in user_mode.end()


def test_no_keys_of_connections_to_upstreams_either(user_mode: Worker) -> None:
    user_mode.send(FrameType.CONNECT, 1, pack_connect(True, "{}"))
    assert user_mode.receive() is None
    assert "keys were asked for in user mode" in user_mode.end()


def test_an_unknown_upstream(user_mode: Worker) -> None:
    reason = "the configuration no longer has this upstream"
    for text in ("{}", "", "\0"):
        user_mode.send(FrameType.CONNECT, 1, pack_connect(False, text))
        assert user_mode.receive() == (FrameType.FAILED, pack_failed(b"", reason))
    assert user_mode.end() == ""


def test_one_configuration(user_mode: Worker, tmp_path: Path) -> None:
    user_mode.configure(FrameType.CONFIGURE, worker_settings(tmp_path / "other"))
    assert user_mode.receive() is None
    assert "CONFIGURE a second time" in user_mode.end()
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("change", ["kernel mode", "state folder"])
def test_what_another_configuration_cannot_change(
    user_mode: Worker, tmp_path: Path, certificates: Certificates, change: str
) -> None:
    """Above all no way from a worker that keeps its keys to one that hands them over."""
    other = worker_settings(
        tmp_path / "other" if change == "state folder" else tmp_path,
        certificates.ecdsa,
        kernel_mode=change == "kernel mode",
    )
    user_mode.configure(FrameType.RECONFIGURE, other)
    assert user_mode.receive() is None
    assert "RECONFIGURE with another mode, state folder or TlsPreset" in user_mode.end()


def test_no_keys_after_another_configuration_either(
    user_mode: Worker, tmp_path: Path, certificates: Certificates
) -> None:
    other = worker_settings(tmp_path, certificates.rsa, kernel_mode=False)
    user_mode.configure(FrameType.RECONFIGURE, other)
    answer = user_mode.receive()
    assert answer is not None
    assert answer[0] == FrameType.READY
    test_no_keys_in_user_mode(user_mode)
