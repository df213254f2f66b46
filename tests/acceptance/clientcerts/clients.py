"""curl and openssl s_client as clients with a certificate, each from an address of its own."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from tests.acceptance.support import TIMEOUT
from tests.needs import need
from tests.proxy.frontend.certificates.wallet import Card

# "… tlsv1 alert unknown ca, errno 0" of curl, "… sslv3 alert certificate revoked:../ssl/…" of
# openssl.
_ALERT = re.compile(rb" alert ([a-z ]+)[,:]")


@dataclass(frozen=True)
class Visit:
    """One request. `source`: the client's address. `card`: None: no certificate is presented."""

    port: int
    ca: str
    host: str
    version: str
    source: str
    card: Card | None
    target: str = "/request.json"


@dataclass(frozen=True)
class Reply:
    """`answer`: the status line, "alert …" as the client words it, or all that it said."""

    answer: str
    body: bytes = b""


Client = Callable[[Visit], Reply]


def curl(visit: Visit, *more: str) -> Reply:
    command = [
        need("curl"), "--silent", "--show-error", "--include", "--noproxy", "*",
        "--cacert", visit.ca, "--interface", visit.source,
        "--resolve", f"{visit.host}:{visit.port}:127.0.0.1",
        f"--tlsv{visit.version}", "--tls-max", visit.version, *more,
    ]  # fmt: skip
    if visit.card is not None:
        command += ["--cert", str(visit.card.chain), "--key", str(visit.card.key)]
    command.append(f"https://{visit.host}:{visit.port}{visit.target}")
    done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT)
    return _reply(done.stdout, done.stderr)


def s_client(visit: Visit, request: bytes = b"") -> Reply:
    """``request``: instead of GET."""
    command = [
        need("openssl"), "s_client", "-quiet", "-verify_return_error", "-CAfile", visit.ca,
        "-connect", f"127.0.0.1:{visit.port}", "-bind", f"{visit.source}:0",
        "-servername", visit.host, f"-tls{visit.version.replace('.', '_')}",
    ]  # fmt: skip
    if visit.card is not None:
        command += ["-cert", str(visit.card.leaf), "-key", str(visit.card.key)]
        if visit.card.others is not None:
            command += ["-cert_chain", str(visit.card.others)]
    request = request or (
        f"GET {visit.target} HTTP/1.1\r\nHost: {visit.host}\r\nConnection: close\r\n\r\n".encode()
    )
    done = subprocess.run(command, input=request, capture_output=True, check=False, timeout=TIMEOUT)
    return _reply(done.stdout, done.stderr)


def _reply(out: bytes, notes: bytes) -> Reply:
    alert = _ALERT.search(notes)
    if alert is not None and not out:
        return Reply(f"alert {alert[1].decode()}")
    if out.startswith(b"HTTP/1.1 100 "):
        out = out.partition(b"\r\n\r\n")[2]
    head, _, body = out.partition(b"\r\n\r\n")
    line = head.partition(b"\r\n")[0].decode()
    return Reply(line or notes.decode("utf-8", "replace"), body)


CLIENTS: dict[str, Client] = {"curl": curl, "s_client": s_client}
