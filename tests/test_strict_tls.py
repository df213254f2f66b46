"""The end of a connection as `StrictSocket` sees it, in every Python."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable

import pytest
import trustme

from tests.strict_tls import StrictSocket

SECONDS = 60.0
SIZE = 100_000  # several records
RESET = struct.pack("ii", 1, 0)

Peer = Callable[[StrictSocket], object]


class Pair:
    """Contexts of both sides, for one version."""

    def __init__(self, version: str) -> None:
        authority = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self.server)
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(self.client)
        for context in (self.server, self.client):
            context.minimum_version = context.maximum_version = ssl.TLSVersion[version]

    def meet(self, peer: Peer, act: Callable[[StrictSocket], None]) -> None:
        """``peer`` is the server, in a thread; ``act`` the client, when the peer has finished."""
        failed: list[BaseException] = []
        kept: list[StrictSocket] = []

        def serve() -> None:
            try:
                plain, _ = listener.accept()
                plain.settimeout(SECONDS)
                kept.append(StrictSocket(plain, self.server, server_side=True))
                peer(kept[0])
            except BaseException as error:
                failed.append(error)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(SECONDS)
            thread = threading.Thread(target=serve)
            thread.start()
            try:
                plain = socket.create_connection(listener.getsockname(), SECONDS)
                with StrictSocket(plain, self.client, server_hostname="localhost") as tls:
                    act(tls)
            finally:
                thread.join(SECONDS)
                for side in kept:
                    side.close()
        assert not failed


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


def exactly(tls: StrictSocket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        piece = tls.recv(size - len(received))
        assert piece
        received += piece
    return received


def beneath(tls: StrictSocket, data: bytes) -> None:
    """Sends it as it is."""
    socket.socket.sendall(tls, data)


def test_close_notify(pair: Pair) -> None:
    def peer(tls: StrictSocket) -> None:
        tls.sendall(b"x" * SIZE)
        tls.unwrap()

    def act(tls: StrictSocket) -> None:
        assert exactly(tls, SIZE) == b"x" * SIZE
        assert tls.recv(10) == b""
        assert tls.recv(10) == b""
        tls.unwrap()
        assert tls.recv(10) == b""

    pair.meet(peer, act)


def test_fin(pair: Pair) -> None:
    """The records in front of it come first."""

    def peer(tls: StrictSocket) -> None:
        tls.sendall(b"x" * SIZE)
        tls.shutdown(socket.SHUT_WR)

    def act(tls: StrictSocket) -> None:
        assert exactly(tls, SIZE) == b"x" * SIZE
        for _ in range(2):
            with pytest.raises(ssl.SSLEOFError):
                tls.recv(10)

    pair.meet(peer, act)


@pytest.mark.parametrize("size", [1, 5, 20])
def test_fin_in_the_middle_of_a_record(pair: Pair, size: int) -> None:
    def peer(tls: StrictSocket) -> None:
        tls.sendall(b"x")
        beneath(tls, (b"\x17\x03\x03\x00\x40" + bytes(64))[:size])
        tls.shutdown(socket.SHUT_WR)

    def act(tls: StrictSocket) -> None:
        assert tls.recv(10) == b"x"
        with pytest.raises(ssl.SSLEOFError):
            tls.recv(10)

    pair.meet(peer, act)


def test_fin_and_then_unwrap(pair: Pair) -> None:
    def act(tls: StrictSocket) -> None:
        with pytest.raises(ssl.SSLEOFError):
            tls.unwrap()

    pair.meet(lambda tls: tls.shutdown(socket.SHUT_WR), act)


def test_a_reset(pair: Pair) -> None:
    def peer(tls: StrictSocket) -> None:
        assert tls.recv(10) == b"ready"
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        tls.close()

    def act(tls: StrictSocket) -> None:
        tls.sendall(b"ready")
        with pytest.raises(ConnectionResetError):
            tls.recv(10)

    pair.meet(peer, act)


def test_a_record_that_is_forged_is_answered_by_an_alert(pair: Pair) -> None:
    """Both sides raise: one for the record, the other for the alert."""
    told: list[str | None] = []

    def peer(tls: StrictSocket) -> None:
        beneath(tls, b"\x17\x03\x03\x00\x40" + bytes(64))
        with pytest.raises(ssl.SSLError) as alert:
            tls.recv(10)
        told.append(alert.value.reason)

    def act(tls: StrictSocket) -> None:
        with pytest.raises(ssl.SSLError) as bad:
            tls.recv(10)
        assert not isinstance(bad.value, ssl.SSLEOFError)

    pair.meet(peer, act)
    assert len(told) == 1
    assert "ALERT_BAD_RECORD_MAC" in str(told[0])


def test_a_silence_is_no_end(pair: Pair) -> None:
    go_on = threading.Event()

    def peer(tls: StrictSocket) -> None:
        assert go_on.wait(SECONDS)
        tls.sendall(b"late")

    def act(tls: StrictSocket) -> None:
        tls.settimeout(0.01)
        with pytest.raises(TimeoutError):
            tls.recv(10)
        tls.settimeout(SECONDS)
        go_on.set()
        assert tls.recv(10) == b"late"

    pair.meet(peer, act)


def test_a_failed_handshake_closes_the_socket(pair: Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        plain = socket.create_connection(listener.getsockname(), SECONDS)
        peer, _ = listener.accept()
        with peer:
            peer.shutdown(socket.SHUT_WR)
            with pytest.raises(ssl.SSLEOFError):
                StrictSocket(plain, pair.client, server_hostname="localhost")
            peer.settimeout(SECONDS)
            while peer.recv(1 << 16):  # the ClientHello, and then its end
                pass
        assert plain.fileno() == -1


def test_what_is_known_of_the_peer(pair: Pair) -> None:
    def act(tls: StrictSocket) -> None:
        assert tls.version() in ("TLSv1.2", "TLSv1.3")
        assert "localhost" in str(tls.getpeercert())

    pair.meet(lambda tls: tls.sendall(b""), act)
