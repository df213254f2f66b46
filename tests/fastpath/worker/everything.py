"""A ClientHello that offers every extension that IANA knows, and how to read the answer."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from kssl.fastpath.tls.keys import DirectionKeys
from kssl.fastpath.tls.suites import CipherSuite
from tests.fastpath.record.peers import HANDSHAKE, split_records
from tests.fastpath.tls.test_clienthello import vector

# IANA's TLS ExtensionType Values; the two that were never registered have the names that they are
# known by.
NAMES: Mapping[int, str] = {
    0: "server_name",
    1: "max_fragment_length",
    2: "client_certificate_url",
    3: "trusted_ca_keys",
    4: "truncated_hmac",
    5: "status_request",
    6: "user_mapping",
    7: "client_authz",
    8: "server_authz",
    9: "cert_type",
    10: "supported_groups",
    11: "ec_point_formats",
    12: "srp",
    13: "signature_algorithms",
    14: "use_srtp",
    15: "heartbeat",
    16: "application_layer_protocol_negotiation",
    17: "status_request_v2",
    18: "signed_certificate_timestamp",
    19: "client_certificate_type",
    20: "server_certificate_type",
    21: "padding",
    22: "encrypt_then_mac",
    23: "extended_master_secret",
    24: "token_binding",
    25: "cached_info",
    26: "tls_lts",
    27: "compress_certificate",
    28: "record_size_limit",
    29: "pwd_protect",
    30: "pwd_clear",
    31: "password_salt",
    32: "ticket_pinning",
    33: "tls_cert_with_extern_psk",
    34: "delegated_credential",
    35: "session_ticket",
    36: "TLMSP",
    37: "TLMSP_proxying",
    38: "TLMSP_delegate",
    39: "supported_ekt_ciphers",
    41: "pre_shared_key",
    42: "early_data",
    43: "supported_versions",
    44: "cookie",
    45: "psk_key_exchange_modes",
    47: "certificate_authorities",
    48: "oid_filters",
    49: "post_handshake_auth",
    50: "signature_algorithms_cert",
    51: "key_share",
    52: "transparency_info",
    54: "connection_id",
    55: "external_id_hash",
    56: "external_session_id",
    57: "quic_transport_parameters",
    58: "ticket_request",
    59: "dnssec_chain",
    60: "sequence_number_encryption_algorithms",
    61: "rrc",
    13172: "next_protocol_negotiation",
    30032: "channel_id",
    64768: "ech_outer_extensions",
    65037: "encrypted_client_hello",
    65281: "renegotiation_info",
}

_SIGNATURES = vector(2, b"\x04\x03\x08\x04\x08\x05\x08\x06\x04\x01")
_SECRET = X25519PrivateKey.generate()
_SHARE = b"\0\x1d" + vector(2, _SECRET.public_key().public_bytes_raw())

# What a client may say in each, so that a server which knows it could agree.
_CONTENTS: Mapping[int, bytes] = {
    0: vector(2, b"\0" + vector(2, b"zero.example")),
    1: b"\x01",
    5: b"\x01\0\0\0\0",
    9: vector(1, b"\0\1"),
    10: vector(2, b"\0\x1d\0\x17"),
    11: vector(1, b"\0"),
    12: vector(1, b"user"),
    13: _SIGNATURES,
    14: vector(2, b"\0\1\0\2") + b"\0",
    15: b"\x01",
    16: vector(2, vector(1, b"h2") + vector(1, b"http/1.1")),
    17: vector(2, b"\x02" + vector(2, b"\0\0\0\0")),
    19: vector(1, b"\x02\0"),
    20: vector(1, b"\x02\0"),
    21: bytes(16),
    24: b"\1\0" + vector(1, b"\2"),
    27: vector(1, b"\0\1\0\2\0\3"),
    28: b"\x02\x00",
    34: _SIGNATURES,
    44: vector(2, b"cookie"),
    45: vector(1, b"\1"),
    47: vector(2, vector(2, b"0\0")),
    50: _SIGNATURES,
    51: vector(2, _SHARE),
    54: vector(1, b"id"),
    57: b"",
    58: b"\1\1",
    65037: b"\0\0\1\0\1\7" + vector(2, bytes(32)) + vector(2, bytes(64)),
    65281: b"\0",
}

# Last of all, as it must be (RFC 9846 §4.3.11): of a session that nobody has.
_PRE_SHARED_KEY = vector(2, vector(2, bytes(32)) + bytes(4)) + vector(2, vector(1, bytes(32)))

# Of no use in a hello: the one is for DTLS, and OpenSSL refuses the hello; the other may only stand
# inside an encrypted one.
_NOT_SENT = (14, 64768)


def hello(*, tls13: bool, without: tuple[int, ...] = ()) -> bytes:
    """A record with the ClientHello."""
    versions = vector(1, b"\3\4" if tls13 else b"\3\3")
    listed = b""
    for kind in (*(each for each in NAMES if each != 41), 41):
        if kind in (*without, *_NOT_SENT):
            continue
        content = {43: versions, 41: _PRE_SHARED_KEY}.get(kind, _CONTENTS.get(kind, b""))
        listed += kind.to_bytes(2, "big") + vector(2, content)
    suites = vector(2, b"\x13\x01\xc0\x2b\xc0\x23\x00\xff")
    compressions = vector(1, b"\0" if tls13 else b"\1\0")  # DEFLATE, then none
    body = b"\3\3" + bytes(range(32)) + vector(1, bytes(32)) + suites + compressions
    return b"\x16\3\1" + vector(2, b"\1" + vector(3, body + vector(2, listed)))


def open_records(suite: CipherSuite, keys: DirectionKeys, stream: bytes) -> bytes:
    """Return the content of the protected records in ``stream``, all of one key (TLS 1.3)."""
    content, sequence = b"", 0
    aead = suite.aead(keys.key)
    for record in split_records(stream):
        if record[0] != 23:
            continue
        nonce = (int.from_bytes(keys.iv, "big") ^ sequence).to_bytes(12, "big")
        inner = aead.decrypt(nonce, record[5:], record[:5]).rstrip(b"\0")
        assert inner[-1] == HANDSHAKE
        content += inner[:-1]
        sequence += 1
    return content


def split_messages(content: bytes) -> dict[int, bytes]:
    """Return handshake messages by their type; each comes once."""
    messages = {}
    while content:
        end = 4 + int.from_bytes(content[1:4], "big")
        assert content[0] not in messages
        messages[content[0]] = content[:end]
        content = content[end:]
    return messages


def split_extensions(listed: bytes) -> dict[str, bytes]:
    """Return name → content of what stands behind the length of a list of extensions."""
    found = {}
    while listed:
        kind, end = int.from_bytes(listed[:2], "big"), 4 + int.from_bytes(listed[2:4], "big")
        found[NAMES[kind]] = listed[4:end]
        listed = listed[end:]
    return found
