"""The ClientHello reader, over real hellos, hand-built ones, and nonsense."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from kssl.fastpath.tls.clienthello import ClientHello, ClientHelloReader, parse


def real_hello(name: bytes = b"", version: int = SSL.TLS1_3_VERSION) -> bytes:
    """The first flight of a client: one record."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(version)
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    if name:
        connection.set_tlsext_host_name(name)
    with contextlib.suppress(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(1 << 16)


def vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def server_name(name: bytes, kind: int = 0) -> bytes:
    """The extension."""
    return b"\0\0" + vector(2, vector(2, bytes([kind]) + vector(2, name)))


def hello(
    *,
    extensions: bytes | None = b"",
    suites: bytes = b"\x13\x01",
    session_id: bytes = b"",
) -> bytes:
    """A record with a ClientHello; ``extensions`` None: not even their length."""
    body = b"\x03\x03" + bytes(32) + vector(1, session_id) + vector(2, suites) + vector(1, b"\0")
    if extensions is not None:
        body += vector(2, extensions)
    return b"\x16\x03\x01" + vector(2, b"\x01" + vector(3, body))


def read(record: bytes) -> ClientHello:
    found = ClientHelloReader().add(record)
    assert found is not None
    return found


@pytest.mark.parametrize("version", [SSL.TLS1_3_VERSION, SSL.TLS1_2_VERSION])
@pytest.mark.parametrize("name", [b"", b"app.example", b"x" * 255])
def test_real_ones(name: bytes, version: int) -> None:
    found = read(real_hello(name, version))
    assert found.server_name == name
    assert found.host_name == name.decode()
    assert b"\xc0\x2b" in {found.cipher_suites[at : at + 2] for at in range(0, 200, 2)}


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b"App.Example.", "app.example"),
        (b"app..", "app."),
        (b"caf\xc3\xa9.example", ""),
        (b"a\0b", "a\0b"),  # OpenSSL answers with an alert
        (b"", ""),
    ],
)
def test_host_name(sent: bytes, name: str) -> None:
    assert read(hello(extensions=server_name(sent))).host_name == name


def test_the_name_stands_behind_other_extensions_and_a_session() -> None:
    others = b"\x00\x17\x00\x00" + b"\x00\x2b" + vector(2, b"\x02\x03\x04")
    record = hello(extensions=others + server_name(b"app.example"), session_id=bytes(32))
    assert read(record).server_name == b"app.example"


@pytest.mark.parametrize(
    "extensions",
    [
        None,
        b"",
        b"\0",
        b"\0\0",
        b"\0\0\0\0",
        b"\0\0\0\x02\0\0",
        server_name(b"app.example", kind=1),
        server_name(b"app.example")[:-1],
        b"\x00\x2b\xff\xff",
    ],
)
def test_no_name(extensions: bytes | None) -> None:
    assert read(hello(extensions=extensions)) == ClientHello(b"", b"\x13\x01")


@pytest.mark.parametrize("size", [1, 3, 4, 100, 5000])
def test_in_many_records(size: int) -> None:
    message = real_hello(b"app.example")[5:]
    reader, found = ClientHelloReader(), []
    for start in range(0, len(message), size):
        part = message[start : start + size]
        found.append(reader.add(b"\x16\x03\x01" + vector(2, part)))
    assert found[-1] is not None
    assert found[-1].server_name == b"app.example"
    assert not any(found[:-1])


def test_what_stands_before_it_is_no_hello() -> None:
    """A warning, say: what comes behind it still decides."""
    reader = ClientHelloReader()
    assert reader.add(b"\x15\x03\x01\x00\x02\x01\x00") is None
    found = reader.add(hello(extensions=server_name(b"app.example")))
    assert found == ClientHello(b"app.example", b"\x13\x01")


def test_another_message_is_a_hello_without_anything() -> None:
    assert read(b"\x16\x03\x01" + vector(2, b"\x02\xff\xff\xff")) == ClientHello()


@given(st.binary(max_size=400))
def test_nonsense_does_not_raise(data: bytes) -> None:
    ClientHelloReader().add(data)
    assert isinstance(parse(data).host_name, str)


@given(st.data())
def test_damage_does_not_raise(data: st.DataObject) -> None:
    record = bytearray(hello(extensions=server_name(b"app.example")))
    for _ in range(data.draw(st.integers(1, 4))):
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(record[: data.draw(st.integers(0, len(record)))])
    found = ClientHelloReader().add(cut)
    assert found is None or isinstance(found.host_name, str)


@pytest.mark.parametrize(
    ("extensions", "content"),
    [
        (b"", b""),
        (b"\0\1\0\1\2", b"\2"),
        (server_name(b"a") + b"\0\1\0\1\4" + server_name(b"a"), b"\4"),
        (b"\0\x15\0\4\0\1\0\1" + b"\0\1\0\1\3", b"\3"),  # padding with the same bytes
        (b"\0\x15\0\4\0\1\0\1", b""),
        (b"\0\1\0\2\1\1", b""),  # OpenSSL refuses it
        (b"\0\1\0\0", b""),
        (b"\0\1\0\1", b""),
    ],
)
def test_max_fragment_length(extensions: bytes, content: bytes) -> None:
    assert read(hello(extensions=extensions)).max_fragment_length == content
