"""One look at a subject before it is measured: is the reply right, and which cipher is used?"""

from __future__ import annotations

import hashlib
import http.client
import ssl
from dataclasses import dataclass

from bench.errors import BenchError
from bench.scenarios import Scenario

_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Probed:
    """What was negotiated."""

    tls: str
    cipher: str


def probe(port: int, path: str, scenario: Scenario, ca: str) -> Probed:
    """Fetches the scenario's reply once. Raises BenchError unless it is right."""
    # OpenSSL's defaults, as wrk: a client that says no more than "what the library prefers".
    context = ssl.create_default_context(cafile=ca)
    connection = http.client.HTTPSConnection(
        "localhost", port, timeout=_TIMEOUT_SECONDS, context=context
    )
    try:
        connection.request("GET", path)
        sock = connection.sock
        assert isinstance(sock, ssl.SSLSocket)
        cipher = sock.cipher()
        probed = Probed(sock.version() or "?", cipher[0] if cipher else "?")
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"https://localhost:{port}{path}: {error}") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise BenchError(f"https://localhost:{port}{path}: HTTP {response.status}")
    if hashlib.sha256(body).hexdigest() != scenario.sha256():
        raise BenchError(f"https://localhost:{port}{path}: not the bytes of the backend")
    return probed
