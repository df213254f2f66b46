"""The client of a trace: TLS over memory BIOs, so that it knows what it sends and gets."""

from __future__ import annotations

import os
import select
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic_ns as now
from types import TracebackType
from typing import Self

import h11

from kssl.proxy.trace.recorder import Event, Moment, Recording
from kssl.proxy.trace.request import Request

# Seconds without a byte in either direction. Longer than the proxy's own limits, whose answers
# (504, 408) say more.
_PATIENCE = 150.0

# TLS 1.3: how long to wait for the session ticket, which comes behind the handshake, in seconds.
_TICKET = 0.5

_RECEIVE = 256 * 1024


class ClientError(RuntimeError):
    """The connection or the reply failed; str() is for people."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; from when (ns) the request was written until all was read."""

    status: int
    size: int  # of the body
    begin: int
    end: int


class TracedClient:
    """One TLS connection to 127.0.0.1; the handshake is done when it is created. Raises
    ClientError."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._events: list[Event] = []
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._http = h11.Connection(h11.CLIENT)
        self._unsent = b""
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        except OSError as error:
            raise ClientError(f"no connection to the proxy: {error.strerror}") from None
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setblocking(False)
            self.shook_from = now()
            self._shake_hands()
            self.shook_until = now()
        except BaseException:
            self._socket.close()
            raise

    @property
    def recording(self) -> Recording:
        return Recording("client", os.getpid(), self._events)

    @property
    def tls(self) -> tuple[str, str]:
        """Version and cipher suite."""
        cipher = self._tls.cipher()
        return self._tls.version() or "", cipher[0] if cipher else ""

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on this connection."""
        return self._http.our_state is h11.IDLE

    def ask(self, request: Request) -> Reply:
        """Sends ``request`` and reads the whole reply. Raises ClientError."""
        pieces = self._wire(request)
        status, size, more = 0, 0, True
        begin = now()
        while True:
            if more and not self._unsent:
                more = self._encrypt(pieces)
            # A reply may come before all is sent, so each piece is followed by a look.
            for event in self._step(wait=bool(self._unsent) or not more):
                if isinstance(event, h11.Response):
                    status = event.status_code
                elif isinstance(event, h11.Data):
                    size += len(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    end = now()
                    if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
                        self._http.start_next_cycle()
                    return Reply(status, size, begin, end)

    def _wire(self, request: Request) -> Iterator[bytes]:
        """The request's bytes, piece by piece, none of them empty."""
        data = self._http.send(request.head()) or b""
        for piece in request.pieces():
            yield data
            data = self._http.send(h11.Data(data=piece)) or b""
        # With the last piece, because a reply may follow it at once.
        yield data + (self._http.send(h11.EndOfMessage()) or b"")

    def _encrypt(self, pieces: Iterator[bytes]) -> bool:
        """Sends one more piece; False if there was none left."""
        begin = Moment()
        piece = next(pieces, None)
        if piece is None:
            return False
        try:
            self._tls.write(piece)
        except ssl.SSLError as error:
            raise ClientError(f"TLS: {error.reason or error}") from None
        self._send(begin)
        return True

    def _step(self, *, wait: bool) -> list[h11.Event]:
        """Waits, or only looks, until the socket does something; returns what came of the reply."""
        readable, writable = self._wait(wait)
        if writable:
            self._send(Moment())
        if not readable:
            return []
        begin = now()
        size = self._receive()
        try:
            self._decrypt()
            found = self._parsed()
        except ssl.SSLError as error:
            raise ClientError(f"TLS: {error.reason or error}") from None
        except h11.RemoteProtocolError as error:
            raise ClientError(f"the reply is cut short or not HTTP: {error}") from None
        self._events.append(Event(begin, now(), "recv", "front", size=size))
        self._send(Moment())  # an answer to a KeyUpdate, if there is one
        return found

    def _decrypt(self) -> None:
        try:
            while data := self._tls.read(_RECEIVE):
                self._http.receive_data(data)
            self._http.receive_data(b"")  # close_notify
        except ssl.SSLWantReadError:
            return

    def _parsed(self) -> list[h11.Event]:
        found: list[h11.Event] = []
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.ConnectionClosed):
                raise ClientError("the connection was closed before the reply was complete")
            if not isinstance(event, h11.Event):  # NEED_DATA, PAUSED
                return found
            found.append(event)
            if isinstance(event, h11.EndOfMessage):
                return found

    # -- bytes ---------------------------------------------------------------------------------

    def _shake_hands(self) -> None:
        while True:
            begin = Moment()
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError as error:
                raise ClientError(f"handshake: {error.reason or error}") from None
            self._send(begin)
            while self._unsent:
                self._wait()
                self._send(Moment())
            if done:
                break
            self._wait()
            self._receive_flight()
        if self._tls.version() == "TLSv1.3" and select.select([self._socket], [], [], _TICKET)[0]:
            self._receive_flight()  # OpenSSL reads the ticket when it reads the reply

    def _receive_flight(self) -> None:
        begin = now()
        size = self._receive()
        self._events.append(Event(begin, now(), "recv", "front", size=size))

    def _wait(self, wait: bool = True) -> tuple[bool, bool]:
        writing = [self._socket] if self._unsent else []
        seconds = _PATIENCE if wait else 0.0
        readable, writable, _ = select.select([self._socket], writing, [], seconds)
        if wait and not readable and not writable:
            raise ClientError(f"nothing came within {_PATIENCE:.0f} s")
        return bool(readable), bool(writable)

    def _send(self, begin: Moment) -> None:
        """Sends what the socket takes; ``begin``: when its encryption began."""
        self._unsent += self._outgoing.read()
        if not self._unsent:
            return
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            # A server may answer and close without reading the rest: its answer is still there.
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
        self._events.append(Event(begin.time, begin.worked_until(), "send", "front", size=sent))

    def _receive(self) -> int:
        try:
            data = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise ClientError(f"the connection was lost: {error.strerror}") from None
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return len(data)

    def close(self) -> None:
        """Says close_notify; what the server says after it is of no interest."""
        try:
            self._tls.unwrap()
        except (ssl.SSLError, OSError, ValueError):
            pass
        finally:
            self._send(Moment())
            self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
