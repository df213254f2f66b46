"""The filter's process, spoken to by hand from both sides."""

from __future__ import annotations

import random
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS = 60.0
STUCK = 0.2  # seconds without progress after which a sender counts as blocked

# Two socketpairs of 208 KiB, as the kernel makes them by default, and the filter's buffer: what a
# side that does not read can make the others hold in one direction, with a reserve.
HELD = 2 * 2**20

SIDES = ("front", "worker")
every_side = pytest.mark.parametrize("side", SIDES)


class Filter:
    """A filter process and the far ends of its two socketpairs."""

    def __init__(self) -> None:
        self.front, front = socket.socketpair()
        self.worker, worker = socket.socketpair()
        with front, worker:
            descriptors = [front.fileno(), worker.fileno()]
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kssl.fastpath.filter", *map(str, descriptors)],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        for sock in (self.front, self.worker):
            sock.settimeout(SECONDS)

    def sides(self, side: str) -> tuple[socket.socket, socket.socket]:
        """(the one of that name, the other)"""
        return (self.front, self.worker) if side == "front" else (self.worker, self.front)

    def memory(self) -> int:
        """VmRSS in bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        [line] = [line for line in lines if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    def said(self) -> str:
        """Waits until it has ended, well; what it said on stderr."""
        stderr = self.process.communicate(timeout=SECONDS)[1]
        assert self.process.returncode == 0
        return stderr.decode()


@pytest.fixture
def relay() -> Iterator[Filter]:
    filter_ = Filter()
    with filter_.front, filter_.worker:
        # It relays, so it has started: whatever a test measures begins after that.
        filter_.front.sendall(b"x")
        assert filter_.worker.recv(1) == b"x"
        yield filter_
    assert filter_.said() == ""


def fill(sock: socket.socket) -> int:
    """Sends zeros until the other side takes no more; how many bytes that took."""
    sent, piece = 0, bytes(64 * 1024)
    sock.setblocking(False)
    while select.select([], [sock], [], STUCK)[1]:
        sent += sock.send(piece)
        assert sent < 100 * HELD
    sock.settimeout(SECONDS)
    return sent


def take(sock: socket.socket, size: int) -> bytes:
    """The next ``size`` bytes; fewer if it ends before."""
    data = bytearray()
    while len(data) < size and (piece := sock.recv(size - len(data))):
        data += piece
    return bytes(data)


def read_to_end(sock: socket.socket) -> bytes:
    data = bytearray()
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:  # behind the data: the filter had something unread
        pass
    return bytes(data)


# -- relaying ------------------------------------------------------------------------------


def test_both_ways_at_once_in_pieces_of_any_size(relay: Filter) -> None:
    """Both readers take small pieces, so that both directions block again and again."""
    sizes = random.Random(4)
    data = {side: sizes.randbytes(3 * 2**20 + 1) for side in SIDES}
    came = {side: bytearray() for side in SIDES}

    def send(side: str) -> None:
        draw, sock, rest = random.Random(side), relay.sides(side)[0], memoryview(data[side])
        while rest:
            size = draw.choice((1, 9, 500, 16_400, 131_081, 700_000))
            sock.sendall(rest[:size])
            rest = rest[size:]

    def receive(side: str) -> None:
        draw, sock = random.Random(side), relay.sides(side)[1]
        while len(came[side]) < len(data[side]):
            piece = sock.recv(draw.choice((1, 9, 500, 4000)))
            if not piece:
                return
            came[side] += piece

    threads = [threading.Thread(target=run, args=(s,)) for run in (send, receive) for s in SIDES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for side in SIDES:
        assert came[side] == data[side]


@every_side
def test_who_does_not_read_stops_the_sender_and_not_the_other_direction(
    relay: Filter, side: str
) -> None:
    """The worker does not read while it writes: its answers must get through all the same."""
    sender, silent = relay.sides(side)
    before = relay.memory()
    sent = fill(sender)
    assert sent < HELD
    for _ in range(50):
        silent.sendall(b"a" * 100_000)
        assert take(sender, 100_000) == b"a" * 100_000
    assert relay.memory() - before < HELD
    assert take(silent, sent) == bytes(sent)


# -- ending --------------------------------------------------------------------------------


@every_side
def test_it_ends_with_either_side_behind_what_that_has_said(relay: Filter, side: str) -> None:
    sender, other = relay.sides(side)
    sender.sendall(b"last words" * 10_000)
    sender.close()
    assert read_to_end(other) == b"last words" * 10_000
    assert relay.said() == ""


@every_side
def test_it_ends_while_it_waits_for_one_that_does_not_read(relay: Filter, side: str) -> None:
    """The one that is blocked upon ends, and then the one who speaks."""
    sender, silent = relay.sides(side)
    fill(sender)
    silent.close()
    assert read_to_end(sender) == b""
    assert relay.said() == ""


def test_it_ends_while_both_directions_are_blocked(relay: Filter) -> None:
    """A worker that is writing just then would never hear of its front end's death."""
    fill(relay.worker)
    fill(relay.front)
    relay.front.close()
    assert relay.said() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_to_the_group_are_the_front_ends(relay: Filter, number: int) -> None:
    relay.process.send_signal(number)
    relay.front.sendall(b"still here")
    assert take(relay.worker, 10) == b"still here"
