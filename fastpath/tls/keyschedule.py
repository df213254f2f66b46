"""From secrets to traffic keys: the last step of the TLS 1.3 and TLS 1.2 key schedules.

The earlier steps, up to the traffic secret or the master secret, are OpenSSL's.
"""

from __future__ import annotations

import hmac
import struct
from functools import lru_cache

from kssl.fastpath.tls.keys import DirectionKeys
from kssl.fastpath.tls.suites import CipherSuite

RECORDS_OF_TLS12_HANDSHAKE = 1
"""Protected records that each side has sent when a TLS 1.2 handshake ends: its Finished."""


def hkdf_expand_label(
    hash_name: str, secret: bytes, label: bytes, context: bytes, length: int
) -> bytes:
    """Return `length` bytes of HKDF-Expand-Label (RFC 9846 §7.1; HKDF-Expand: RFC 5869 §2.3)."""
    info = _hkdf_label(label, context, length)
    output = block = b""
    counter = 0
    while len(output) < length:
        counter += 1
        block = hmac.digest(secret, block + info + bytes((counter,)), hash_name)
        output += block
    return output[:length]


@lru_cache(maxsize=32)  # a few labels, all without a context
def _hkdf_label(label: bytes, context: bytes, length: int) -> bytes:
    full_label = b"tls13 " + label
    return b"".join(
        (
            struct.pack(">HB", length, len(full_label)),
            full_label,
            struct.pack(">B", len(context)),
            context,
        )
    )


def traffic_keys(suite: CipherSuite, secret: bytes, sequence: int = 0) -> DirectionKeys:
    """Derive one direction of TLS 1.3 from its application traffic secret (RFC 9846 §7.3)."""
    return DirectionKeys(
        key=hkdf_expand_label(suite.hash_name, secret, b"key", b"", suite.key_length),
        iv=hkdf_expand_label(suite.hash_name, secret, b"iv", b"", suite.implicit_iv_length),
        sequence=sequence,
        secret=secret,
    )


def next_traffic_secret(suite: CipherSuite, secret: bytes) -> bytes:
    """Return application_traffic_secret_N+1, for KeyUpdate (RFC 9846 §7.2)."""
    return hkdf_expand_label(suite.hash_name, secret, b"traffic upd", b"", len(secret))


def tls12_keys(
    suite: CipherSuite,
    master_secret: bytes,
    client_random: bytes,
    server_random: bytes,
    *,
    sequence: int = RECORDS_OF_TLS12_HANDSHAKE,
    explicit_nonce: int = 0,
    client: bool = False,
) -> tuple[DirectionKeys, DirectionKeys]:
    """Cut the TLS 1.2 key block (RFC 5246 §6.3) into (client_write, server_write).

    `explicit_nonce` is the next one of our own direction (GCM), which is the server's unless we
    are the `client`: our Finished used the value before it. The peer's is on the wire in each
    record.
    """
    key, iv = suite.key_length, suite.implicit_iv_length
    block = _prf(
        suite.hash_name,
        master_secret,
        b"key expansion" + server_random + client_random,
        2 * (key + iv),
    )
    client_iv = 2 * key
    server_iv = client_iv + iv
    nonces = (explicit_nonce, 0) if client else (0, explicit_nonce)
    return (
        DirectionKeys(block[:key], block[client_iv:server_iv], sequence, explicit_nonce=nonces[0]),
        DirectionKeys(block[key:client_iv], block[server_iv:], sequence, explicit_nonce=nonces[1]),
    )


def _prf(hash_name: str, secret: bytes, seed: bytes, length: int) -> bytes:
    """P_hash of RFC 5246 §5; `seed` is the label and the seed in one."""
    output = b""
    a = seed
    while len(output) < length:
        a = hmac.digest(secret, a, hash_name)
        output += hmac.digest(secret, a + seed, hash_name)
    return output[:length]
