"""Which extensions OpenSSL agrees to or offers without being told to. Somebody here must keep each
of them: docs/tls.md says who."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from OpenSSL import SSL

from kssl.fastpath.tls.clienthello import ClientHelloReader
from kssl.fastpath.tls.fragment import MAX_FRAGMENT, SIZES
from kssl.fastpath.tls.keyschedule import traffic_keys
from kssl.fastpath.tls.suites import BY_OPENSSL_NAME
from kssl.fastpath.worker.contexts import client_context
from kssl.fastpath.worker.handshake import Established, Flight
from kssl.fastpath.worker.server_handshake import ServerHandshake
from kssl.fastpath.worker.server_hello import asks_again, extensions
from kssl.fastpath.worker.store import ContextStore
from tests.fastpath.worker.everything import (
    NAMES,
    hello,
    open_records,
    split_extensions,
    split_messages,
)
from tests.fastpath.worker.visits import told_file, write_certificate

DOCS = Path(__file__).parents[3] / "docs" / "tls.md"

SERVER_HELLO, ENCRYPTED_EXTENSIONS, CERTIFICATE, CERTIFICATE_REQUEST = 2, 8, 11, 13
KEY_EXCHANGE, VERIFY, DONE, FINISHED = 12, 15, 14, 20

IN_SERVER_HELLO = {"supported_versions", "key_share"}
IN_ENCRYPTED_EXTENSIONS = {
    "server_name",
    "max_fragment_length",
    "supported_groups",
    "application_layer_protocol_negotiation",
}
IN_CERTIFICATE_REQUEST = {"signature_algorithms"}
IN_SERVER_HELLO_OF_TLS12 = {
    "server_name",
    "max_fragment_length",
    "ec_point_formats",
    "application_layer_protocol_negotiation",
    "extended_master_secret",
    "renegotiation_info",
}
AGREED = IN_SERVER_HELLO | IN_ENCRYPTED_EXTENSIONS | IN_SERVER_HELLO_OF_TLS12
OFFERED = {
    "server_name",
    "supported_groups",
    "ec_point_formats",
    "signature_algorithms",
    "application_layer_protocol_negotiation",
    "encrypt_then_mac",
    "extended_master_secret",
    "supported_versions",
    "psk_key_exchange_modes",
    "key_share",
    "renegotiation_info",
}


@pytest.fixture
def store(tmp_path: Path) -> ContextStore:
    store = ContextStore(tmp_path / "state")
    told = told_file(write_certificate(tmp_path / "zero.pem", "zero"), "asks")
    store.load({"certificates": [told], "endpoints": [{"names": {}, "default": 0}]})
    return store


def test_tls13(store: ContextStore) -> None:
    connection, choose = store.accept(0)
    step = ServerHandshake(connection, choose).receive(hello(tls13=True))
    assert isinstance(step, Flight)
    end = 5 + int.from_bytes(step.data[3:5], "big")
    answer = step.data[5:end]
    assert {NAMES[each] for each in extensions(answer)} == IN_SERVER_HELLO
    assert not asks_again(step.data)
    suite = BY_OPENSSL_NAME[connection.get_cipher_name() or ""]
    keys = traffic_keys(suite, bytes.fromhex(connection.get_app_data().server_handshake.decode()))
    messages = split_messages(open_records(suite, keys, step.data))
    assert list(messages) == [
        *(ENCRYPTED_EXTENSIONS, CERTIFICATE_REQUEST, CERTIFICATE, VERIFY, FINISHED)
    ]
    agreed = extensions(messages[ENCRYPTED_EXTENSIONS])
    assert {NAMES[each] for each in agreed} == IN_ENCRYPTED_EXTENSIONS
    # Behind an empty context and a length (RFC 9846 §4.4.2); behind an empty context, the length of
    # the list and that of the one certificate (§4.5.1).
    asked = split_extensions(messages[CERTIFICATE_REQUEST][4 + 1 + 2 :])
    assert set(asked) == IN_CERTIFICATE_REQUEST
    message = messages[CERTIFICATE]
    size = int.from_bytes(message[4 + 1 + 3 :][:3], "big")
    assert message[4 + 1 + 3 + 3 + size :] == b"\0\0"  # no status_request, no SCTs


def test_tls12(store: ContextStore) -> None:
    connection, choose = store.accept(0)
    step = ServerHandshake(connection, choose).receive(hello(tls13=False))
    assert isinstance(step, Flight)
    content, flight = b"", step.data
    while flight:
        end = 5 + int.from_bytes(flight[3:5], "big")
        content, flight = content + flight[5:end], flight[end:]
    messages = split_messages(content)
    # Neither CertificateStatus nor NewSessionTicket.
    assert list(messages) == [*(SERVER_HELLO, CERTIFICATE, KEY_EXCHANGE, CERTIFICATE_REQUEST, DONE)]
    answer = messages[SERVER_HELLO]
    assert {NAMES[each] for each in extensions(answer)} == IN_SERVER_HELLO_OF_TLS12
    compression = 4 + 2 + 32 + 1 + answer[4 + 2 + 32] + 2
    assert answer[compression] == 0  # none, though the client offers DEFLATE


def test_tickets_allow_nothing(store: ContextStore) -> None:
    """No early_data."""
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    client.set_connect_state()
    connection, choose = store.accept(0)
    handshake = ServerHandshake(connection, choose)
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    step = handshake.receive(client.bio_read(1 << 16))
    assert isinstance(step, Flight)
    client.bio_write(step.data)
    client.do_handshake()
    secret = connection.get_app_data().server
    step = handshake.receive(client.bio_read(1 << 16))
    assert isinstance(step, Established)
    keys = traffic_keys(step.keys.suite, secret)
    (ticket,) = split_messages(open_records(step.keys.suite, keys, step.flight)).values()
    assert ticket.endswith(b"\0\0")  # no extensions (RFC 9846 §4.7.1)
    assert 4 + 4 + 4 + 1 + ticket[12] + 2 + 32 + 2 == len(ticket)


def test_what_is_offered_to_upstreams() -> None:
    client = SSL.Connection(client_context(None), None)
    client.set_connect_state()
    client.set_tlsext_host_name(b"a.example")
    with contextlib.suppress(SSL.WantReadError):
        client.do_handshake()
    offered = ClientHelloReader().add(client.bio_read(1 << 16))
    assert offered is not None
    assert set(split_extensions(offered.extensions)) == OFFERED
    assert not offered.max_fragment_length


def test_the_list_in_the_documentation() -> None:
    """Name, whether it is agreed to with clients, whether offered to upstreams, and what of it."""
    rows = re.findall(
        r"^\| `?([\w]+)`? \| ([^|]*) \| ([^|]*) \| ([^|]+) \|$",
        DOCS.read_text().partition("## Extensions")[2].partition("\n## ")[0],
        re.MULTILINE,
    )
    listed = {row[0]: row for row in rows if row[0] in NAMES.values()}
    assert len(listed) == len([row for row in rows if row[0] != "extension"]), "a name twice"
    assert {name for name, row in listed.items() if row[1].startswith("yes")} == AGREED
    assert {name for name, row in listed.items() if row[2].startswith("yes")} == OFFERED
    assert listed.keys() >= AGREED | OFFERED | IN_CERTIFICATE_REQUEST


# -- max_fragment_length -------------------------------------------------------------------


@pytest.mark.parametrize("content", [*SIZES, None])
@pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])
def test_what_was_agreed_to_is_known(
    store: ContextStore, content: bytes | None, tls13: bool
) -> None:
    connection, choose = store.accept(0)
    handshake = ServerHandshake(connection, choose)
    record = hello(tls13=tls13, without=() if content else (1,))
    if content:
        record = record.replace(b"\0\1\0\1\1", b"\0\1\0\1" + content)
    assert isinstance(handshake.receive(record), Flight)
    suite = BY_OPENSSL_NAME["TLS_AES_128_GCM_SHA256" if tls13 else "ECDHE-ECDSA-AES128-GCM-SHA256"]
    assert handshake._max_fragment(suite) == (SIZES[content] if content else MAX_FRAGMENT)
