"""Every mode, TLS version, cipher and codec: a gigabyte each way arrives as it was sent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kssl.proxy.demo.stream import pieces, stream_sha256
from tests.acceptance.conftest import Figure, Start
from tests.acceptance.support import MODES, SIZE, fetch, fetch_hashed, mib
from tests.needs import need

pytestmark = pytest.mark.acceptance

# What curl is told, and what the app must be told then.
_TLS13 = ["--tlsv1.3", "--tls13-ciphers"]
_TLS12 = ["--tlsv1.2", "--tls-max", "1.2", "--ciphers"]
# The app is told the name of the standard (IANA), not OpenSSL's.
_ECDHE = "TLS_ECDHE_ECDSA_WITH"
CIPHERS = {
    "1.3-aes128": ([*_TLS13, "TLS_AES_128_GCM_SHA256"], "TLS_AES_128_GCM_SHA256"),
    "1.3-aes256": ([*_TLS13, "TLS_AES_256_GCM_SHA384"], "TLS_AES_256_GCM_SHA384"),
    "1.3-chacha": ([*_TLS13, "TLS_CHACHA20_POLY1305_SHA256"], "TLS_CHACHA20_POLY1305_SHA256"),
    "1.2-aes128": ([*_TLS12, "ECDHE-ECDSA-AES128-GCM-SHA256"], f"{_ECDHE}_AES_128_GCM_SHA256"),
    "1.2-aes256": ([*_TLS12, "ECDHE-ECDSA-AES256-GCM-SHA384"], f"{_ECDHE}_AES_256_GCM_SHA384"),
    "1.2-chacha": (
        [*_TLS12, "ECDHE-ECDSA-CHACHA20-POLY1305"], f"{_ECDHE}_CHACHA20_POLY1305_SHA256",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def upload_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("upload") / "stream.bin"
    with path.open("wb") as file:
        for piece in pieces(SIZE):
            file.write(piece)
    yield path
    path.unlink()


@pytest.mark.parametrize("codec", ["httptools", "h11"])
@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("mode", MODES)
def test_a_gigabyte_each_way(
    proxy: Start, figure: Figure, upload_file: Path, mode: str, cipher: str, codec: str
) -> None:
    need("curl")
    server = proxy(mode, codec)
    options, name = CIPHERS[cipher]
    seen: dict[str, Any] = json.loads(fetch(f"{server.url}/request.json", server.ca, *options))
    assert (seen["tls"]["mode"], seen["tls"]["cipher"]) == (mode, name)
    down = fetch_hashed(f"{server.url}/bytes/{SIZE}", server.ca, *options)
    assert (down.size, down.sha256) == (SIZE, stream_sha256(SIZE))
    began = time.perf_counter()
    up = ["--upload-file", str(upload_file)]
    told = json.loads(fetch(f"{server.url}/upload", server.ca, *options, *up))
    speed = SIZE / (time.perf_counter() - began) / 1e6
    assert (told["bytes"], told["sha256"]) == (SIZE, stream_sha256(SIZE))
    assert not told["chunked"]
    figure(f"{mib(SIZE)} each way intact, down {down.speed}, up {speed:,.0f} MB/s")
