"""Key schedules against published vectors."""

from __future__ import annotations

import hashlib

from kssl.fastpath.tls.keyschedule import (
    hkdf_expand_label,
    next_traffic_secret,
    tls12_keys,
    traffic_keys,
)
from kssl.fastpath.tls.suites import BY_OPENSSL_NAME
from tests.fastpath import rfc8448

AES128 = BY_OPENSSL_NAME["TLS_AES_128_GCM_SHA256"]


def test_traffic_keys_of_rfc8448() -> None:
    client = traffic_keys(AES128, rfc8448.CLIENT_SECRET)
    assert (client.key, client.iv) == (rfc8448.CLIENT_KEY, rfc8448.CLIENT_IV)
    server = traffic_keys(AES128, rfc8448.SERVER_SECRET, sequence=1)
    assert (server.key, server.iv) == (rfc8448.SERVER_KEY, rfc8448.SERVER_IV)
    assert server.sequence == 1
    assert server.secret == rfc8448.SERVER_SECRET


def test_derived_secret_of_rfc8448() -> None:
    """§3 "derive secret for handshake": the early secret, label "derived"."""
    early = bytes.fromhex("33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a")
    derived = hkdf_expand_label("sha256", early, b"derived", hashlib.sha256().digest(), 32)
    assert derived.hex() == "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"


def test_ku_of_rfc9001() -> None:
    """RFC 9001 §A.5 (ChaCha20): the same function, with QUIC's label."""
    secret = bytes.fromhex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b")
    updated = hkdf_expand_label("sha256", secret, b"quic ku", b"", 32)
    assert updated.hex() == "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9"


def test_long_output_takes_several_blocks() -> None:
    long = hkdf_expand_label("sha256", b"s" * 32, b"label", b"context", 100)
    assert len(long) == 100
    assert len({long[start : start + 32] for start in range(0, 96, 32)}) == 3


def test_next_traffic_secret_keeps_the_length_of_the_hash() -> None:
    aes256 = BY_OPENSSL_NAME["TLS_AES_256_GCM_SHA384"]
    assert len(next_traffic_secret(AES128, b"s" * 32)) == 32
    assert len(next_traffic_secret(aes256, b"s" * 48)) == 48


def test_tls12_keys_are_cut_in_the_order_of_the_rfc() -> None:
    """RFC 5246 §6.3; the keys themselves are proved by OpenSSL in test_openssl."""
    gcm = BY_OPENSSL_NAME["ECDHE-RSA-AES256-GCM-SHA384"]
    client, server = tls12_keys(gcm, b"m" * 48, b"c" * 32, b"s" * 32, explicit_nonce=7)
    assert [len(part) for part in (client.key, client.iv, server.key, server.iv)] == [32, 4, 32, 4]
    assert len({client.key, server.key}) == len({client.iv, server.iv}) == 2
    assert (client.sequence, server.sequence) == (1, 1)
    assert (client.explicit_nonce, server.explicit_nonce) == (0, 7)


def test_the_explicit_nonce_is_of_the_side_that_we_are() -> None:
    gcm = BY_OPENSSL_NAME["ECDHE-RSA-AES128-GCM-SHA256"]
    secrets = (b"m" * 48, b"c" * 32, b"s" * 32)
    client, server = tls12_keys(gcm, *secrets, explicit_nonce=7, client=True)
    assert (client.explicit_nonce, server.explicit_nonce) == (7, 0)
    as_server = tls12_keys(gcm, *secrets, explicit_nonce=7)
    assert [each.key for each in as_server] == [client.key, server.key]
