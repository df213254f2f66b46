"""`HelloCollector`: when a ClientHello is whole, and what is not waited for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.tls.clienthello import ClientHello, ClientHelloReader
from kssl.proxy.frontend.hello import HelloCollector
from tests.fastpath.tls.test_clienthello import hello, vector
from tests.fastpath.tls.test_offered_sessions import pre_shared_key

TLS12, TLS13 = b"a" * 32, b"b" * 32
HELLO = hello(session_id=TLS12, extensions=pre_shared_key(TLS13))
MESSAGE = HELLO[5:]
BEHIND = b"\x14\x03\x03\x00\x01\x01"  # change_cipher_spec


def record(body: bytes) -> bytes:
    return b"\x16\x03\x01" + vector(2, body)


def in_records(size: int, message: bytes = MESSAGE) -> bytes:
    return b"".join(record(message[at : at + size]) for at in range(0, len(message), size))


def test_whole() -> None:
    collector = HelloCollector()
    assert collector.add(HELLO)
    assert collector.session_ids == (TLS12, TLS13)
    assert collector.data == HELLO


def test_what_is_behind_is_kept() -> None:
    collector = HelloCollector()
    assert collector.add(HELLO + BEHIND)
    assert collector.session_ids == (TLS12, TLS13)
    assert collector.data == HELLO + BEHIND


@pytest.mark.parametrize("size", [3, 10, 40, 1000])
def test_cut_at_every_offset(size: int) -> None:
    data = in_records(size)
    for cut in range(1, len(data)):
        collector = HelloCollector()
        assert not collector.add(data[:cut])
        assert not collector.session_ids
        assert collector.add(data[cut:])
        assert collector.session_ids == (TLS12, TLS13)
        assert collector.data == data


@pytest.mark.parametrize("size", [3, 10, 1000])
def test_byte_by_byte(size: int) -> None:
    data, collector = in_records(size), HelloCollector()
    enough = [collector.add(data[at : at + 1]) for at in range(len(data))]
    assert enough == [False] * (len(data) - 1) + [True]
    assert collector.session_ids == (TLS12, TLS13)


def test_longer_than_a_record() -> None:
    padding = b"\x00\x15" + vector(2, bytes(40_000))
    message = hello(extensions=padding + pre_shared_key(TLS13))[5:]
    # `hello` writes the record's length in two bytes, and this message has not so many.
    data, collector = in_records(1 << 14, message), HelloCollector()
    assert not collector.add(data[:-1])
    assert collector.add(data[-1:])
    assert collector.session_ids == (TLS13,)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x02\x01\x00\x10",  # no version of TLS
        b"\x16\x03\x01\x00\x00",  # an empty record
        b"\x16\x03\x01\x40\x01",  # longer than a record may be
        b"\x15\x03\x01\x00\x02",  # an alert
        record(MESSAGE[:20]) + b"\x17\x03\x03\x00\x10",
        record(b"\x02" + MESSAGE[1:]),  # a ServerHello
        record(b"\x01\x00\x00\x02ab"),
    ],
)
def test_not_a_hello_goes_on_at_once(data: bytes) -> None:
    collector = HelloCollector()
    assert not collector.add(data[:-1])
    assert collector.add(data[-1:])
    assert collector.session_ids == ()
    assert collector.data == data


def test_only_so_many_records() -> None:
    data, collector = in_records(1), HelloCollector()
    assert not collector.add(data[: 64 * 6 - 1])
    assert collector.add(data[64 * 6 - 1 : 64 * 6])
    assert collector.session_ids == ()


def test_only_so_many_bytes() -> None:
    """A message that says it has 16 MB."""
    data = in_records(1 << 14, b"\x01\xff\xff\xff" + bytes(100_000))
    collector = HelloCollector()
    assert not collector.add(data[: (1 << 16) - 1])
    assert collector.add(data[(1 << 16) - 1 : 1 << 16])
    assert collector.session_ids == ()


class Counting(ClientHelloReader):
    """Counts the bytes that it is given."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def add(self, record: bytes) -> ClientHello | None:
        self.seen += len(record)
        return super().add(record)


def test_a_client_that_trickles_costs_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Counting] = []

    def make() -> Counting:
        made.append(Counting())
        return made[-1]

    monkeypatch.setattr("kssl.proxy.frontend.hello.ClientHelloReader", make)
    data = in_records(1 << 14, b"\x01\xff\xff\xff" + bytes(100_000))[: 1 << 16]
    collector = HelloCollector()
    enough = [collector.add(data[at : at + 1]) for at in range(len(data))]
    assert enough == [False] * (len(data) - 1) + [True]
    assert made[0].seen <= len(data)


@given(st.lists(st.binary(max_size=80), max_size=12))
def test_nonsense(pieces: list[bytes]) -> None:
    collector = HelloCollector()
    for piece in [b"\x16\x03", *pieces]:
        if collector.add(piece):
            break
    assert len(collector.session_ids) <= 5


@given(st.data())
def test_damage(data: st.DataObject) -> None:
    """However it is cut, the outcome is the same."""
    damaged = bytearray(in_records(50))
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    at_once, in_two = HelloCollector(), HelloCollector()
    cut = data.draw(st.integers(0, len(damaged)))
    enough = at_once.add(bytes(damaged))
    assert (in_two.add(bytes(damaged[:cut])) or in_two.add(bytes(damaged[cut:]))) == enough
    assert in_two.session_ids == at_once.session_ids
