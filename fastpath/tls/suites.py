"""The cipher suites that the record layer speaks: one sorted table.

All are AEADs with a 16-byte tag. What OpenSSL may negotiate beside them (CBC, CCM, finite-field
key exchange) must be switched off at the handshake; there is no record layer for it here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

AeadType: TypeAlias = type[AESGCM] | type[ChaCha20Poly1305]

GCM_RECORD_LIMIT = math.floor(2**24.5)
"""Records per AES-GCM key: 23,726,566, that is 388 GB in records of 2^14 bytes.

RFC 9846 §5.5: up to 2^24.5 full-size records keep a margin of 2^-57 for authenticated encryption.
RFC 9325 §4.4 has the same limit for TLS 1.2. Shorter records would allow more of them; counting
each as a full one errs on the safe side.
"""

CHACHA_RECORD_LIMIT = 2**64 - 1
"""Records per ChaCha20-Poly1305 key: the sequence number would wrap first (RFC 9846 §5.5)."""


@dataclass(frozen=True, slots=True)
class CipherSuite:
    """What record protection needs to know of a negotiated suite.

    `code` is the 16-bit IANA value, `name` the IANA name and `openssl_name` what OpenSSL calls it.
    `key_length` is in bytes. `hash_name` (of the key schedule) is a name for `hashlib`.
    `record_limit` counts the records that one key may seal.
    """

    code: int
    name: str
    openssl_name: str
    tls13: bool
    aead: AeadType
    key_length: int
    hash_name: str
    record_limit: int

    explicit_nonce_length: int = field(init=False)
    """Bytes of nonce in front of each ciphertext: 8 for TLS 1.2 GCM (RFC 5288 §3), or 0."""
    implicit_iv_length: int = field(init=False)
    """Bytes of IV from the key schedule: 4 for TLS 1.2 GCM (RFC 5288 §3), 12 elsewhere."""
    secret_length: int = field(init=False)
    """Bytes of a traffic secret (RFC 9846 §7.1: the hash's), or 0 in TLS 1.2."""

    def __post_init__(self) -> None:
        explicit = 8 if self.aead is AESGCM and not self.tls13 else 0
        secret = hashlib.new(self.hash_name).digest_size if self.tls13 else 0
        object.__setattr__(self, "explicit_nonce_length", explicit)
        object.__setattr__(self, "implicit_iv_length", 4 if explicit else 12)
        object.__setattr__(self, "secret_length", secret)


def _gcm(code: int, name: str, openssl_name: str, tls13: bool, bits: int) -> CipherSuite:
    hash_name = "sha384" if bits == 256 else "sha256"
    return CipherSuite(
        code, name, openssl_name, tls13, AESGCM, bits // 8, hash_name, GCM_RECORD_LIMIT
    )


def _chacha(code: int, name: str, openssl_name: str, tls13: bool) -> CipherSuite:
    return CipherSuite(
        code, name, openssl_name, tls13, ChaCha20Poly1305, 32, "sha256", CHACHA_RECORD_LIMIT
    )


SUITES: tuple[CipherSuite, ...] = (
    # TLS 1.3: RFC 9846 §B.4. OpenSSL uses the IANA names.
    _gcm(0x1301, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", True, 128),
    _gcm(0x1302, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", True, 256),
    _chacha(0x1303, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", True),
    # TLS 1.2: RFC 5289 §3.2 (GCM) and RFC 7905 §2 (ChaCha20).
    _gcm(
        0xC02B,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        False,
        128,
    ),
    _gcm(
        0xC02C,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        False,
        256,
    ),
    _gcm(
        0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", False, 128
    ),
    _gcm(
        0xC030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", False, 256
    ),
    _chacha(
        0xCCA8,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
        False,
    ),
    _chacha(
        0xCCA9,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        False,
    ),
)

BY_OPENSSL_NAME: Mapping[str, CipherSuite] = MappingProxyType({s.openssl_name: s for s in SUITES})
BY_CODE: Mapping[int, CipherSuite] = MappingProxyType({s.code: s for s in SUITES})
