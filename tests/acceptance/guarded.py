"""A real service whose sites ask for client certificates, and clients that present what they like.

Certificates are dated by the clock, as the service's verifier is.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from kssl.proxy.service.spawn import spawn_proxy
from tests.acceptance.services import Running
from tests.fastpath.verifier.rules.pki import DAY, NOW, Extension, Made, self_signed

SECONDS = 60.0  # for anything that hangs

_NOW = datetime.now(UTC)
# What `pki` counts from its own NOW.
SINCE = _NOW - NOW - DAY
UNTIL = _NOW - NOW + 100 * DAY

ROOT = self_signed("CN=Root,O=Example", since=SINCE, until=UNTIL)


def issue(issuer: Made, subject: str, *extensions: Extension, ca: bool = False) -> Made:
    return issuer.issue(subject, *extensions, ca=ca, since=SINCE, until=UNTIL)


def crl(
    issuer: Made,
    *revoked: Made,
    extensions: Sequence[Extension] = (),
    since: timedelta = -DAY,
    until: timedelta = DAY,
) -> bytes:
    """DER; dates from today on."""
    return issuer.crl(
        *(each.certificate for each in revoked),
        since=_NOW - NOW + since, until=_NOW - NOW + until, extensions=extensions,
    )  # fmt: skip


# --- the service


@dataclass
class Guarded:
    """A running service. ``stderr``: a file."""

    running: Running
    stderr: Path

    @property
    def port(self) -> int:
        return self.running.port

    @property
    def verifier(self) -> int:
        """The pid of its verifier."""
        return int(self.running.ask()["verifier"]["pid"])

    @property
    def questions(self) -> int:
        """That the verifier has not answered yet; 0: it does not even say."""
        return int(self.running.ask()["verifier"]["questions"] or 0)

    def check(self) -> None:
        """Nothing has died, and nothing was a surprise."""
        told = self.running.status()
        found = [each["restarts"] for each in (*told["workers"], told["verifier"])]
        assert found == [0] * len(found)
        for word in ("Traceback", "could not be checked", "it cannot be said why"):
            assert word not in self.said, self.said

    @property
    def said(self) -> str:
        return self.stderr.read_text()


@contextlib.contextmanager
def guarded(
    folder: Path, sites: Mapping[str, str], app: int, *, mode: str, parameters: str = ""
) -> Iterator[Guarded]:
    """``sites``: host name → more lines of its [[site]]. The first name is the default. What is in
    ``folder`` already, the state above all, goes on to be used."""
    folder.mkdir(0o700, exist_ok=True)
    state = folder / "state"
    state.mkdir(0o700, exist_ok=True)
    _write(folder / "clients.pem", ROOT.pem)
    lines = ["[parameters]", f"EnableKernelSSL = {int(mode == 'kernel')}", parameters]
    lines += ["[logs]", 'access = "off"']
    for number, (name, more) in enumerate(sites.items()):
        lines += ["[[site]]", f'hostnames = ["{name}"]', 'bindings = ["127.0.0.1:0"]']
        lines += [f"default = {str(number == 0).lower()}"]
        lines += [f'upstreams = ["127.0.0.1:{app}"]', more]
    file, stderr = folder / "kssl.toml", folder / "stderr"
    _write(file, "\n".join([*lines, ""]).encode())
    with (
        stderr.open("wb") as errors,
        spawn_proxy(
            None, "--config", str(file), state_dir=state, listen=None, stderr=errors
        ) as process,
    ):
        yield Guarded(Running(process, state), stderr)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o600)


# --- clients


@dataclass(frozen=True, slots=True)
class Visit:
    """status: of HTTP; 0: the connection ended without one, and ``text`` is how."""

    status: int
    text: str
    seconds: float  # from connect to the end of the answer

    @property
    def word(self) -> str:
        """ "200", or status and substatus as the page tells them: "403.16"; or how it ended."""
        for substatus in ("403.7", "403.12", "403.13", "403.16", "403.17"):
            if substatus in self.text:
                return substatus
        return str(self.status or self.text)


def context_of(folder: Path, leaf: Made, *behind: bytes | Made) -> ssl.SSLContext:
    """A client's that presents ``leaf`` and, in this order, DER. It does not look at the server's
    certificate. Raises ssl.SSLError if OpenSSL cannot read what is to be presented."""
    key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    ders = [each if isinstance(each, bytes) else each.der for each in behind]
    text = "".join(map(ssl.DER_cert_to_PEM_cert, [leaf.der, *ders])).encode()
    path = folder / "presented.pem"
    _write(path, key + text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # what is strange is presented all the same
    context.load_cert_chain(path)
    return context


def connect(port: int, context: ssl.SSLContext, name: str) -> ssl.SSLSocket:
    """Behind its part of the handshake."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # for large flights
        return context.wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise


def visit(port: int, context: ssl.SSLContext, name: str = "localhost") -> Visit:
    """One request on a connection of its own."""
    began = time.monotonic()
    text, ended = b"", ""
    ask = f"GET /tiny HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
    try:
        with connect(port, context, name) as tls:
            tls.sendall(ask)
            while data := tls.recv(65536):
                text += data
    except ssl.SSLError as error:
        ended = error.reason or type(error).__name__
    except ConnectionError as error:
        ended = type(error).__name__
    seconds = time.monotonic() - began
    if text.startswith(b"HTTP/1.1 "):
        return Visit(int(text[9:12]), text.decode("utf-8", "replace"), seconds)
    return Visit(0, ended or "closed", seconds)
