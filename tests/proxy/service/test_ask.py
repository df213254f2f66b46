"""kssl.proxy.service.ask: whatever stands at the socket's place, an answer or words, and in
time."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kssl.config.running import FOLDER, RunningService, own_start_time
from kssl.proxy.service import ask as module
from kssl.proxy.service.admin import admin_path
from kssl.proxy.service.ask import NoAnswerError, ask

US = RunningService(
    pid=os.getpid(), started=own_start_time(), arguments=[], folder="", config="",
    profile="native", mode="kernel", urls=["https://localhost"],
)  # fmt: skip

Say = Callable[[socket.socket], None]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir(0o700)
    return tmp_path


@contextlib.contextmanager
def listening(state: Path, backlog: int = 8) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.bind(str(admin_path(state, US.pid)))
        sock.listen(backlog)
        yield sock


@contextlib.contextmanager
def answering(state: Path, say: Say) -> Iterator[None]:
    """One client gets what `say` sends; it is over when that returns."""
    with listening(state) as sock:

        def run() -> None:
            client, _ = sock.accept()
            with client, contextlib.suppress(OSError):
                say(client)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            thread.join(60)


def test_in_pieces(state: Path) -> None:
    def say(client: socket.socket) -> None:
        for byte in b'{"hello": [1, 2]}\n':
            client.send(bytes([byte]))

    with answering(state, say):
        assert ask(state, US) == {"hello": [1, 2]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has not told all"),
        (b'{"hello": ', "has not told all"),
        (b"\xff", "has not told all"),
        (b"[" * 100_000, "has not told all"),
        (b"[1]", "this version does not understand"),
    ],
)
def test_not_what_it_should_be(state: Path, content: bytes, words: str) -> None:
    with (
        answering(state, lambda client: client.sendall(content)),
        pytest.raises(NoAnswerError, match=words),
    ):
        ask(state, US)


def test_no_socket(state: Path) -> None:
    with pytest.raises(NoAnswerError, match=rf"no admin socket {state}/run/{US.pid}\.sock"):
        ask(state, US)


def test_nobody_listens(state: Path) -> None:
    with listening(state):
        pass
    with pytest.raises(NoAnswerError, match="Connection refused"):
        ask(state, US)


def test_no_answer_in_time(state: Path) -> None:
    """Not a byte, or one now and then: there is one limit for all."""
    over = threading.Event()

    def trickle(client: socket.socket) -> None:
        while not over.wait(0.01):
            client.send(b" ")

    for say in (lambda client: over.wait(), trickle):
        over.clear()
        with answering(state, say):  # type: ignore[arg-type]
            with pytest.raises(NoAnswerError, match=r"not answered within 0\.1 s"):
                ask(state, US, 0.1)
            over.set()
        admin_path(state, US.pid).unlink()


def test_too_much(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_DOCUMENT", 1000)

    def endless(client: socket.socket) -> None:
        while True:
            client.sendall(b" " * 1000)

    with answering(state, endless), pytest.raises(NoAnswerError, match="has not told all"):
        ask(state, US)


def test_a_full_queue_is_waited_for(state: Path) -> None:
    with listening(state, backlog=0) as sock, contextlib.ExitStack() as stack:
        with contextlib.suppress(BlockingIOError):
            while True:
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(str(admin_path(state, US.pid)))
        with pytest.raises(NoAnswerError, match="not answered within"):
            ask(state, US, 0.1)

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = sock.accept()
                    client.sendall(b"{}")
                    client.close()

        sock.settimeout(1)
        thread = threading.Thread(target=run)
        thread.start()
        assert ask(state, US) == {}
        thread.join(60)
