"""The session id that a finished handshake tells: it is the one that the client comes back with."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.worker.session_id import of_server_hello, of_ticket
from kssl.fastpath.worker.store import ContextStore
from tests.fastpath.worker.visits import told_names, visit

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])


@pytest.fixture
def store(tmp_path: Path) -> ContextStore:
    store = ContextStore(tmp_path / "state")
    told = told_names("app.localhost")
    store.load({"certificates": [told], "endpoints": [{"names": {}, "default": 0}]})
    return store


@every_version
def test_the_client_comes_back_with_it(store: ContextStore, tls13: bool) -> None:
    first = visit(store, b"app.localhost", tls13=tls13)
    assert len(first.session_id) == 32
    assert first.session_id not in first.offered
    again = visit(store, b"app.localhost", tls13=tls13, session=first.session)
    assert again.resumed
    assert first.session_id in again.offered
    assert (again.session_id == first.session_id) is not tls13  # TLS 1.3: a new ticket each time
    third = visit(store, b"app.localhost", tls13=tls13, session=again.session)
    assert third.resumed
    assert again.session_id in third.offered


def server_hello(session_id: bytes) -> bytes:
    body = b"\x03\x03" + bytes(32) + bytes([len(session_id)]) + session_id + b"\xc0\x2b\0"
    message = b"\x02" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message


def ticket(ticket: bytes, nonce: bytes = b"\0" * 8) -> bytes:
    body = (
        bytes(8) + bytes([len(nonce)]) + nonce + len(ticket).to_bytes(2, "big") + ticket + b"\0\0"
    )
    return b"\x04" + len(body).to_bytes(3, "big") + body


@pytest.mark.parametrize("size", [0, 1, 32])
def test_of_all_sizes(size: int) -> None:
    assert of_server_hello(server_hello(b"s" * size)) == b"s" * size
    assert of_ticket(ticket(b"t" * size)) == b"t" * size
    assert of_ticket(ticket(b"t" * size, nonce=b"")) == b"t" * size


def test_longer_ones_are_none() -> None:
    assert of_server_hello(server_hello(b"s" * 33)) == b""
    assert of_ticket(ticket(b"t" * 33)) == b""


def test_something_else() -> None:
    assert of_server_hello(b"") == b""
    assert of_server_hello(b"\x15" + server_hello(b"s" * 32)[1:]) == b""
    assert of_server_hello(server_hello(b"s" * 32)[:5] + b"\x01" + bytes(80)) == b""
    assert of_ticket(b"") == b""


@given(st.binary(max_size=120))
def test_nonsense(data: bytes) -> None:
    assert len(of_server_hello(data)) <= 32
    assert len(of_server_hello(b"\x16\x03\x03\0\0\x02" + data)) <= 32
    assert len(of_ticket(data)) <= 32


def test_cut_short() -> None:
    for end in range(5 + 4 + 2 + 32 + 1 + 32):
        assert of_server_hello(server_hello(b"s" * 32)[:end]) == b""
    for end in range(4 + 8 + 9 + 2 + 32):
        assert of_ticket(ticket(b"t" * 32)[:end]) == b""
