"""The relay on loopback: what passes, what is forged, what is swallowed."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

import pytest

from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.cut import Cut
from kssl.proxy.demo.truncation.records import Direction
from tests.proxy.demo.truncation.wires import SECONDS, ends, exactly, record, to_end

REPLY = record(23, 50) + record(23, 60)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_without_a_cut_everything_passes() -> None:
    with ends() as both:
        both.handshake()
        both.to_client(REPLY)
        both.server.shutdown(socket.SHUT_WR)
        assert to_end(both.client) == b""
        both.to_server(record(23, 19))  # half-closed connections go on
        both.client.close()
        assert to_end(both.server) == b""
        link = both.attacker.wait()
    assert link.cut_at is None
    assert link.swallowed == 0
    assert link.tls13
    assert [seen.size for seen in link.records(Direction.TO_CLIENT)] == [55, 65]
    assert [seen.size for seen in link.records(Direction.TO_SERVER)] == [24]


@pytest.mark.parametrize("after", [0, 1, 4, 5, 54, 55, 56, 60, 119])
def test_fin_behind_any_byte(after: int) -> None:
    with ends(Cut(Direction.TO_CLIENT, after=after)) as both:
        both.handshake()
        both.server.sendall(REPLY)
        assert to_end(both.client) == REPLY[:after]
        # What the victim says still passes; the other side knows nothing of the forged end.
        both.to_server(record(23, 19))
        both.server.sendall(b"more")
        both.server.close()
        both.client.close()
        link = both.attacker.wait()
    assert link.swallowed == len(REPLY) - after + len(b"more")
    assert link.cut_at == ((1, after) if after <= 55 else (2, after - 55))


def test_fin_comes_at_once() -> None:
    """Not only when the server goes on."""
    with ends(Cut(Direction.TO_CLIENT, record=1)) as both:
        both.handshake()
        both.server.sendall(record(23, 50))
        assert len(to_end(both.client)) == 55


def test_towards_the_server() -> None:
    with ends(Cut(Direction.TO_SERVER, record=1, byte=9)) as both:
        both.handshake()
        both.client.sendall(record(23, 100))
        assert len(to_end(both.server)) == 9
        both.to_client(REPLY)
        both.server.close()
        assert to_end(both.client) == b""
        both.client.close()
        link = both.attacker.wait()
    assert link.cut_at == (1, 9)
    assert link.swallowed == 96


def test_rst() -> None:
    with ends(Cut(Direction.TO_CLIENT, record=1, how="RST")) as both:
        both.handshake()
        both.server.sendall(REPLY)
        with pytest.raises(ConnectionResetError):
            to_end(both.client)
        assert to_end(both.server) == b""  # for the other side it is an end in order
        both.server.sendall(b"more")
        both.server.close()
        link = both.attacker.wait()
    assert link.cut_at == (1, 55)
    assert link.swallowed == 65 + len(b"more")


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_real_reset_passes_as_one(who: str) -> None:
    with ends() as both:
        both.handshake()
        first, other = (both.client, both.server) if who == "client" else (both.server, both.client)
        reset(first)
        with pytest.raises(ConnectionResetError):
            other.recv(1)
        assert both.attacker.wait().over


def test_a_victim_that_has_its_end_gets_no_reset_on_top() -> None:
    with ends(Cut(Direction.TO_CLIENT, record=1)) as both:
        both.handshake()
        both.server.sendall(REPLY)
        exactly(both.client, 55)
        reset(both.server)
        both.attacker.wait()
        assert to_end(both.client) == b""
        assert both.client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_much_in_both_directions_at_once() -> None:
    """Neither direction waits for the other."""
    data = b"".join(record(23, 16000) for _ in range(500))
    got: dict[str, bytes] = {}
    with ends() as both:
        both.handshake()

        def talk(name: str, sock: socket.socket) -> None:
            sender = threading.Thread(target=sock.sendall, args=[data])
            sender.start()
            got[name] = exactly(sock, len(data))
            sender.join()

        threads = [
            threading.Thread(target=talk, args=pair)
            for pair in (("client", both.client), ("server", both.server))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
    assert got == {"client": data, "server": data}


def test_the_cut_holds_for_connections_that_come_afterwards() -> None:
    with ends() as both:
        both.handshake()
        both.attacker.cut = Cut(Direction.TO_CLIENT, after=0)
        both.to_client(REPLY)
        assert both.attacker.links[0].cut is None


def test_nobody_behind_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Attacker(port) as attacker:
        address = ("127.0.0.1", attacker.port)
        with (
            socket.create_connection(address, SECONDS) as client,
            contextlib.suppress(ConnectionResetError),
        ):
            assert client.recv(1) == b""
        assert attacker.links == []
        with pytest.raises(TimeoutError, match="connection -1 is not over"):
            attacker.wait(seconds=0.01)


def test_stop_ends_what_runs() -> None:
    before = threading.enumerate()
    with ends() as both:
        both.handshake()
        both.attacker.stop()
        assert both.attacker.links[0].over
        with contextlib.suppress(ConnectionResetError):
            assert both.client.recv(1) == b""
        both.attacker.stop()
        assert set(threading.enumerate()) <= set(before)
