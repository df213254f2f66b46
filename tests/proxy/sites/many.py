"""A configuration with many sites on one address: a host name, a certificate and an app each."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from kssl.config.parameter import Profile

SECONDS = 60.0


class Apps:
    """One app for each site, all in one thread. An app answers each request with its number."""

    def __init__(self, count: int) -> None:
        self.ports: list[int] = []
        self._count = count
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))

    async def _run(self) -> None:
        servers = [
            await self._loop.create_server(lambda number=number: _App(number), "127.0.0.1", 0)  # type: ignore[misc]
            for number in range(self._count)
        ]
        self.ports = [server.sockets[0].getsockname()[1] for server in servers]
        self._ready.set()
        await self._end.wait()
        for server in servers:
            server.close()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(SECONDS)
        for transport in _App.transports:
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


class _App(asyncio.Protocol):
    transports: set[asyncio.Transport] = set()  # noqa: RUF012

    def __init__(self, number: int) -> None:
        body = b"%d" % number
        self._answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.transports.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Requests without bodies, one after the other."""
        self._head += data
        if self._head.endswith(b"\r\n\r\n"):
            self._head = b""
            self._transport.write(self._answer)


class Sites:
    """`file`, a kssl.toml, and the certificates that it names. ``certificates[n]``: all that site
    n has had, DER, the last one in its file now."""

    def __init__(self, folder: Path, ports: list[int], *, mode: str, profile: Profile) -> None:
        folder.mkdir(0o700)
        self.file = folder / "kssl.toml"
        self.names = [f"site{number}.example.test" for number in range(len(ports))]
        self.certificates: list[list[bytes]] = [[] for _ in ports]
        self._folder = folder
        self._ca = trustme.CA()
        self.context = ssl.create_default_context()
        self._ca.configure_trust(self.context)
        for number in range(len(ports)):
            self.renew(number)
        self._write(ports, mode, profile)

    def _write(self, ports: list[int], mode: str, profile: Profile) -> None:
        lines = [f'profile = "{profile}"', "[parameters]"]
        lines += [f"EnableKernelSSL = {int(mode == 'kernel')}", "[logs]", 'access = "off"']
        for number, (name, port) in enumerate(zip(self.names, ports, strict=True)):
            lines += [
                "[[site]]",
                f'hostnames = ["{name}"]',
                'bindings = ["127.0.0.1:0"]',
                f'certificate = "{number}.pem"',
                f'upstreams = ["127.0.0.1:{port}"]',
            ]
        self.file.write_text("\n".join([*lines, ""]))
        self.file.chmod(0o600)

    def renew(self, number: int) -> None:
        """Another key and certificate, put in place as a whole."""
        issued = self._ca.issue_cert(self.names[number], key_type=trustme.KeyType.ECDSA)
        new = self._folder / "new.pem"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(issued.private_key_and_cert_chain_pem.bytes())
        new.rename(self._folder / f"{number}.pem")
        leaf = issued.cert_chain_pems[0].bytes().decode()
        self.certificates[number].append(ssl.PEM_cert_to_DER_cert(leaf))
