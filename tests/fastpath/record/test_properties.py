"""Any sizes and splits give the same plaintext; no bytes whatever raise."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kssl.fastpath.tls.errors import TlsError
from kssl.fastpath.tls.suites import CipherSuite
from tests.examples import examples
from tests.fastpath.record.peers import (
    ALL_SUITES,
    TLS12,
    TLS13,
    Forger,
    client_layer,
    server_layer,
)

suites = st.sampled_from(ALL_SUITES)
chunks = st.lists(
    st.one_of(st.binary(max_size=40), st.integers(2**14 - 2, 2**15 + 2).map(bytes)), max_size=6
)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """`stream` in pieces of the lengths `cuts`, again and again."""
    result, position, turn = [], 0, 0
    while position < len(stream):
        size = cuts[turn % len(cuts)]
        result.append(stream[position : position + size])
        position, turn = position + size, turn + 1
    return result


@settings(max_examples=examples(150), deadline=None)
@given(suites, chunks, st.lists(st.integers(1, 20_000), min_size=1, max_size=8), st.data())
def test_any_split_of_the_stream(
    suite: CipherSuite, contents: list[bytes], cuts: list[int], data: st.DataObject
) -> None:
    client, server = client_layer(suite), server_layer(suite)
    stream = b""
    for content in contents:
        stream += client.seal_bytes(content)
        if suite.tls13 and data.draw(st.booleans()):
            client.update_keys()
            stream += bytes(client.outgoing)
            client.outgoing.clear()
    # Cuts of a few bytes over 100 KB would only be slow: keep those for the short streams.
    cuts = cuts if len(stream) < 2000 else [max(cut, 500) for cut in cuts]
    assert b"".join(map(server.feed, pieces(stream, cuts))) == b"".join(contents)
    assert server.error is None
    assert server.pending == b""


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 300)), max_size=10))
def test_any_padding(records: list[tuple[bytes, int]]) -> None:
    server, forger = server_layer(), Forger()
    stream = b"".join(forger.record(23, content, padding) for content, padding in records)
    assert server.feed(stream) == b"".join(content for content, _ in records)
    assert server.error is None


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(2, 6), st.lists(st.integers(0, 40_000), max_size=6))
def test_any_limit_of_the_key(limit: int, lengths: list[int]) -> None:
    client, server = client_layer(), server_layer()
    server._sealer.record_limit = limit
    for length in lengths:
        sealed = server.seal_bytes(bytes(length))
        assert len(sealed) <= server.sealed_size(length)
        assert client.feed(sealed) == bytes(length)


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from([TLS13, TLS12]), st.lists(st.binary(max_size=60), max_size=5))
def test_random_bytes_never_raise(suite: CipherSuite, inputs: list[bytes]) -> None:
    server = server_layer(suite)
    for data in inputs:
        assert server.feed(data) == b""
    assert server.error is None or isinstance(server.error, TlsError)
    assert bool(server.outgoing) == (server.error is not None)


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from([TLS13, TLS12]), st.lists(st.tuples(st.integers(0, 255), st.binary())))
def test_sealed_nonsense_never_raises(suite: CipherSuite, records: list[tuple[int, bytes]]) -> None:
    """A peer with the right key, and no idea of the protocol."""
    server, forger = server_layer(suite), Forger(suite)
    for content_type, content in records:
        server.feed(forger.record(content_type, content))
    assert server.error is None or server.closed


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from([TLS13, TLS12]), st.data())
def test_a_flipped_bit_gives_the_plaintext_before_it(
    suite: CipherSuite, data: st.DataObject
) -> None:
    server, forger = server_layer(suite), Forger(suite)
    records = [forger.data(content) for content in (b"first", b"second", b"third")]
    stream = bytearray(b"".join(records))
    bit = data.draw(st.integers(0, 8 * len(stream) - 1))
    stream[bit // 8] ^= 1 << bit % 8
    read = server.feed(bytes(stream))
    whole = (bit // 8) // len(records[0]) if bit // 8 < len(records[0]) else 1
    assert b"firstsecondthird".startswith(read)
    assert len(read) >= 5 * whole
    assert server.error is not None or len(server.pending) > 0
    assert read != b"firstsecondthird"
