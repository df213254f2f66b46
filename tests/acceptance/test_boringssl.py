"""Clients with BoringSSL verify the development CA: curl-impersonate (curl_cffi) and gRPC.

They have an environment of their own: the Python that KSSL_BORINGSSL names, or one that is made
here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kssl.config.devca import DevelopmentCA
from tests.acceptance.conftest import Figure, Start
from tests.acceptance.support import MODES, TIMEOUT

pytestmark = pytest.mark.acceptance

PACKAGES = ("curl_cffi>=0.7", "grpcio>=1.60")

FETCH = """
import sys
from curl_cffi import CurlOpt, requests
url, ca, browser = sys.argv[1:]
options = {CurlOpt.CAINFO: ca.encode()}
got = requests.get(url, verify=ca, impersonate=browser, curl_options=options, timeout=60)
print(got.status_code, got.text)
"""

# A call of a server in the same process: kssl does not speak HTTP/2, without which gRPC ends the
# handshake before it sees a certificate.
CALL = """
import sys
from concurrent import futures
from pathlib import Path
import grpc
certificate, key, ca = (Path(each).read_bytes() for each in sys.argv[1:])
server = grpc.server(futures.ThreadPoolExecutor(1))
echo = grpc.unary_unary_rpc_method_handler(lambda request, context: b"echo of " + request)
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("a", {"b": echo})])
port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key, certificate)]))
server.start()
with grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(ca)) as channel:
    print(channel.unary_unary("/a/b")(b"a word", timeout=60).decode())
server.stop(None)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    known = os.environ.get("KSSL_BORINGSSL")
    if known:
        return Path(known)
    folder = tmp_path_factory.mktemp("boringssl")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=TIMEOUT)
    made = folder / "bin" / "python"
    done = subprocess.run(
        [
            *(str(made), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"),
            *("--disable-pip-version-check", *PACKAGES),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    if done.returncode:
        message = f"curl_cffi and grpcio cannot be installed: {done.stderr[-500:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return made


def run(python: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("browser", ["chrome", "safari"])
def test_curl_impersonate(
    proxy: Start, python: Path, figure: Figure, mode: str, browser: str
) -> None:
    server = proxy(mode)
    for host in ("localhost", "a.localhost"):
        done = run(python, FETCH, f"https://{host}:{server.port}/", str(server.ca), browser)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.startswith("200 ")
        assert "<title>kssl demo</title>" in done.stdout
    figure(f"page loaded, curl-impersonate as {browser}")


def test_grpc(python: Path, tmp_path: Path, figure: Figure) -> None:
    ca = DevelopmentCA.open_or_create(tmp_path / "state")
    paths = [str(each) for each in (*ca.ensure_leaf(["localhost"]), ca.ca_path)]
    done = run(python, CALL, *paths)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "echo of a word\n"
    figure("call answered, gRPC")


def test_the_leaf_with_addresses_is_what_it_cannot_judge(python: Path, tmp_path: Path) -> None:
    """If this fails, BoringSSL has learned it, and one development certificate is enough."""
    ca = DevelopmentCA.open_or_create(tmp_path / "state")
    done = run(python, CALL, *(str(each) for each in (*ca.ensure_leaf(), ca.ca_path)))
    assert done.returncode != 0
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr
