"""`Handshake` with a real worker: what clients send, whole, in pieces, too much, and wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from OpenSSL import SSL

from kssl.fastpath.engines.aead import AeadEngine
from kssl.fastpath.worker.development import MAX_NAMES
from kssl.fastpath.worker.handshake import MAX_SHORT_RECORDS
from tests.fastpath.harness import Place, until
from tests.fastpath.tls.test_clienthello import hello
from tests.processes import halt

pytestmark = pytest.mark.asyncio(loop_scope="module")

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_dev_place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    place = Place(tmp_path_factory.mktemp("dev"), None)
    await place.start()
    yield place
    await place.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def dev_place(module_dev_place: Place) -> AsyncIterator[Place]:
    """A worker with the development CA."""
    yield module_dev_place
    module_dev_place.settle()


@pytest_asyncio.fixture(loop_scope="module")
async def own_dev_place(tmp_path: Path) -> AsyncIterator[Place]:
    """One that this test alone uses up."""
    place = Place(tmp_path, None)
    await place.start()
    try:
        yield place
        place.settle()
    finally:
        await place.stop()


# -- what was negotiated -------------------------------------------------------------------


@every_version
async def test_the_session_is_told(tls13: bool, place: Place) -> None:
    client, accepted = await place.connect(
        AeadEngine, tls13=tls13, server_name="app.localhost", alpn=(b"h2", b"http/1.1")
    )
    session = accepted.session
    assert session is not None
    assert session.version == ("TLSv1.3" if tls13 else "TLSv1.2")
    assert session.server_name == "app.localhost"
    assert session.alpn == "http/1.1"
    assert session.group
    assert client.ssl.get_alpn_proto_negotiated() == b"http/1.1"


async def test_a_client_that_speaks_http10_alone(place: Place) -> None:
    _, accepted = await place.connect(AeadEngine, alpn=(b"http/1.0",))
    assert accepted.session is not None
    assert accepted.session.alpn == "http/1.0"


async def test_a_client_without_sni_and_alpn(place: Place) -> None:
    _, accepted = await place.connect(AeadEngine, server_name="")
    assert accepted.session is not None
    assert (accepted.session.server_name, accepted.session.alpn) == ("", "")


# -- in pieces -----------------------------------------------------------------------------


@every_version
async def test_client_hello_byte_by_byte(tls13: bool, place: Place) -> None:
    client, accepted = place.pair(AeadEngine, tls13=tls13)
    for byte in client.first_flight():
        await client.send_raw(bytes([byte]))
    await client.handshake()
    await until(lambda: accepted.decided)
    assert accepted.failure is None


async def test_client_hello_in_many_records(place: Place) -> None:
    client, accepted = place.pair(AeadEngine)
    flight = client.first_flight()
    for start in range(5, len(flight), 100):
        part = flight[start : start + 100]
        await client.send_raw(flight[:3] + len(part).to_bytes(2, "big") + part)
    await client.handshake()
    await until(lambda: accepted.decided)
    assert accepted.failure is None


@pytest.mark.parametrize("size", [0, 1, 5, 200])
async def test_part_of_a_client_hello_then_fin(size: int, place: Place) -> None:
    client, accepted = place.pair(AeadEngine)
    if size:
        await client.send_raw(client.first_flight()[:size])
    client.send_fin()
    await until(lambda: accepted.decided)
    assert accepted.failure == "client closed during the handshake"
    assert await client.receive_raw() == b""
    await accepted.gone()


async def test_reset_in_the_middle(place: Place) -> None:
    client, accepted = place.pair(AeadEngine)
    await client.send_raw(client.first_flight())
    assert await client.receive_raw()
    client.send_reset()
    await until(lambda: accepted.decided)
    assert accepted.failure == "connection reset by peer"
    await accepted.gone()


async def test_cancel_tells_nobody(place: Place) -> None:
    client, accepted = place.pair(AeadEngine)
    await client.send_raw(client.first_flight())
    assert await client.receive_raw()
    accepted.handshake.cancel()
    while await client.receive_raw():
        pass
    assert not accepted.decided
    assert accepted.channel.closed


# -- too much ------------------------------------------------------------------------------


async def test_a_handshake_of_too_many_records_ends_the_connection(place: Place) -> None:
    client, accepted = place.pair(AeadEngine)
    message = b"\x01\x01\xff\xff" + bytes(200)
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        await client.send_raw(b"".join(b"\x16\x03\x01\0\1" + bytes([b]) for b in message))
    await until(lambda: accepted.decided)
    assert accepted.failure == f"handshake of more than {MAX_SHORT_RECORDS} short records"


async def test_what_a_client_sends_ahead_is_bounded(place: Place) -> None:
    """The worker stands still, and the client does not: TCP must hold it back."""
    client, accepted = place.pair(AeadEngine, buffers=64 * 1024)
    halt(place.pid)
    try:
        client.sock.settimeout(0)
        sent, blocked = 0, 0
        block = b"\x16\x03\x01\x40\x00" + bytes(16384)
        while blocked < 50:
            try:
                sent += client.sock.send(block)
                blocked = 0
            except BlockingIOError:
                blocked += 1
            await asyncio.sleep(0)  # the front end's turn
        assert len(accepted.handshake._ahead) <= 128 * 1024
        assert sent < 4 << 20
    finally:
        os.kill(place.pid, signal.SIGCONT)
    await until(lambda: accepted.decided)
    assert accepted.failure


# -- wrong ---------------------------------------------------------------------------------


async def refused(place: Place, alert: str, reason: str, **options: object) -> None:
    client, accepted = place.pair(AeadEngine, **options)  # type: ignore[arg-type]
    with pytest.raises(SSL.Error, match=alert):
        await client.handshake()
    await until(lambda: accepted.decided)
    assert accepted.failure is not None
    assert reason in accepted.failure
    client.send_fin()
    assert await client.receive_raw() == b""
    assert client.end == "fin"  # no RST, which could overtake the alert
    await accepted.gone()


async def test_tls11(place: Place) -> None:
    await refused(
        place, "protocol version", "unsupported protocol",
        version=SSL.TLS1_1_VERSION, ciphers=b"ALL:@SECLEVEL=0",
    )  # fmt: skip


async def test_no_shared_cipher(place: Place) -> None:
    await refused(
        place, "handshake failure", "no shared cipher",
        tls13=False, ciphers=b"ECDHE-ECDSA-AES128-SHA256",
    )  # fmt: skip


RC2 = b"\x00\x06\x00\x61"


@pytest.mark.parametrize(
    ("suites", "reason"),
    [
        (RC2, "Rc2_Suite: the client offers RC2 suites and none that are allowed"),
        (b"\x00\x0a" + RC2, "Rc2_Suite: the client offers RC2 suites and none that are allowed"),
        (b"\x00\x0a\x00\x05", "no shared cipher"),
    ],
)
async def test_rc2(suites: bytes, reason: str, place: Place) -> None:
    client, accepted = place.pair(AeadEngine)
    await client.send_raw(hello(suites=suites))
    await until(lambda: accepted.decided)
    assert accepted.failure == reason
    assert await client.receive_raw() == b"\x15\x03\x03\x00\x02\x02\x28"  # handshake_failure


async def test_rc2_beside_a_good_suite_goes_on(place: Place) -> None:
    client, accepted = place.pair(AeadEngine)
    # supported_groups: P-256; signature_algorithms: ecdsa_secp256r1_sha256
    extensions = b"\0\x0a\0\x04\0\x02\0\x17" + b"\0\x0d\0\x04\0\x02\x04\x03"
    await client.send_raw(hello(suites=RC2 + b"\xc0\x2b", extensions=extensions))
    flight = await client.receive_raw()
    assert flight[:1] == b"\x16"
    assert b"\xc0\x2b\0" in flight[:100]  # ServerHello's choice
    assert not accepted.decided


async def test_an_endpoint_that_is_no_more(place: Place) -> None:
    client, accepted = place.pair(AeadEngine, endpoint=7)
    await client.send_raw(client.first_flight())
    await until(lambda: accepted.decided)
    assert accepted.failure == "the address that the client connected to is served no more"
    assert await client.receive_raw() == b"\x15\x03\x03\0\2\2\x50"  # internal_error


@every_version
async def test_h2_alone(tls13: bool, place: Place) -> None:
    """RFC 7301 §3.2: no_application_protocol."""
    await refused(
        place, "no application protocol", "client offers 'h2'", tls13=tls13, alpn=(b"h2",)
    )


NO_CLIENT_HELLO = {
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "zeros": bytes(64),
    "nonsense": b"\x16\x03\x01\x00\x05nonse",
    "data": b"\x17\x03\x03\x00\x05hello",
    "alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "too long": b"\x16\x03\x01\xff\xff" + bytes(100),
}


@pytest.mark.parametrize("data", NO_CLIENT_HELLO.values(), ids=NO_CLIENT_HELLO.keys())
async def test_what_is_no_client_hello(data: bytes, place: Place) -> None:
    client, accepted = place.pair(AeadEngine)
    await client.send_raw(data)
    client.send_fin()
    await until(lambda: accepted.decided)
    assert accepted.failure
    while await client.receive_raw():
        pass
    await accepted.gone()
    assert place.supervisor.restarts == 0


async def test_data_instead_of_finished(place: Place) -> None:
    client, accepted = place.pair(AeadEngine)
    await client.send_raw(client.first_flight())
    assert await client.receive_raw()
    await client.send_raw(b"\x17\x03\x03\x00\x40" + bytes(64))
    await until(lambda: accepted.decided)
    assert accepted.failure
    client.send_fin()
    while await client.receive_raw():
        pass
    assert client.end == "fin"


# -- certificates --------------------------------------------------------------------------


async def names_for(place: Place, server_name: str) -> list[str]:
    client, _ = await place.connect(AeadEngine, server_name=server_name)
    certificate = client.ssl.get_peer_certificate(as_cryptography=True)
    assert certificate is not None
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


DEFAULT = ["localhost", "127.0.0.1", "::1"]


@pytest.mark.parametrize("name", ["", "localhost", "example.com", "localhost.example.com"])
async def test_the_default_certificate(name: str, dev_place: Place) -> None:
    assert await names_for(dev_place, name) == (DEFAULT[:1] if name else DEFAULT)


@pytest.mark.parametrize("asked", ["app.localhost", "App.LocalHost", "a.b.localhost"])
async def test_a_name_below_localhost_gets_its_own(asked: str, dev_place: Place) -> None:
    assert await names_for(dev_place, asked) == [asked.lower()]


async def test_more_names_than_the_limit_get_the_default(own_dev_place: Place) -> None:
    place = own_dev_place
    for number in range(MAX_NAMES):
        assert await names_for(place, f"n{number}.localhost") == [f"n{number}.localhost"]
        place.settle()
    assert await names_for(place, "one-more.localhost") == DEFAULT[:1]
    assert await names_for(place, "n7.localhost") == ["n7.localhost"]
