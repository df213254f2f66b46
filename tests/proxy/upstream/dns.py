"""A name server on loopback whose answers can be changed."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from types import TracebackType
from typing import NoReturn, Self

import pytest

from kssl.proxy.upstream import lookup

_A, _AAAA = 1, 28
_NO_ERROR, _SERVER_FAILURE, _NO_SUCH_NAME = 0, 2, 3
_HEADER = struct.Struct("!2sHHHHH")


class NameServer:
    """Answers A and AAAA questions by UDP (RFC 1035 §4) from `names`: host name → TTL and
    addresses. `broken`: it answers "server failure" to everything."""

    def __init__(self) -> None:
        self.names: dict[str, tuple[int, list[str]]] = {}
        self.broken = False
        self.asked: list[str] = []
        """Names of all A questions, in order."""
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.servers = (f"127.0.0.1:{self._sock.getsockname()[1]}",)
        """What `kssl.proxy.upstream.lookup.look_up` takes."""
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self._sock.getsockname())
        self._thread.join(60)
        self._sock.close()

    def _run(self) -> None:
        while True:
            query, client = self._sock.recvfrom(4096)
            if not query:
                return
            self._sock.sendto(self._answer(query), client)

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode())
            at += 1 + length
        name, kind = ".".join(labels).lower(), int.from_bytes(query[at + 1 : at + 3])
        if kind == _A:
            self.asked.append(name)
        known = self.names.get(name)
        code = _SERVER_FAILURE if self.broken else _NO_ERROR if known else _NO_SUCH_NAME
        ttl, addresses = known if known and not self.broken else (0, [])
        found = [ipaddress.ip_address(each).packed for each in addresses]
        records = [
            # A pointer to the question's name, then type, class, TTL and length.
            struct.pack("!HHHIH", 0xC00C, kind, 1, ttl, len(packed)) + packed
            for packed in found
            if len(packed) == (4 if kind == _A else 16)
        ]
        header = _HEADER.pack(query[:2], 0x8180 | code, 1, len(records), 0, 0)
        return header + query[12 : at + 5] + b"".join(records)


def without_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system's resolver know no name, wherever the tests run."""

    def unknown(host: str) -> NoReturn:
        raise lookup.LookupFailedError("name or service not known", unknown=True)

    monkeypatch.setattr(lookup, "_ask_system", unknown)
