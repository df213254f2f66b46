"""The worker as a TLS client: versions, suites, groups, ALPN, our certificate, and bad servers."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from OpenSSL import SSL

from kssl.fastpath.record.layer import RecordLayer
from kssl.fastpath.tls.suites import SUITES, CipherSuite
from kssl.fastpath.worker.client_handshake import ClientHandshake
from kssl.fastpath.worker.handshake import MAX_HANDSHAKE_BYTES, MAX_SHORT_RECORDS, Failure, Flight
from tests.fastpath.worker.servers import (
    NAME,
    OpenSslServer,
    Pki,
    PythonServer,
    StuckError,
    shake,
    text,
    told,
    upstreams,
)

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def outgoing(layer: RecordLayer) -> bytes:
    records = bytes(layer.outgoing)
    layer.outgoing.clear()
    return records


# -- what is negotiated --------------------------------------------------------------------


@every_version
@pytest.mark.parametrize("key", ["ecdsa", "rsa"])
def test_data_both_ways(pki: Pki, tls13: bool, key: str) -> None:
    server = PythonServer(getattr(pki, key), tls13=tls13, alpn=("http/1.1",))
    result = shake(told(ca=pki.ca), server)
    established = result.established
    assert server.done
    assert server.server_name == established.server_name == NAME
    assert established.version == ("TLSv1.3" if tls13 else "TLSv1.2")
    assert established.alpn == server.ssl.selected_alpn_protocol() == "http/1.1"
    assert established.group
    assert established.keys.client
    layer = result.layer()
    behind = result.to_client[len(result.to_client) - len(established.leftover) :]
    assert server.read(layer.seal_bytes(b"request" * 5000)) == b"request" * 5000
    assert layer.feed(behind) == b""
    assert layer.error is None


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_every_suite(pki: Pki, suite: CipherSuite) -> None:
    def only(context: SSL.Context) -> None:
        name = suite.openssl_name.encode()
        if suite.tls13:
            context.set_tls13_ciphersuites(name)
        else:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
            context.set_cipher_list(name)

    server = OpenSslServer(pki.rsa if "_RSA_" in suite.name else pki.ecdsa, only)
    result = shake(told(ca=pki.ca), server)
    assert result.established.keys.suite is suite
    layer = result.layer()
    assert server.read(layer.seal_bytes(b"request")) == b"request"
    tickets = server_last_flight(result.to_client, result.established.leftover, suite)
    assert layer.feed(tickets + server.write(b"reply" * 10000)) == b"reply" * 10000
    assert server.read(layer.seal_bytes(b"another" * 10000)) == b"another" * 10000
    layer.send_close_notify()
    with pytest.raises(SSL.ZeroReturnError):
        server.read(outgoing(layer))


def server_last_flight(to_client: bytes, leftover: bytes, suite: CipherSuite) -> bytes:
    """What the server said to our Finished: NewSessionTickets in TLS 1.3."""
    assert leftover == b""
    if not suite.tls13:
        return b""
    records, position = [], 0
    while position < len(to_client):
        end = position + 5 + int.from_bytes(to_client[position + 3 : position + 5], "big")
        records.append(to_client[position:end])
        position = end
    return b"".join(records[-2:])  # OpenSSL's number of tickets


@pytest.mark.parametrize("key", ["ecdsa", "rsa"])
def test_the_nonces_of_tls12_go_on_where_openssl_stopped(pki: Pki, key: str) -> None:
    """One that is used twice with a key gives away the key of GCM's authentication (RFC 5288)."""
    ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
    server = PythonServer(getattr(pki, key), tls13=False, ciphers=ciphers)
    result = shake(told(ca=pki.ca), server)
    finished = result.to_server[-(5 + 8 + 16 + 16) :]  # header, nonce, message, tag
    assert finished[:5] == b"\x16\x03\x03\x00\x28"
    used = int.from_bytes(finished[5:13], "big")
    layer = result.layer()
    for number in (1, 2):
        record = layer.seal_bytes(b"request")
        assert int.from_bytes(record[5:13], "big") == (used + number) % 2**64
        assert server.read(record) == b"request"


@every_version
def test_byte_by_byte(pki: Pki, tls13: bool) -> None:
    server = PythonServer(pki.ecdsa, tls13=tls13)
    assert shake(told(ca=pki.ca), server, chunk=1).established.alpn == ""
    assert server.done


@pytest.mark.parametrize("curve", ["secp384r1", "secp521r1"])
def test_hello_retry_request(pki: Pki, curve: str) -> None:
    server = PythonServer(pki.ecdsa, curve=curve)
    result = shake(told(ca=pki.ca), server)
    assert result.established.group.lower() == curve
    hellos = result.to_server.count(NAME.encode())
    assert hellos == 2
    assert server.read(result.layer().seal_bytes(b"request")) == b"request"


def test_what_follows_the_servers_finished_is_left_over(pki: Pki) -> None:
    """In TLS 1.3 a server may write before our Finished has come."""
    server = PythonServer(pki.ecdsa)
    early = b"\x17\x03\x03\x00\x20" + bytes(32) + b"\x17\x03\x03"
    result = shake(told(ca=pki.ca), server, behind=early)
    assert result.established.leftover == early
    assert server.done


def test_what_follows_in_tls12_is_left_over(pki: Pki) -> None:
    upstream = told(ca=pki.ca)
    server = PythonServer(pki.ecdsa, tls13=False)
    handshake = ClientHandshake(upstreams(upstream).connect(text(upstream)))
    first = handshake.start()
    assert isinstance(first, Flight)
    second = handshake.receive(server.answer(first.data))
    assert isinstance(second, Flight)
    last = server.answer(second.data)
    reply = server.write(b"early")
    established = handshake.receive(last + reply)
    assert not isinstance(established, Flight | Failure)
    assert established.flight == b""
    assert established.leftover == reply
    assert RecordLayer(established.keys).feed(reply) == b"early"


@every_version
def test_nothing_is_resumed(pki: Pki, tls13: bool) -> None:
    upstream = told(ca=pki.ca)
    made = upstreams(upstream)
    first = PythonServer(pki.ecdsa, tls13=tls13)
    for server in (first, PythonServer(pki.ecdsa, like=first)):
        handshake = ClientHandshake(made.connect(text(upstream)))
        hello = handshake.start()
        assert isinstance(hello, Flight)
        assert b"\0\x23\0\0" not in hello.data  # an empty session_ticket (RFC 5077 §3.2)
        step = handshake.receive(server.answer(hello.data))
        if isinstance(step, Flight):
            step = handshake.receive(server.answer(step.data))
        assert not isinstance(step, Flight | Failure)
        server.answer(step.flight)
        assert server.done
        assert not server.ssl.session_reused


# -- ALPN ----------------------------------------------------------------------------------


@every_version
def test_a_protocol_that_was_not_offered(pki: Pki, tls13: bool) -> None:
    def choose(context: SSL.Context) -> None:
        context.set_max_proto_version(SSL.TLS1_3_VERSION if tls13 else SSL.TLS1_2_VERSION)
        context.set_alpn_select_callback(lambda connection, offered: b"h2")

    server = OpenSslServer(pki.ecdsa, choose)
    assert "bad extension" in shake(told(ca=pki.ca), server).reason


@every_version
def test_a_protocol_that_was_not_offered_and_openssl_accepts(
    pki: Pki, tls13: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older versions of OpenSSL do; here it was offered, but the handshake wants another."""
    monkeypatch.setattr("kssl.fastpath.worker.client_handshake.UPSTREAM_ALPN", (b"http/1.0",))
    server = PythonServer(pki.ecdsa, tls13=tls13, alpn=("http/1.1",))
    result = shake(told(ca=pki.ca), server)
    assert result.reason == "it chose a protocol that was not offered"
    with pytest.raises(Exception, match=r"(?i)alert.illegal.parameter"):
        server.read(b"")


@every_version
def test_a_server_that_wants_http2_alone(pki: Pki, tls13: bool) -> None:
    def choose(context: SSL.Context) -> None:
        context.set_max_proto_version(SSL.TLS1_3_VERSION if tls13 else SSL.TLS1_2_VERSION)

        def refuse(connection: SSL.Connection, offered: list[bytes]) -> bytes:
            raise ValueError(offered)

        context.set_alpn_select_callback(refuse)

    server = OpenSslServer(pki.ecdsa, choose)
    with pytest.raises(ValueError, match=r"http/1\.1"):
        shake(told(ca=pki.ca), server)
    upstream = told(ca=pki.ca)
    handshake = ClientHandshake(upstreams(upstream).connect(text(upstream)))
    handshake.start()
    step = handshake.receive(b"\x15\x03\x03\x00\x02\x02\x78")  # no_application_protocol
    assert isinstance(step, Failure)
    assert "its alert: no application protocol" in step.reason


# -- our certificate -----------------------------------------------------------------------


@every_version
@pytest.mark.parametrize("key", ["ecdsa", "rsa"])
def test_our_certificate(pki: Pki, tls13: bool, key: str) -> None:
    server = PythonServer(pki.ecdsa, tls13=tls13, client_ca=pki.ca)
    result = shake(told(ca=pki.ca, certificate=getattr(pki, key)), server)
    assert server.done, server.error
    assert server.read(result.layer().seal_bytes(b"request")) == b"request"
    shown = server.ssl.getpeercert()
    assert shown is not None
    assert ("DNS", NAME) in shown["subjectAltName"]


def test_it_asks_for_a_certificate_and_we_have_none_tls12(pki: Pki) -> None:
    server = PythonServer(pki.ecdsa, tls13=False, client_ca=pki.ca)
    assert shake(told(ca=pki.ca), server).reason == (
        "it asks for a client certificate (its alert: handshake failure); give one as "
        "upstream_certificate and upstream_key"
    )


def test_it_asks_for_a_certificate_and_we_have_none_tls13(pki: Pki) -> None:
    """There our side of the handshake is done before the server says no."""
    server = PythonServer(pki.ecdsa, client_ca=pki.ca)
    result = shake(told(ca=pki.ca), server)
    assert server.error is not None
    layer = result.layer()
    start = result.to_client.rindex(b"\x17\x03\x03\x00\x13")  # the alert: 2 bytes, type and tag
    layer.feed(result.to_client[start:])
    assert str(layer.error) == "the peer sent the alert certificate_required"


@every_version
def test_it_asks_but_can_do_without(pki: Pki, tls13: bool) -> None:
    server = PythonServer(pki.ecdsa, tls13=tls13, client_ca=pki.ca, optional=True)
    assert shake(told(ca=pki.ca), server).established
    assert server.done


def test_it_does_not_take_ours_tls12(pki: Pki, tmp_path: Path) -> None:
    server = PythonServer(pki.ecdsa, tls13=False, client_ca=pki.ca)
    stranger = pki.self_signed("stranger")
    assert shake(told(ca=pki.ca, certificate=stranger), server).reason == (
        "it refused our client certificate (its alert: unknown ca)"
    )


# -- bad servers ---------------------------------------------------------------------------


def begun(pki: Pki) -> ClientHandshake:
    upstream = told(ca=pki.ca)
    handshake = ClientHandshake(upstreams(upstream).connect(text(upstream)))
    assert isinstance(handshake.start(), Flight)
    return handshake


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(30000), b"SSH-2.0-OpenSSH_9.9\r\n" + bytes(30000)],
    ids=["HTTP", "SSH"],
)
def test_no_tls(pki: Pki, data: bytes) -> None:
    step = begun(pki).receive(data)
    assert isinstance(step, Failure)
    assert step.reason == "it does not speak TLS on this port; is it an http:// upstream?"


GARBAGE = {
    "nonsense": b"\x16\x03\x03\x00\x05nonse",
    "data": b"\x17\x03\x03\x00\x05hello",
    "too long": b"\x16\x03\x03\xff\xff" + bytes(100),
    "ClientHello": b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
    "SSL 3.0": b"\x16\x03\x00\x00\x2a\x02\x00\x00\x26\x03\x00" + bytes(36),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage(pki: Pki, data: bytes) -> None:
    step = begun(pki).receive(data)
    assert isinstance(step, Failure)
    assert step.reason
    assert step.data[:1] in (b"", b"\x15")


def test_an_old_version(pki: Pki) -> None:
    def old(context: SSL.Context) -> None:
        context.set_min_proto_version(SSL.TLS1_VERSION)
        context.set_max_proto_version(SSL.TLS1_1_VERSION)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")

    assert (
        "it speaks neither TLS 1.2 nor TLS 1.3"
        in shake(told(ca=pki.ca), OpenSslServer(pki.ecdsa, old)).reason
    )


def test_no_suite_in_common(pki: Pki) -> None:
    server = PythonServer(pki.ecdsa, tls13=False, ciphers="ECDHE-ECDSA-AES128-SHA256")
    assert shake(told(ca=pki.ca), server).reason == (
        "it shares no cipher suite, group or signature with us (its alert: handshake failure)"
    )


def test_too_many_records(pki: Pki) -> None:
    message = b"\x02\x00\x40\x00" + bytes(200)
    step = begun(pki).receive(b"".join(b"\x16\x03\x03\0\1" + bytes([b]) for b in message))
    assert isinstance(step, Failure)
    assert step.reason == f"handshake of more than {MAX_SHORT_RECORDS} short records"
    assert step.data == b"\x15\x03\x03\x00\x02\x02\x0a"  # unexpected_message


def test_too_many_bytes(pki: Pki) -> None:
    step = begun(pki).receive(bytes(MAX_HANDSHAKE_BYTES + 1))
    assert isinstance(step, Failure)
    assert step.reason == f"handshake longer than {MAX_HANDSHAKE_BYTES} bytes"
    assert step.data == b"\x15\x03\x03\x00\x02\x02\x0a"


@every_version
@pytest.mark.parametrize("at", [10, 100, 200, 400, 600])
def test_a_flipped_bit(pki: Pki, tls13: bool, at: int) -> None:
    """Somewhere in what the server says: no keys, whatever it hits."""

    class Flipping(PythonServer):
        def answer(self, data: bytes) -> bytes:
            said = bytearray(super().answer(data))
            if len(said) > at:
                said[at] ^= 1
            return bytes(said)

    with contextlib.suppress(StuckError):  # a length that grew: the client waits for more
        assert shake(told(ca=pki.ca), Flipping(pki.ecdsa, tls13=tls13)).reason
