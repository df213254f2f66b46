"""The crypto worker is killed in the middle of a download in kernel mode."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time

import pytest

from kssl.bench.proc import children
from kssl.proxy.demo.stream import stream_sha256
from tests.acceptance.conftest import Figure, Start
from tests.acceptance.support import MIB, SIZE, curl, fetch, mib
from tests.needs import need

pytestmark = pytest.mark.acceptance


def test_worker_killed_during_a_download(fresh_proxy: Start, figure: Figure) -> None:
    need("curl")
    server = fresh_proxy("kernel")
    (worker,) = server.worker_pids
    digest, size, handshake = hashlib.sha256(), 0, 0.0
    command = curl(f"{server.url}/bytes/{SIZE}", server.ca)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while piece := process.stdout.read(MIB):
            digest.update(piece)
            size += len(piece)
            if not handshake and size >= SIZE // 4:
                os.kill(worker, signal.SIGKILL)
                began = time.perf_counter()
                assert fetch(f"{server.url}/tiny", server.ca) == b"Hello, kssl\n"
                handshake = time.perf_counter() - began
    assert process.returncode == 0
    assert (size, digest.hexdigest()) == (SIZE, stream_sha256(SIZE))
    assert worker not in children(server.pid)
    figure(f"{mib(size)} intact; next handshake (and the restart) after {handshake * 1e3:.0f} ms")
    assert handshake < 1.0
