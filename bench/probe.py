"""One look at a subject before it is measured: is the answer right, and which cipher is used?"""

from __future__ import annotations

import hashlib
import http.client
import ssl
from dataclasses import dataclass

from kssl.bench.errors import BenchError
from kssl.bench.scenarios import Scenario
from kssl.bench.subjects import Subject

_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Probed:
    """What was negotiated; nothing without TLS."""

    tls: str | None
    cipher: str | None


def probe(subject: Subject, path: str, scenario: Scenario, ca: str) -> Probed:
    """Does once what the scenario does. Raises BenchError unless the answer is right."""
    url = f"{subject.scheme}://localhost:{subject.port}{path}"
    connection = _connection(subject, ca)
    try:
        if scenario.uploads:
            fields = {"Content-Type": scenario.content_type}
            connection.request("POST", path, scenario.body(), fields)
        else:
            connection.request("GET", path)
        probed = _negotiated(connection)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{url}: {error}") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise BenchError(f"{url}: HTTP {response.status}")
    if not scenario.uploads and hashlib.sha256(body).hexdigest() != scenario.sha256():
        raise BenchError(f"{url}: not the bytes of the backend")
    return probed


def _connection(subject: Subject, ca: str) -> http.client.HTTPConnection:
    if subject.scheme == "http":
        return http.client.HTTPConnection("localhost", subject.port, timeout=_TIMEOUT_SECONDS)
    # OpenSSL's defaults, as wrk: a client that says no more than "what the library prefers".
    context = ssl.create_default_context(cafile=ca)
    return http.client.HTTPSConnection(
        "localhost", subject.port, timeout=_TIMEOUT_SECONDS, context=context
    )


def _negotiated(connection: http.client.HTTPConnection) -> Probed:
    sock = connection.sock
    if not isinstance(sock, ssl.SSLSocket):
        return Probed(None, None)
    cipher = sock.cipher()
    return Probed(sock.version(), cipher[0] if cipher else None)
