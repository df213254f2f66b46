"""A verifier and the front end's end of its socketpair."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from kssl.config.client_certificates import ClientCertificates
from kssl.fastpath.ipc.frames import HEADER, FrameType, Joined, append, pieces
from kssl.fastpath.verifier.messages import ClientVerdict, pack_judge, unpack_verdict
from kssl.fastpath.verifier.process import Verifier
from tests.fastpath.verifier.rules.pki import NOW, Made, self_signed

SECONDS = 60.0

ROOT = self_signed("CN=Root,O=Example")


class Clock:
    """Both clocks of a verifier; ``seconds`` may be moved by the test."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.time: datetime = NOW

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.time


class Front:
    """The front end's side, spoken by hand and blocking."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(SECONDS)
        self.sock = sock
        self._next = 0

    def send(self, kind: FrameType, connection: int, payload: bytes = b"") -> None:
        out = bytearray()
        append(out, kind, connection, payload)
        self.sock.sendall(out)

    def receive(self) -> tuple[int, int, bytes]:
        """Type, connection, payload."""
        size, connection, kind = HEADER.unpack(self._exactly(HEADER.size))
        return kind, connection, self._exactly(size)

    def configure(self, told: dict[str, Any], *, again: bool = False) -> tuple[int, bytes]:
        """READY or REFUSED, and what comes with it."""
        for piece in pieces(json.dumps(told).encode()):
            self.send(FrameType.RECONFIGURE if again else FrameType.CONFIGURE, 0, piece)
        joined = Joined()
        while True:
            kind, connection, payload = self.receive()
            assert connection == 0
            whole = joined.add(payload)
            if whole is not None:
                return kind, whole

    def ready(self, told: dict[str, Any], *, again: bool = False) -> list[str]:
        """The warnings."""
        kind, payload = self.configure(told, again=again)
        assert kind == FrameType.READY, payload
        answer = json.loads(payload)
        assert answer["problems"] == []
        warnings: list[str] = answer["warnings"]
        return warnings

    def refused(self, told: dict[str, Any], *, again: bool = False) -> list[str]:
        kind, payload = self.configure(told, again=again)
        assert kind == FrameType.REFUSED
        return payload.decode().split("\n")

    def ask(self, wanted: ClientCertificates | str, *presented: Made | bytes) -> int:
        """The number of the question."""
        self._next += 1
        policy = wanted if isinstance(wanted, str) else wanted.policy
        ders = [each if isinstance(each, bytes) else each.der for each in presented]
        self.send(FrameType.JUDGE, self._next, pack_judge(policy, ders))
        return self._next

    def verdict(self) -> tuple[int, ClientVerdict]:
        """The next one, and of which question."""
        kind, connection, payload = self.receive()
        assert kind == FrameType.VERDICT
        return connection, unpack_verdict(payload)

    def judge(self, wanted: ClientCertificates | str, *presented: Made | bytes) -> ClientVerdict:
        asked = self.ask(wanted, *presented)
        connection, verdict = self.verdict()
        assert connection == asked
        return verdict

    def count(self) -> int:
        """Questions in progress."""
        self.send(FrameType.COUNT, 0)
        kind, connection, payload = self.receive()
        assert (kind, connection) == (FrameType.COUNTS, 0)
        counts = json.loads(payload)
        assert counts["connections"] == counts["handshakes"]
        return int(counts["connections"])

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.sock.recv(size - len(data))
            assert part, "the verifier is gone"
            data += part
        return data


@contextmanager
def verifier(clock: Clock | None = None) -> Iterator[Front]:
    """One in a thread of this process."""
    clock = clock or Clock()
    ours, theirs = socket.socketpair()
    died: list[BaseException] = []
    ended: list[bool] = []

    def run() -> None:
        try:
            with theirs:
                made = Verifier(theirs, clock=clock, now=clock.now)
                try:
                    made.run()
                finally:
                    ended.append(made.close())
        except BaseException as error:
            died.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with ours:
            yield Front(ours)
    finally:
        thread.join(SECONDS)
    assert not thread.is_alive()
    assert not died, died
    assert ended == [True]


def wait_for(condition: Callable[[], object]) -> None:
    """Returns once it is true."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.002)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def site(folder: Path, **settings: Any) -> ClientCertificates:
    """One that trusts `ROOT`."""
    ca = folder / "ca.pem"
    if not ca.exists():
        write(ca, ROOT.pem)
    return dataclasses.replace(ClientCertificates(required=True, ca=ca), **settings)


def told(
    folder: Path,
    *sites: ClientCertificates,
    retrieve_issuers: bool = False,
    allowed: Sequence[str] = (),
) -> dict[str, Any]:
    return {
        "state_dir": str(folder / "state"),
        "retrieve_issuers": retrieve_issuers,
        "allowed": list(allowed),
        "policies": {each.policy: each.to_json() for each in sites},
        "sites": {each.policy: repr(f"number {at}") for at, each in enumerate(sites, 1)},
    }
