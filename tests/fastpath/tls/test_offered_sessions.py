"""The sessions in a ClientHello: what is read of hand-built ones, of nonsense, and how much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.tls.clienthello import ClientHello, parse
from tests.fastpath.tls.test_clienthello import hello, read, real_hello, server_name, vector

OTHER = b"\x00\x17\x00\x00"  # an extension
IDS = [bytes([number]) * 32 for number in range(1, 8)]


def pre_shared_key(*identities: bytes) -> bytes:
    """The extension, with as many binders."""
    offered = b"".join(vector(2, identity) + bytes(4) for identity in identities)
    binders = b"".join(vector(1, bytes(32)) for _ in identities)
    return b"\x00\x29" + vector(2, vector(2, offered) + vector(2, binders))


def test_none() -> None:
    assert read(hello()).session_ids == ()
    assert ClientHello().session_ids == ()


@pytest.mark.parametrize("size", [1, 16, 32])
def test_of_tls12(size: int) -> None:
    assert read(hello(session_id=b"s" * size)).session_ids == (b"s" * size,)


def test_of_tls12_without_extensions() -> None:
    assert read(hello(session_id=b"s" * 32, extensions=None)).session_ids == (b"s" * 32,)


@pytest.mark.parametrize("size", [33, 255])
def test_an_id_that_is_too_long_is_none(size: int) -> None:
    assert read(hello(session_id=b"s" * size)).session_ids == ()
    assert read(hello(extensions=pre_shared_key(b"s" * size))).session_ids == ()


def test_of_tls13() -> None:
    record = hello(extensions=server_name(b"app.example") + pre_shared_key(IDS[1]))
    assert read(record).session_ids == (IDS[1],)
    assert read(record).host_name == "app.example"


def test_of_both() -> None:
    record = hello(session_id=IDS[0], extensions=OTHER + pre_shared_key(b"i", IDS[2]))
    assert read(record).session_ids == (IDS[0], b"i", IDS[2])


def test_four_at_most_of_those_that_are_short() -> None:
    record = hello(extensions=pre_shared_key(b"t" * 200, *IDS[:2], b"t" * 33, *IDS[2:]))
    assert read(record).session_ids == tuple(IDS[:4])


@pytest.mark.parametrize(
    ("extension", "ids"),
    [
        (b"\x00\x29\x00\x00", ()),
        (b"\x00\x29\x00\x02\x00\x00", ()),
        (b"\x00\x29\x00\x02\xff\xff", ()),
        (b"\x00\x29" + vector(2, vector(2, b"\x00\x01i")), (b"i",)),  # its age is cut off
        (b"\x00\x29" + vector(2, vector(2, bytes(2) + bytes(4))), ()),  # an empty one
        (b"\x00\x29" + vector(2, vector(2, b"\x00\x01i" + bytes(4) + b"\x00\x09j")), (b"i",)),
        (pre_shared_key(IDS[0])[:-1], ()),
        (b"\x00\x29\xff\xff" + bytes(9), ()),
    ],
)
def test_damaged_extensions(extension: bytes, ids: tuple[bytes, ...]) -> None:
    assert read(hello(extensions=extension)).session_ids == ids


def test_cut_at_every_offset() -> None:
    """Never an error, and never an id that was not sent whole."""
    body = hello(session_id=IDS[0], extensions=OTHER + pre_shared_key(IDS[1], IDS[2]))[9:]
    whole = parse(body).session_ids
    assert whole == (IDS[0], IDS[1], IDS[2])
    for end in range(len(body)):
        assert set(parse(body[:end]).session_ids) <= {IDS[0]}


def test_a_real_one_that_offers_none() -> None:
    """Of TLS 1.3; its legacy_session_id is random."""
    assert [len(each) for each in read(real_hello()).session_ids] == [32]


def test_ids_are_not_told_by_repr() -> None:
    text = repr(read(hello(session_id=b"s" * 32, extensions=pre_shared_key(b"p" * 32))))
    assert "sss" not in text
    assert "ppp" not in text


@given(st.binary(max_size=400))
def test_nonsense(data: bytes) -> None:
    assert_bounded(parse(data))
    assert_bounded(read(hello(extensions=data)))
    assert_bounded(read(hello(extensions=b"\x00\x29" + vector(2, data))))


@given(st.data())
def test_damage(data: st.DataObject) -> None:
    body = bytearray(hello(session_id=IDS[0], extensions=pre_shared_key(*IDS))[9:])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert_bounded(parse(bytes(body[: data.draw(st.integers(0, len(body)))])))


def assert_bounded(found: ClientHello) -> None:
    assert len(found.session_ids) <= 5
    assert all(1 <= len(session_id) <= 32 for session_id in found.session_ids)
