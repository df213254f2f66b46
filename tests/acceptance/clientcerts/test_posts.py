"""64 MiB in one request of a client that has a certificate, and of one that is refused.

IIS asks for the certificate again in the middle of a request if it does not in the first handshake.
It must then hold the body, and answers 413 if that is larger than its UploadReadAheadSize.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kssl.proxy.demo.stream import pieces, stream_sha256
from tests.acceptance.clientcerts.clients import CLIENTS, Reply, Visit, curl, s_client
from tests.acceptance.clientcerts.conftest import Serve
from tests.acceptance.support import MIB, MODES
from tests.proxy.frontend.certificates.table import FLAGS, VERSIONS, host_of
from tests.proxy.frontend.certificates.wallet import Wallet

pytestmark = pytest.mark.acceptance

SIZE = 64 * MIB
every_mode = pytest.mark.parametrize("mode", MODES)
every_version = pytest.mark.parametrize("version", VERSIONS)

_sources = (f"127.200.{n // 200}.{1 + n % 200}" for n in itertools.count())


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("post") / "stream.bin"
    with path.open("wb") as file:
        for piece in pieces(SIZE):
            file.write(piece)
    yield path
    path.unlink()


@every_mode
@every_version
@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("client", CLIENTS)
def test_64_mib_arrive(
    serve: Serve, wallet: Wallet, body: Path,
    mode: str, version: str, flags: str, client: str,
) -> None:  # fmt: skip
    server, host = serve(mode), host_of(flags, "page")
    card = wallet.cards["good"]
    visit = Visit(server.port, server.ca, host, version, next(_sources), card, "/upload")
    reply = _post(client, visit, body)
    assert reply.answer == "HTTP/1.1 200 OK"
    told = json.loads(reply.body)
    assert (told["bytes"], told["sha256"]) == (SIZE, stream_sha256(SIZE))


@every_mode
@every_version
@pytest.mark.parametrize("presents", ["none", "other CA"])
@pytest.mark.parametrize("client", [*CLIENTS, "curl, no Expect"])
def test_64_mib_of_a_refused_client(
    serve: Serve, wallet: Wallet, body: Path, mode: str, version: str, presents: str, client: str
) -> None:
    """The page, neither a reset nor 413."""
    server, host = serve(mode), host_of("require", "page")
    card = wallet.cards.get(presents)
    visit = Visit(server.port, server.ca, host, version, next(_sources), card, "/upload")
    reply = _post(client, visit, body)
    assert reply.answer == "HTTP/1.1 403 Forbidden"
    title = b"<title>403.7 Forbidden" if presents == "none" else b"<title>403.16 Forbidden"
    assert title in reply.body
    assert reply.body.endswith(b"</html>\n")
    logged = server.logged_of([visit.source])[visit.source]
    assert logged.error is not None
    assert logged.error[0] == "403"


def _post(client: str, visit: Visit, body: Path) -> Reply:
    if client == "s_client":
        head = f"POST /upload HTTP/1.1\r\nHost: {visit.host}\r\nContent-Length: {SIZE}\r\n"
        head += "Connection: close\r\n\r\n"
        return s_client(visit, head.encode() + body.read_bytes())
    more = ["--header", "Expect:"] if client != "curl" else []
    return curl(visit, "--upload-file", str(body), *more)
