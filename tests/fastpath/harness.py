"""The front end's side of a connection, for tests: sockets, a worker process, a recording sink.

Client ──TCP on loopback── Channel ── Handshake, then Engine ── RecordingSink
                                           │
                                      worker process (`Place`)
"""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from kssl.config.devca import DEFAULT_NAMES
from kssl.fastpath.engines.aead import AeadEngine
from kssl.fastpath.engines.contract import Engine, Handover, Session
from kssl.fastpath.engines.handshake import Handshake
from kssl.fastpath.engines.worker import WorkerEngine
from kssl.fastpath.ipc.frames import FrameType, pack_begin, pack_connect
from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.ipc.supervisor import Supervisor, WorkerSettings
from kssl.fastpath.net.channel import Channel
from kssl.fastpath.net.closing import Ending
from kssl.fastpath.tls.suites import CipherSuite
from tests.fastpath.client import Client

ENGINES: tuple[type[Engine], ...] = (AeadEngine, WorkerEngine)

# Seconds until a test that waits has failed. Far more than anything here takes.
PATIENCE = 60.0


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Returns once ``condition()`` is true; fails after `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE:.0f} s: {what or condition}")
        await asyncio.sleep(0.001)


def tcp_pair(*, buffers: int | None = None) -> tuple[socket.socket, socket.socket]:
    """(server's end, client's end) over loopback, non-blocking; ``buffers``: small ones, bytes."""
    with socket.socket() as listener:
        if buffers:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = socket.socket()
        if buffers:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    for sock in (server, client):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server, client


def process_exists(pid: int) -> bool:
    """Whether ``pid`` runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Certificates:
    """Self-signed pairs for `localhost`, made once: ECDSA and RSA, because suites ask for one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ecdsa = self._make("ecdsa", ec.generate_private_key(ec.SECP256R1()))
        self.rsa = self._make("rsa", rsa.generate_private_key(65537, 2048))

    def _make(
        self, name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    ) -> tuple[Path, Path]:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=36500))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .sign(key, hashes.SHA256())
        )
        cert_path, key_path = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert_path.write_bytes(certificate.public_bytes(Encoding.PEM))
        cert_path.chmod(0o644)  # whatever the umask: others may not change it
        key_path.touch(0o600)
        key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return cert_path, key_path

    def for_suite(self, suite: CipherSuite | None) -> tuple[Path, Path]:
        return self.rsa if suite is not None and "_RSA_" in suite.name else self.ecdsa


class RecordingSink:
    """Notes what the engine says, and what it must not say."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.closed: list[bool] = []
        self.failed: list[str] = []
        self.left = 0
        self.writables = 0
        self.endings: list[Ending] = []
        self.deaf = False  # after close and abort nothing more may come
        self.violations: list[str] = []
        self.on_data: Callable[[memoryview], None] = lambda data: None

    @property
    def over(self) -> bool:
        return bool(self.closed or self.failed)

    def _check(self, event: str, after_end: bool) -> None:
        if self.endings:
            self.violations.append(f"{event} after ended")
        if self.deaf:
            self.violations.append(f"{event} after close or abort")
        if after_end and self.over:
            self.violations.append(f"{event} after the end")

    def plaintext_received(self, data: memoryview) -> None:
        self._check("plaintext_received", after_end=True)
        if not len(data):
            self.violations.append("empty plaintext")
        self.data += data
        self.on_data(data)

    def peer_closed(self, clean: bool) -> None:
        self._check("peer_closed", after_end=True)
        self.closed.append(clean)

    def peer_left(self) -> None:
        self._check("peer_left", after_end=self.closed != [True])
        self.left += 1

    def engine_failed(self, reason: str) -> None:
        self._check("engine_failed", after_end=bool(self.failed))
        self.failed.append(reason)

    def writable(self) -> None:
        self._check("writable", after_end=bool(self.failed))
        self.writables += 1

    def ended(self, ending: Ending) -> None:
        if self.endings:
            self.violations.append("ended twice")
        self.endings.append(ending)


class Accepted:
    """One accepted connection: the handshake's owner, then whoever writes to the engine."""

    def __init__(
        self,
        sock: socket.socket,
        supervisor: Supervisor,
        engine: type[Engine],
        *,
        close_notify: bool = True,
        first_bytes: bytes = b"",
        reading: bool = True,
        endpoint: int = 0,
        upstream: str | None = None,
    ) -> None:
        """``upstream``: we are its client; as in `kssl.config.target.UpstreamTls.to_json`."""
        self.loop = asyncio.get_running_loop()
        self.sink = RecordingSink()
        self.session: Session | None = None
        self.keys = b""
        self.leftover = b""
        self.failure: str | None = None
        self._engine_type = engine
        self._engine: Engine | None = None
        self._close_notify = close_notify
        self._reading = reading
        self.channel = Channel(self.loop, sock, lambda: None, lambda: None, lambda error: None)
        self.handshake = Handshake(
            self.loop,
            self.channel,
            supervisor,
            self,
            begin=(
                (FrameType.BEGIN, pack_begin(engine.kernel_mode, endpoint))
                if upstream is None
                else (FrameType.CONNECT, pack_connect(engine.kernel_mode, upstream))
            ),
            first_bytes=first_bytes,
        )

    @property
    def engine(self) -> Engine:
        assert self._engine is not None, f"no engine; handshake failed: {self.failure}"
        return self._engine

    def handshake_done(
        self, session: Session, link: WorkerLink, identifier: int, keys: bytes, leftover: bytes
    ) -> None:
        assert self.session is None
        assert self.failure is None
        self.session, self.keys, self.leftover = session, keys, leftover
        self._engine = self._engine_type(
            Handover(
                loop=self.loop,
                channel=self.channel,
                link=link,
                identifier=identifier,
                keys=keys,
                close_notify=self._close_notify,
            ),
            self.sink,
        )
        if self._reading:
            self._engine.start(leftover)

    def handshake_failed(self, reason: str) -> None:
        assert self.session is None
        assert self.failure is None
        self.failure = reason

    @property
    def decided(self) -> bool:
        return self._engine is not None or self.failure is not None

    def write(self, data: bytes) -> None:
        """As the front end does it: one spare byte, lent and restored; then the buffer's next use.

        Whatever leaves after this call must not come from the buffer."""
        buffer = bytearray(data + b"\xa5")
        self.engine.write(memoryview(buffer), len(data))
        assert buffer[-1] == 0xA5, "the spare byte was not restored"
        buffer[:] = b"\xee" * len(buffer)

    async def write_all(self, data: bytes, chunk: int = 64 * 1024) -> int:
        """Writes as a sink must: waits while congested. Returns the largest backlog seen."""
        largest = 0
        for start in range(0, len(data), chunk):
            while self.engine.congested:
                seen = self.sink.writables
                await until(lambda seen=seen: self.sink.writables > seen, "writable")  # type: ignore[misc]
            self.write(data[start : start + chunk])
            largest = max(largest, self.engine.backlog)
        return largest

    def close(self) -> None:
        self.sink.deaf = True
        self.engine.close()

    def abort(self, *alert: Any) -> None:
        self.sink.deaf = True
        self.engine.abort(*alert)

    async def gone(self) -> None:
        """Until the channel is closed for good."""
        await until(lambda: self.channel.closed, "channel closed")

    def drop(self) -> None:
        """When a test ends, however it ends."""
        self.sink.deaf = False
        if self._engine is not None and not self.channel.closed:
            self._engine.abort()
        elif self.failure is None:
            self.handshake.cancel()
        self.channel.close()


def worker_settings(
    state_dir: Path,
    pair: tuple[Path, Path | None] | None = None,
    *,
    names: tuple[str, ...] = DEFAULT_NAMES,
    kernel_mode: bool = True,
    upstreams: Sequence[Mapping[str, str | None]] = (),
) -> WorkerSettings:
    """One endpoint and one certificate: ``pair``, or one of the development CA for ``names``."""
    return WorkerSettings(
        str(state_dir),
        kernel_mode,
        {
            "certificates": [told_certificate(pair, names=names)],
            "endpoints": [{"names": {}, "default": 0}],
            "upstreams": list(upstreams),
        },
    )


def told_certificate(
    pair: tuple[Path, Path | None] | None, *, names: tuple[str, ...] = (), policy: str = ""
) -> dict[str, Any]:
    """As in `kssl.config.routing.tls_settings`."""
    certificate, key = pair or (None, None)
    return {
        "certificate": str(certificate) if certificate is not None else None,
        "key": str(key) if key is not None else None,
        "names": [] if pair else list(names),
        "policy": policy,
    }


class Place:
    """One worker process with its certificate, and the connections that a test makes.

    ``hops`` 2: with a filter in front of the worker.
    """

    def __init__(
        self,
        state_dir: Path,
        pair: tuple[Path, Path] | None,
        *,
        names: tuple[str, ...] = (),
        hops: int = 1,
        upstreams: Sequence[Mapping[str, str | None]] = (),
    ) -> None:
        settings = worker_settings(
            state_dir, pair, names=names or DEFAULT_NAMES, upstreams=upstreams
        )
        self.supervisor = Supervisor(settings, hops=hops)
        self.answer: dict[str, Any] = {}
        self.loop_errors: list[dict[str, Any]] = []
        self._accepted: list[Accepted] = []
        self._clients: list[Client] = []

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: self.loop_errors.append(context))
        self.answer = await self.supervisor.start()

    @property
    def pid(self) -> int:
        assert self.supervisor.pid is not None
        return self.supervisor.pid

    @property
    def filter_pid(self) -> int:
        assert self.supervisor.filter_pid is not None
        return self.supervisor.filter_pid

    @property
    def link(self) -> WorkerLink:
        assert self.supervisor.link is not None, "there is no worker"
        return self.supervisor.link

    def kill_worker(self) -> None:
        """SIGKILL to the process that this place started."""
        os.kill(self.pid, 9)

    async def worker_is_lost(self) -> None:
        await until(lambda: self.supervisor.link is None, "the front end noticed")

    async def worker_is_back(self) -> None:
        await until(lambda: self.supervisor.link is not None, "another worker")

    def pair(
        self,
        engine: type[Engine],
        *,
        suite: CipherSuite | None = None,
        tls13: bool = True,
        buffers: int | None = None,
        close_notify: bool = True,
        reading: bool = True,
        endpoint: int = 0,
        **client_options: Any,
    ) -> tuple[Client, Accepted]:
        """Both ends, connected; the client has sent nothing yet."""
        theirs, ours = tcp_pair(buffers=buffers)
        client = Client(ours, suite=suite, tls13=tls13, **client_options)
        self._clients.append(client)
        accepted = Accepted(
            theirs,
            self.supervisor,
            engine,
            close_notify=close_notify,
            reading=reading,
            endpoint=endpoint,
        )
        self._accepted.append(accepted)
        return client, accepted

    def to_upstream(
        self, engine: type[Engine], sock: socket.socket, upstream: str, **options: Any
    ) -> Accepted:
        """The client's end of a connection to an upstream; ``sock`` is connected."""
        made = Accepted(sock, self.supervisor, engine, upstream=upstream, **options)
        self._accepted.append(made)
        return made

    async def connect(self, engine: type[Engine], **options: Any) -> tuple[Client, Accepted]:
        """Both ends, after the handshake."""
        client, accepted = self.pair(engine, **options)
        await client.handshake()
        await until(lambda: accepted.decided, "handshake")
        assert accepted.failure is None, accepted.failure
        return client, accepted

    def settle(self) -> None:
        """After each test: everything is closed, and nothing went wrong unseen."""
        violations = [v for accepted in self._accepted for v in accepted.sink.violations]
        for accepted in self._accepted:
            accepted.drop()
        for client in self._clients:
            client.close()
        self._accepted.clear()
        self._clients.clear()
        errors, self.loop_errors[:] = list(self.loop_errors), []
        assert not violations
        assert not errors

    async def stop(self) -> None:
        await self.supervisor.stop()


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]
