"""Programs of others: what they say when they do not start, and that they end."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kssl.bench import process
from kssl.bench.errors import BenchError
from kssl.bench.process import find_program, free_port, open_files, running

# Listens, with a child; neither heeds SIGTERM.
_STUBBORN = """
import os, signal, socket, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), reuse_port=True)
while True:
    listener.accept()[0].close()
"""


def test_it_tells_what_a_program_said_that_ended(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo no such directive >&2; exit 3"]
    with (
        pytest.raises(BenchError, match="peer ended with exit code 3: no such directive"),
        running("peer", command, tmp_path, free_port(), tls=True),
    ):
        pass


def test_it_tells_of_a_program_that_does_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_START_SECONDS", 0.2)
    with (
        pytest.raises(BenchError, match="peer does not accept after"),
        running("peer", ["sleep", "60"], tmp_path, free_port(), tls=False),
    ):
        pass


def test_whoever_does_not_listen_to_reason_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: Callable[[int], bool]
) -> None:
    monkeypatch.setattr(process, "_STOP_SECONDS", 0.2)
    port = free_port()
    command = [sys.executable, "-c", _STUBBORN, str(port)]
    with running("peer", command, tmp_path, port, tls=False, processes=2) as pids:
        assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_files_are_allowed_to_the_program_alone(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    command = ["sh", "-c", "ulimit -n; exit 3"]
    with (
        pytest.raises(BenchError, match=f"exit code 3: {open_files()}$"),
        running("peer", command, tmp_path, free_port(), tls=False),
    ):
        pass
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_no_such_program() -> None:
    assert find_program("sh")
    assert find_program("no-such-program") is None
