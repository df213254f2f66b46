"""Key updates of ``openssl s_client`` in the middle of a transfer, ten of each kind."""

from __future__ import annotations

import hashlib
import json

import pytest

from kssl.proxy.demo.stream import stream_sha256
from tests.acceptance.conftest import Figure, Start
from tests.acceptance.s_client import s_client
from tests.acceptance.support import MIB, MODES, mib

pytestmark = pytest.mark.acceptance

COMMANDS = [b"k", b"K"] * 10
_STEP = 8 * MIB


@pytest.mark.parametrize("mode", MODES)
def test_during_a_download(proxy: Start, figure: Figure, mode: str) -> None:
    size = _STEP * (len(COMMANDS) + 4)
    with s_client(proxy(mode)) as client:
        request = f"GET /bytes/{size} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        client.send(request.encode())
        for number, command in enumerate(COMMANDS, 1):
            client.wait_for(number * _STEP)
            client.update_keys(command)
            assert len(client.received) < size, "not in the middle any more"
        client.wait()
        assert client.updates == len(COMMANDS)
        assert len(client.body) == size
        assert hashlib.sha256(client.body).hexdigest() == stream_sha256(size)
    figure(f"{client.updates} key updates within {mib(size)} down, intact")


@pytest.mark.parametrize("mode", MODES)
def test_during_an_upload(proxy: Start, figure: Figure, mode: str) -> None:
    # Digits: no read of s_client's, wherever it begins, may look like a command.
    block = b"".join(b"%07d," % number for number in range(MIB // 8))
    blocks = 2 * (len(COMMANDS) + 1)
    digest = hashlib.sha256()
    with s_client(proxy(mode)) as client:
        client.send(
            b"POST /upload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n" % (len(block) * blocks)
        )
        commands = iter(COMMANDS)
        for number in range(blocks):
            client.send(block)
            digest.update(block)
            if number % 2 and (command := next(commands, None)):
                client.update_keys(command)
        client.wait()
        told = json.loads(bytes(client.body))
        assert client.updates == len(COMMANDS)
    assert (told["bytes"], told["sha256"]) == (len(block) * blocks, digest.hexdigest())
    figure(f"{client.updates} key updates within {mib(told['bytes'])} up, intact")
