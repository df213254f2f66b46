"""What the worker does not do for a front end that is no longer its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastpath.worker.frames import HEADER, FrameType, append
from fastpath.worker.supervisor import WorkerSettings
from tests.fastpath.harness import Certificates


class Worker:
    """A worker process, spoken to by hand."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(20)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fastpath.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        self.send(FrameType.CONFIGURE, 0, settings.to_json())
        answer = self.receive()
        assert answer is not None
        assert answer[0] == FrameType.READY

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
        return self.process.communicate(timeout=20)[1].decode()


@pytest.fixture
def user_mode(certificates: Certificates, tmp_path: Path) -> Iterator[Worker]:
    certificate, key = certificates.ecdsa
    settings = WorkerSettings(
        state_dir=str(tmp_path), certificate=str(certificate), key=str(key), kernel_mode=False
    )
    worker = Worker(settings)
    yield worker
    if worker.process.poll() is None:
        worker.end()


def test_no_keys_in_user_mode(user_mode: Worker) -> None:
    user_mode.send(FrameType.BEGIN, 1, b"\1" + b"\x16\x03\x01\x00\x01\x01")
    assert user_mode.receive() is None
    assert "keys were asked for in user mode" in user_mode.end()


def test_one_configuration(user_mode: Worker, tmp_path: Path) -> None:
    other = json.dumps({**json.loads(WorkerSettings(str(tmp_path / "other")).to_json())})
    user_mode.send(FrameType.CONFIGURE, 0, other.encode())
    assert user_mode.receive() is None
    assert "CONFIGURE a second time" in user_mode.end()
    assert not (tmp_path / "other").exists()
