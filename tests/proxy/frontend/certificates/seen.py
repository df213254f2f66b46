"""What an app was told of a client's certificate, read as RFC 9440 and RFC 9651 say."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

_BYTE_SEQUENCE = re.compile(r":([A-Za-z0-9+/]*={0,2}):")


def byte_sequences(value: str) -> list[bytes]:
    """The List of Byte Sequences (RFC 9651 sections 3.1, 3.3.5) in ``value``."""
    found = []
    for item in value.split(","):
        match = _BYTE_SEQUENCE.fullmatch(item.strip(" \t"))
        assert match is not None, value
        found.append(base64.b64decode(match[1], validate=True))
    return found


def certificates(fields: Mapping[str, str], leaf: bytes | None) -> tuple[bool, int]:
    """Whether Client-Cert is there and is ``leaf`` (DER), and how many CAs are in
    Client-Cert-Chain, each of which has issued the one before it. Names in lower case."""
    own = byte_sequences(fields["client-cert"]) if "client-cert" in fields else []
    chain = byte_sequences(fields["client-cert-chain"]) if "client-cert-chain" in fields else []
    assert own in ([], [leaf]), "another certificate than the client's"
    assert own or not chain, "a chain of nothing"
    if chain:
        issued = [x509.load_der_x509_certificate(each) for each in (*own, *chain)]
        for below, above in pairwise(issued):
            below.verify_directly_issued_by(above)
        assert [each.public_bytes(Encoding.DER) for each in issued] == [*own, *chain]
    return bool(own), len(chain)
