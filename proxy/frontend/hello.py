"""A client's first bytes, collected until its ClientHello is whole: it tells the client's sessions.

Only with several workers. With one, the bytes go to the worker as they come.
"""

from __future__ import annotations

from typing import Protocol

from kssl.fastpath.net.channel import Channel
from kssl.fastpath.tls.clienthello import ClientHello, ClientHelloReader

_BUFFER = memoryview(bytearray(65536))

_HEADER = 5  # bytes of a record's header (RFC 9846 §5.1)
_HANDSHAKE, _MAJOR = 0x16, 0x03
_MAX_RECORD = 1 << 14  # bytes of a record's body in plaintext

# What is waited for, in bytes; one more read may come on top. And in records, as many as the worker
# takes in a whole handshake.
_MAX_HELLO = 64 * 1024
_MAX_RECORDS = 64


class HelloCollector:
    """Sans-I/O. Takes bytes until it knows the sessions, or that there is nothing to know.

    Each byte is looked at once, in however small pieces it comes.
    """

    __slots__ = ("_at", "_reader", "_records", "_wanted", "data", "session_ids")

    def __init__(self) -> None:
        self.data = bytearray()
        self.session_ids: tuple[bytes, ...] = ()
        self._reader = ClientHelloReader()
        self._at = 0  # where the record begins that is not whole yet
        self._wanted = _HEADER  # bytes of data before there is something to do
        self._records = 0

    def add(self, data: bytes | memoryview) -> bool:
        """Whether that is enough: the ClientHello is whole, or what came is none, or too much.
        `session_ids` is empty then, unless it is one."""
        self.data += data
        while len(self.data) >= self._wanted:
            start = self._at
            kind, major = self.data[start], self.data[start + 1]
            length = int.from_bytes(self.data[start + 3 : start + _HEADER], "big")
            if kind != _HANDSHAKE or major != _MAJOR or not 0 < length <= _MAX_RECORD:
                return True
            end = start + _HEADER + length
            if len(self.data) < end:
                self._wanted = end
                break
            hello = self._add_record(bytes(self.data[start:end]))
            if hello is not None:
                self.session_ids = hello.session_ids
                return True
            if self._records == _MAX_RECORDS:
                return True
            self._at, self._wanted = end, end + _HEADER
        return len(self.data) >= _MAX_HELLO

    def _add_record(self, record: bytes) -> ClientHello | None:
        self._records += 1
        return self._reader.add(record)


class HelloOwner(Protocol):
    """Whoever waits for the hello. Exactly one of these is called, once."""

    def hello_read(self, first_bytes: bytes, session_ids: tuple[bytes, ...]) -> None:
        """All that came so far; reading is off. ``session_ids``: those that the client offers, none
        also if that is no ClientHello."""

    def hello_ended(self) -> None:
        """The client's FIN."""

    def hello_broken(self, error: OSError) -> None:
        """The client's RST, or the like."""


class HelloWait:
    """Reads from the channel until the owner is told. It ends with the channel, too."""

    __slots__ = ("_channel", "_collector", "_owner")

    def __init__(self, channel: Channel, owner: HelloOwner, first_bytes: bytes) -> None:
        """``channel`` is being read."""
        self._channel = channel
        self._owner = owner
        self._collector = HelloCollector()
        channel.rebind(self._readable, lambda: None, owner.hello_broken)
        self._add(first_bytes)

    def _readable(self) -> None:
        try:
            received = self._channel.recv_into(_BUFFER)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._owner.hello_broken(error)
            return
        if received:
            self._add(_BUFFER[:received])
        else:
            self._owner.hello_ended()

    def _add(self, data: bytes | memoryview) -> None:
        if self._collector.add(data):
            self._channel.stop_reading()
            self._owner.hello_read(bytes(self._collector.data), self._collector.session_ids)
