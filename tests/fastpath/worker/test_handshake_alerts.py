"""Whatever ends a handshake with a client ends it by the alert that the RFC names, at once: in the
clear or, behind our Finished, so that the client can open it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from kssl.fastpath.worker.handshake import MAX_HANDSHAKE_BYTES, Established, Failure, Flight
from kssl.fastpath.worker.handshake import openssl_reason as reason_of
from kssl.fastpath.worker.server_handshake import ServerHandshake
from kssl.fastpath.worker.store import ContextStore
from tests.fastpath.record.peers import split_records
from tests.fastpath.tls.test_clienthello import hello, real_hello, server_name
from tests.fastpath.worker.visits import told_file, visit, write_certificate

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])

CHANGE = b"\x14\x03\x03\0\1\1"
PING = b"\x17\x03\x03\0\4ping"
CLOSE_NOTIFY = b"\x15\x03\x03\0\2\1\0"
FATAL = b"\x15\x03\x03\0\2\2\x28"

# What the client reads of it, in OpenSSL's words.
UNEXPECTED = "tls alert unexpected message"
BAD_MAC = "tls alert bad record mac"
ILLEGAL = "tls alert illegal parameter"
OVERFLOW = "tlsv1 alert record overflow"
VERSION = "tlsv1 alert protocol version"
CLOSED = "close_notify"

BAD_CHANGES = {
    "of 2": b"\x14\x03\x03\0\1\2",
    "of two bytes": b"\x14\x03\x03\0\2\1\1",
    "empty": b"\x14\x03\x03\0\0",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ContextStore:
    folder = tmp_path_factory.mktemp("alerts")
    files = [write_certificate(folder / f"{name}.pem", name) for name in ("zero", "one")]
    store = ContextStore(folder / "state")
    certificates = [told_file(files[0]), told_file(files[1], "strict")]
    endpoint = {"names": {"one.example": 1}, "default": 0}
    store.load({"certificates": certificates, "endpoints": [endpoint]})
    return store


class Peer:
    """A client in memory, whose records the test sends or not."""

    def __init__(
        self,
        store: ContextStore,
        tls13: bool = True,
        *,
        groups: bytes = b"",
        session: SSL.Session | None = None,
        context: SSL.Context | None = None,
    ) -> None:
        version = SSL.TLS1_3_VERSION if tls13 else SSL.TLS1_2_VERSION
        if context is None:
            context = SSL.Context(SSL.TLS_CLIENT_METHOD)
            context.set_min_proto_version(version)
            context.set_max_proto_version(version)
        self.client = SSL.Connection(context, None)
        if groups:
            set_groups = SSL._lib.SSL_set1_curves_list  # type: ignore[attr-defined]
            assert set_groups(self.client._ssl, groups)
        if session is not None:
            self.client.set_session(session)
        self.client.set_connect_state()
        self.client.set_tlsext_host_name(b"zero.example")
        self.server = ServerHandshake(*store.accept(0))

    def write(self) -> bytes:
        """The client's next flight."""
        with contextlib.suppress(SSL.WantReadError):
            self.client.do_handshake()
        return self.client.bio_read(1 << 16)

    def receive(self, data: bytes) -> Flight | Failure | Established:
        """The server's answer, which the client gets too."""
        step = self.server.receive(data)
        flight = step.flight if isinstance(step, Established) else step.data
        if flight:
            self.client.bio_write(flight)
        return step

    def refused(self, data: bytes) -> tuple[str, str]:
        """The server's reason to end the handshake at ``data``, and the client's."""
        step = self.receive(data)
        assert isinstance(step, Failure), step
        assert step.data
        try:
            self.client.do_handshake()
            self.client.recv(1)
        except SSL.ZeroReturnError:
            return step.reason, CLOSED
        except SSL.Error as error:
            return step.reason, reason_of(error)
        raise AssertionError("no alert")


def split(record: bytes, at: int, between: bytes = b"") -> bytes:
    """``record`` in two, with something between."""
    message = record[5:]
    pieces = (message[:at], message[at:])
    records = [record[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces]
    return between.join(records)


# -- first of all ----------------------------------------------------------------------------

FIRST = {
    "change_cipher_spec": (CHANGE, UNEXPECTED),
    "bad change_cipher_spec": (BAD_CHANGES["of 2"], UNEXPECTED),
    "fatal alert": (FATAL, UNEXPECTED),
    "close_notify": (CLOSE_NOTIFY, UNEXPECTED),
    "data": (PING, UNEXPECTED),
    "heartbeat": (b"\x18\x03\x03\0\4ping", UNEXPECTED),
    "empty": (b"\x16\x03\x01\0\0", UNEXPECTED),
    "another message": (b"\x16\x03\x01\0\4\x14\0\0\0", UNEXPECTED),
    "a record too long": (b"\x16\x03\x01\xff\xff" + bytes(100), OVERFLOW),
    "a message too long": (b"\x16\x03\x01\0\4\1\xff\xff\xff", ILLEGAL),
    "a record of version 0": (b"\x16\0\0\0\4\1\0\0\0", VERSION),
    "version 1.1": (hello().replace(b"\3\3", b"\3\2", 1), VERSION),
    "no version": (hello(extensions=b"\0\x2b\0\3\2\3\1"), VERSION),
    "cut short inside": (hello(extensions=None)[:-3] + b"\xff\0\0", "tlsv1 alert decode error"),
    "a name too long": (hello(extensions=server_name(b"x" * 256)), "unrecognized name"),
    "in 65 records": (b"\x16\x03\x01\0\1\1" * 65, UNEXPECTED),
    "in 65 pieces of a good one": (
        b"".join(b"\x16\x03\x01\0\1" + bytes([each]) for each in real_hello(b"zero.example")),
        UNEXPECTED,
    ),
}


@every_version
@pytest.mark.parametrize(("data", "alert"), FIRST.values(), ids=FIRST.keys())
def test_in_place_of_a_hello(store: ContextStore, data: bytes, alert: str, tls13: bool) -> None:
    peer = Peer(store, tls13)
    peer.write()
    assert alert in peer.refused(data)[1]


@every_version
@pytest.mark.parametrize(
    "between", [CHANGE, CLOSE_NOTIFY, FATAL, PING], ids=["20", "21", "21", "23"]
)
def test_between_the_pieces_of_a_hello(store: ContextStore, between: bytes, tls13: bool) -> None:
    peer = Peer(store, tls13)
    assert peer.refused(split(peer.write(), 50, between))[1] == UNEXPECTED


# -- behind our answer -----------------------------------------------------------------------

BEHIND = {
    **{f"change_cipher_spec {name}": (data, UNEXPECTED) for name, data in BAD_CHANGES.items()},
    "too many of them": (CHANGE * 65, UNEXPECTED),
    "close_notify": (CLOSE_NOTIFY, CLOSED),
    "half an alert": (b"\x15\x03\x03\0\1\1", UNEXPECTED),
    "heartbeat": (b"\x18\x03\x03\0\4ping", UNEXPECTED),
    "an empty message": (b"\x16\x03\x03\0\0", UNEXPECTED),
    "Finished": (b"\x16\x03\x03\0\x10\x14\0\0\x0c" + bytes(12), UNEXPECTED),
    "too many short records": (
        b"".join(b"\x16\x03\x03\0\1" + bytes([each]) for each in b"\x10\0\0\xff" + bytes(61)),
        UNEXPECTED,
    ),
    "too many bytes": (PING[:3] + b"\x40\0" + bytes(MAX_HANDSHAKE_BYTES), UNEXPECTED),
}


@every_version
@pytest.mark.parametrize(("data", "alert"), BEHIND.values(), ids=BEHIND.keys())
def test_in_place_of_finished(store: ContextStore, data: bytes, alert: str, tls13: bool) -> None:
    peer = Peer(store, tls13)
    assert isinstance(peer.receive(peer.write()), Flight)
    assert peer.refused(data)[1] == alert


@every_version
def test_data_in_place_of_finished(store: ContextStore, tls13: bool) -> None:
    peer = Peer(store, tls13)
    assert isinstance(peer.receive(peer.write()), Flight)
    assert peer.refused(b"\x17\x03\x03\0\x20" + bytes(32))[1] == (BAD_MAC if tls13 else UNEXPECTED)


@every_version
def test_all_in_one_segment(store: ContextStore, tls13: bool) -> None:
    """The alert stands behind the flight that comes of the hello, and is protected as it says."""
    peer = Peer(store, tls13)
    data = peer.write() + BAD_CHANGES["of 2"]
    assert peer.refused(data) == ("a bad change_cipher_spec", UNEXPECTED)


@every_version
def test_an_alert_is_not_answered(store: ContextStore, tls13: bool) -> None:
    peer = Peer(store, tls13)
    assert isinstance(peer.receive(peer.write()), Flight)
    step = peer.receive(FATAL)
    assert isinstance(step, Failure)
    assert (step.data, step.reason) == (b"", "tls alert handshake failure")


@pytest.mark.parametrize("data", BAD_CHANGES.values(), ids=BAD_CHANGES.keys())
def test_a_resumed_session_of_tls12(store: ContextStore, data: bytes) -> None:
    """Our Finished comes first, so the alert is protected."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    session = visit(store, b"zero.example", tls13=False, context=context).session
    peer = Peer(store, context=context, session=session)
    assert isinstance(peer.receive(peer.write()), Flight)
    peer.write()
    assert peer.refused(data) == ("a bad change_cipher_spec", UNEXPECTED)


# -- change_cipher_spec in its place ---------------------------------------------------------


def test_tls12_takes_one_in_its_place_alone(store: ContextStore) -> None:
    for before in (True, False):
        peer = Peer(store, tls13=False)
        assert isinstance(peer.receive(peer.write()), Flight)
        flight = peer.write()
        place = flight.index(CHANGE)
        if before:
            assert peer.refused(CHANGE)[1] == UNEXPECTED
        else:
            assert isinstance(peer.receive(flight[: place + len(CHANGE)]), Flight)
            assert peer.refused(CHANGE) == ("a second change_cipher_spec", UNEXPECTED)
    peer = Peer(store, tls13=False)
    hello = peer.write()
    assert peer.refused(hello + CHANGE)[1] == UNEXPECTED
    peer = Peer(store, tls13=False)
    peer.receive(peer.write())
    flight = peer.write()
    for record in (flight[:place], CHANGE):
        assert isinstance(peer.receive(record), Flight)
    assert isinstance(peer.receive(flight[place + len(CHANGE) :]), Established)


def test_tls13_ignores_them_up_to_finished(store: ContextStore) -> None:
    peer = Peer(store)
    assert isinstance(peer.receive(peer.write() + CHANGE), Flight)
    assert isinstance(peer.receive(CHANGE), Flight)
    finished = peer.write()
    assert isinstance(peer.receive(CHANGE * 2 + finished), Established)


def test_they_are_ignored_between_two_hellos(store: ContextStore) -> None:
    peer = Peer(store, groups=b"P-521:X25519MLKEM768:X25519")
    assert isinstance(peer.receive(peer.write()), Flight)
    assert isinstance(peer.receive(CHANGE), Flight)
    assert isinstance(peer.receive(peer.write()), Flight)
    assert isinstance(peer.receive(peer.write()), Established)


# -- two hellos ------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 300])
@pytest.mark.parametrize("name", [b"one.example", b"ZERO.example", b"zero.example.", b"x"])
def test_another_name_in_the_second_client_hello(store: ContextStore, name: bytes, at: int) -> None:
    """As a client would to take a session of one site to the name of another."""
    # A key share of the last group that the server would take: it asks for one of the first.
    peer = Peer(store, groups=b"P-521:X25519MLKEM768:X25519")
    assert isinstance(peer.receive(peer.write()), Flight)
    peer.client.set_tlsext_host_name(name)
    second = peer.write()
    assert name in second
    change, second = (CHANGE, second[6:]) if second.startswith(CHANGE) else (b"", second)
    assert peer.refused(change + (split(second, at) if at else second)) == (
        "the server name changed in the second ClientHello",
        ILLEGAL,
    )


def test_bad_records_between_two_hellos(store: ContextStore) -> None:
    for data in (*BAD_CHANGES.values(), PING):
        peer = Peer(store, groups=b"P-521:X25519MLKEM768:X25519")
        assert isinstance(peer.receive(peer.write()), Flight)
        assert peer.refused(data)[1] == UNEXPECTED


# -- a client with small buffers -------------------------------------------------------------


def test_records_of_512_bytes_are_not_short(store: ContextStore, tmp_path: Path) -> None:
    """A chain of 36 KB is more than 64 of them."""
    file = str(write_certificate(tmp_path / "client.pem", "client"))
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate_file(file)
    context.use_privatekey_file(file)
    own = x509.load_pem_x509_certificate(Path(file).read_bytes())
    for _ in range(36_000 // len(own.public_bytes(Encoding.DER))):
        context.add_extra_chain_cert(own)
    peer = Peer(store, context=context)
    peer.client.set_tlsext_host_name(b"one.example")
    assert isinstance(peer.receive(peer.write()), Flight)
    records = []
    for record in split_records(peer.write()):
        while record[0] == 22 and len(record) > 5 + 512 and CHANGE not in records:
            records.append(split(record, 512)[: 5 + 512])
            record = split(record, 512)[5 + 512 :]
        records.append(record)
    assert len(records) > 70
    for record in records[:-1]:
        assert isinstance(peer.receive(record), Flight)
    assert isinstance(peer.receive(records[-1]), Established)
