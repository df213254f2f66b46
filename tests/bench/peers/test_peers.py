"""Every peer that is installed does the work that it is measured at.

KSSL_PEER_VENV names a virtual environment with the peers that are Python packages. What is not
installed is skipped once, by name, in `test_is_gone_afterwards`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import ssl
from collections.abc import Callable, Iterator

import pytest
from websockets.asyncio.client import connect

from kssl.bench import nginx
from kssl.bench.contract import Subject, Surroundings
from kssl.bench.peers import PEERS
from kssl.config.devca import DevelopmentCA
from kssl.proxy.demo.stream import stream_sha256
from tests.bench.peers.client import connected
from tests.bench.peers.conftest import VENV
from tests.needs import need

MIB = 2**20

NO_HTTP = ("hitch", "stunnel")
NO_SESSIONS = ("proxy.py",)
OTHER_CIPHER = ("caddy",)

DEBIAN = {"haproxy": "haproxy", "hitch": "hitch", "stunnel": "stunnel4", "caddy": "caddy"}

# Those from Debian, and of the others what there is.
HERE = [
    name
    for name in PEERS
    if name.startswith("nginx") or name in DEBIAN or PEERS[name].missing(VENV) is None
]
WITH_TLS = [name for name in HERE if name != "nginx-plain"]


def need_peer(name: str) -> None:
    if name.startswith("nginx"):
        nginx.find() or need("nginx", "nginx-light")
    elif (reason := PEERS[name].missing(VENV)) is not None:
        if name in DEBIAN:
            need(name, DEBIAN[name])
        pytest.skip(f"{name} is tested where it is installed: {reason}")


@pytest.fixture(scope="module", params=HERE)
def subject(request: pytest.FixtureRequest, around: Surroundings) -> Iterator[Subject]:
    need_peer(request.param)
    with PEERS[request.param].start(around) as running:
        yield running


@pytest.fixture(scope="module")
def context(ca: DevelopmentCA) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca.ca_path)


def test_serves_over_one_connection(subject: Subject, context: ssl.SSLContext) -> None:
    upload = random.Random(1).randbytes(MIB)
    with connected(subject, context) as client:
        for size in (12, MIB, 0, 12):
            body = client.get(f"/bytes/{size}")
            assert hashlib.sha256(body).hexdigest() == stream_sha256(size)
        answer = json.loads(client.post("/upload", upload))
        assert answer["sha256"] == hashlib.sha256(upload).hexdigest()
        assert client.get("/tiny") == b"Hello, kssl\n"


def test_tells_the_app_of_the_client(subject: Subject, context: ssl.SSLContext) -> None:
    with connected(subject, context) as client:
        seen = json.loads(client.get("/request.json"))
    fields = {name.lower(): value for name, value in seen["headers"]}
    host = f"localhost:{subject.port}"
    assert fields["host"] == host
    if subject.name in NO_HTTP:
        assert "x-forwarded-for" not in fields
        assert "no HTTP" in subject.settings["note"]
        return
    assert fields["x-forwarded-for"] == fields["x-real-ip"] == "127.0.0.1"
    assert fields["x-forwarded-proto"] == subject.scheme
    assert fields["x-forwarded-host"] == host
    assert fields["x-forwarded-port"] == str(subject.port)


def test_passes_websockets_on(subject: Subject, context: ssl.SSLContext) -> None:
    secure = subject.scheme == "https"
    url = f"{'wss' if secure else 'ws'}://localhost:{subject.port}/ws"

    async def talk() -> None:
        # In one thread: an OpenSSL connection is not for two, of which one reads and one writes.
        tls = context if secure else None
        async with connect(url, ssl=tls, compression=None, proxy=None, open_timeout=60) as socket:
            for message in (b"x" * 125, "text", b"y" * 70_000):
                await socket.send(message)
                assert await socket.recv() == message

    asyncio.run(talk())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
@pytest.mark.parametrize("subject", WITH_TLS, indirect=True)
def test_resumes_sessions(subject: Subject, ca: DevelopmentCA, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=ca.ca_path)
    context.maximum_version = version
    session, reused = None, []
    for _ in range(2):
        with connected(subject, context, session) as client:
            # Tickets of TLS 1.3 come before the reply.
            client.get("/tiny")
            reused.append(client.tls.session_reused)
            session = client.tls.session
    assert reused == [False, subject.name not in NO_SESSIONS]


@pytest.mark.parametrize("subject", WITH_TLS, indirect=True)
def test_takes_the_same_cipher(subject: Subject, context: ssl.SSLContext) -> None:
    # As the loads: a client that says no more than what the library prefers.
    with connected(subject, context) as client:
        name, version, _ = client.tls.cipher() or ("", "", 0)
    assert version == "TLSv1.3"
    if subject.name in OTHER_CIPHER:
        assert name in subject.settings["note"]
    else:
        assert name == "TLS_AES_256_GCM_SHA384"


def test_says_what_it_is(subject: Subject) -> None:
    assert subject.version[0].isdigit()
    assert subject.kind == ("floor" if subject.name == "nginx-plain" else "peer")
    assert str(subject.port) in subject.settings["config"]
    assert subject.cpu()["front"].total > 0


@pytest.mark.parametrize("name", PEERS)
def test_is_gone_afterwards(name: str, around: Surroundings, gone: Callable[[int], bool]) -> None:
    need_peer(name)
    with PEERS[name].start(around) as running:
        pids = [pid for some in running.pids.values() for pid in some]
        assert pids
        assert not any(gone(pid) for pid in pids)
    assert all(gone(pid) for pid in pids)
