"""A TLS client for the tests: OpenSSL in memory BIOs, or (`go_raw`) record by record by hand.

By hand, because OpenSSL neither sends a bad record nor shows an alert's bytes, and pyOpenSSL
cannot send a KeyUpdate.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Literal

from OpenSSL import SSL

from kssl.fastpath.tls.keys import DirectionKeys
from kssl.fastpath.tls.keyschedule import next_traffic_secret, tls12_keys, traffic_keys
from kssl.fastpath.tls.suites import BY_OPENSSL_NAME, CipherSuite
from tests.fastpath.record.peers import ALERT, DATA, HANDSHAKE, Forger

End = Literal["fin", "reset"]


class Reader:
    """Opens the server's records, sorts them by kind, and checks nothing but the tags."""

    def __init__(self, suite: CipherSuite, keys: DirectionKeys) -> None:
        self._suite = suite
        self._keys = keys
        self.first_key = keys.key
        self._aead = suite.aead(keys.key)
        self._sequence = keys.sequence
        self._buffer = bytearray()
        self.data = bytearray()
        self.alerts: list[tuple[int, int]] = []  # level, description
        self.messages: list[bytes] = []  # handshake messages, one per record
        self.kinds: list[int] = []  # of every record, in order

    @property
    def key_updates(self) -> list[int]:
        """request_update of each KeyUpdate that came."""
        return [message[4] for message in self.messages if message[0] == 24]

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 5:
            end = 5 + int.from_bytes(self._buffer[3:5], "big")
            if len(self._buffer) < end:
                return
            record = bytes(self._buffer[:end])
            del self._buffer[:end]
            self._record(record)

    def _record(self, record: bytes) -> None:
        kind, content = self._open(record)
        self.kinds.append(kind)
        if kind == DATA:
            self.data += content
        elif kind == ALERT:
            self.alerts.append((content[0], content[1]))
        else:
            assert kind == HANDSHAKE
            self.messages.append(content)
            if content[0] == 24:
                secret = next_traffic_secret(self._suite, self._keys.secret)
                self._keys = traffic_keys(self._suite, secret)
                self._aead, self._sequence = self._suite.aead(self._keys.key), 0

    def _open(self, record: bytes) -> tuple[int, bytes]:
        header, body = record[:5], record[5:]
        nonce = (int.from_bytes(self._keys.iv, "big") ^ self._sequence).to_bytes(
            len(self._keys.iv), "big"
        )
        sequence, self._sequence = self._sequence, self._sequence + 1
        if self._suite.tls13:
            inner = self._aead.decrypt(nonce, body, header).rstrip(b"\0")
            return inner[-1], inner[:-1]
        if self._suite.explicit_nonce_length:
            nonce, body = self._keys.iv + body[:8], body[8:]
        aad = sequence.to_bytes(8, "big") + header[:3] + (len(body) - 16).to_bytes(2, "big")
        return header[0], self._aead.decrypt(nonce, body, aad)


class Client:
    """One connection. The loop's own socket calls: nothing here blocks it."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        suite: CipherSuite | None = None,
        tls13: bool = True,
        server_name: str = "localhost",
        alpn: tuple[bytes, ...] = (),
        session: SSL.Session | None = None,
        version: int | None = None,
        ciphers: bytes = b"",
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.sock = sock
        self.end: End | None = None  # how the server's bytes ended
        self.close_notify = False  # the server's came (OpenSSL only; by hand: `reader.alerts`)
        self._secrets: dict[str, bytes] = {}
        self._buffer = bytearray()  # not fed to OpenSSL yet: records that are not whole
        if suite is not None:
            tls13 = suite.tls13
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        version = version or (SSL.TLS1_3_VERSION if tls13 else SSL.TLS1_2_VERSION)
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
        if suite is not None and tls13:
            context.set_tls13_ciphersuites(suite.openssl_name.encode())
        elif suite is not None:
            context.set_cipher_list(suite.openssl_name.encode())
        if ciphers:
            context.set_cipher_list(ciphers)
        if alpn:
            context.set_alpn_protos(list(alpn))
        context.set_keylog_callback(self._key_logged)
        self.ssl = SSL.Connection(context, None)
        self.ssl.set_connect_state()
        if server_name:
            self.ssl.set_tlsext_host_name(server_name.encode())
        if session is not None:
            self.ssl.set_session(session)
        self.forger: Forger
        self.reader: Reader

    def _key_logged(self, _connection: SSL.Connection, line: bytes) -> None:
        label, _random, secret = line.decode().split()
        self._secrets[label] = bytes.fromhex(secret)

    # -- bytes -----------------------------------------------------------------------------

    def outgoing(self) -> bytes:
        """What OpenSSL wants to send."""
        with contextlib.suppress(SSL.WantReadError):
            return self.ssl.bio_read(1 << 24)
        return b""

    async def send_raw(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.sock, data)

    async def flush(self) -> None:
        if data := self.outgoing():
            await self.send_raw(data)

    async def receive_raw(self) -> bytes:
        """The server's next bytes; b"" when they have ended: see `end`."""
        try:
            data = await self._loop.sock_recv(self.sock, 1 << 18)
        except ConnectionResetError:
            self.end = "reset"
            return b""
        if not data:
            self.end = "fin"
        return data

    def send_fin(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def send_reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        self.sock.close()

    # -- the handshake ---------------------------------------------------------------------

    def first_flight(self) -> bytes:
        with contextlib.suppress(SSL.WantReadError):
            self.ssl.do_handshake()
        return self.outgoing()

    async def handshake(self, *, finish: bool = True) -> None:
        """Raises SSL.Error for an alert. Not ``finish``: the last flight is left to the caller."""
        while True:
            try:
                self.ssl.do_handshake()
            except SSL.WantReadError:
                await self.flush()
            except SSL.Error:
                await self.flush()
                raise
            else:
                if finish:
                    await self.flush()
                return
            await self._feed_record()

    async def _feed_record(self) -> None:
        """One whole record to OpenSSL, so that nothing behind the handshake is swallowed."""
        while (size := self._record_size()) > len(self._buffer):
            data = await self.receive_raw()
            if not data:
                raise ConnectionError(f"{self.end} during the handshake")
            self._buffer += data
        self.ssl.bio_write(bytes(self._buffer[:size]))
        del self._buffer[:size]

    def _record_size(self) -> int:
        return 5 + int.from_bytes(self._buffer[3:5], "big") if len(self._buffer) >= 5 else 5

    # -- OpenSSL ---------------------------------------------------------------------------

    def seal(self, data: bytes) -> bytes:
        """The records of ``data``."""
        self.ssl.sendall(data)
        return self.outgoing()

    def seal_close_notify(self) -> bytes:
        with contextlib.suppress(SSL.Error):
            self.ssl.shutdown()
        return self.outgoing()

    async def send(self, data: bytes) -> None:
        await self.send_raw(self.seal(data))

    async def receive(self, limit: int = 1 << 18) -> bytes:
        """Plaintext; b"" at the end: see `close_notify` and `end`. Raises SSL.Error."""
        while True:
            if self._buffer:
                self.ssl.bio_write(bytes(self._buffer))
                self._buffer.clear()
            try:
                return self.ssl.recv(limit)
            except SSL.ZeroReturnError:
                self.close_notify = True
                return b""
            except SSL.WantReadError:
                await self.flush()
            self._buffer += await self.receive_raw()
            if not self._buffer:
                return b""

    async def receive_exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            more = await self.receive(size - len(data))
            assert more, f"{self.end} after {len(data)} of {size} bytes"
            data += more
        return bytes(data)

    async def receive_all(self) -> bytes:
        """To the end of TCP, the bytes behind close_notify included."""
        data = bytearray()
        while more := await self.receive():
            data += more
        while self.end is None:
            assert not await self.receive_raw(), "bytes behind close_notify"
        return bytes(data)

    def take_session(self) -> SSL.Session:
        """For another connection; as after a clean end, whatever this one has been through."""
        self.ssl.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)
        session = self.ssl.get_session()
        assert session is not None
        return session

    # -- by hand ---------------------------------------------------------------------------

    def go_raw(self) -> None:
        """From now on `forger` seals and `reader` opens, both from the first record on."""
        suite = BY_OPENSSL_NAME[self.ssl.get_cipher_name() or ""]
        if suite.tls13:
            write = traffic_keys(suite, self._secrets["CLIENT_TRAFFIC_SECRET_0"])
            read = traffic_keys(suite, self._secrets["SERVER_TRAFFIC_SECRET_0"])
        else:
            master, client_random = self.ssl.master_key(), self.ssl.client_random()
            server_random = self.ssl.server_random()
            assert master is not None
            assert client_random is not None
            assert server_random is not None
            write, read = tls12_keys(suite, master, client_random, server_random)
        self.forger = Forger(suite, write)
        self.reader = Reader(suite, read)

    async def read_raw_until_end(self) -> End:
        """Everything that still comes goes to the reader."""
        self.reader.feed(bytes(self._buffer))
        self._buffer.clear()
        while data := await self.receive_raw():
            self.reader.feed(data)
        assert self.end is not None
        return self.end

    async def read_raw(self, size: int) -> None:
        """Until ``size`` bytes of application data were read in all."""
        self.reader.feed(bytes(self._buffer))
        self._buffer.clear()
        while len(self.reader.data) < size:
            data = await self.receive_raw()
            assert data, f"{self.end} after {len(self.reader.data)} of {size} bytes"
            self.reader.feed(data)
