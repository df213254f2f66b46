"""What came: DER, PEM or PKCS#7, told by its first bytes. Nothing is parsed here.

Content-Type is not asked, as CAs get it wrong. The length in the first bytes shows whether a body
without Content-Length is whole. A page of HTML is refused here, so that it can be said in words.
"""

from __future__ import annotations

import enum
import re

from kssl.fastpath.verifier.fetch.errors import FetchFailure, shown
from kssl.fastpath.verifier.fetch.limits import Kind

_SEQUENCE = 0x30
# OBJECT IDENTIFIER 1.2.840.113549.1.7.2, id-signedData (RFC 5652 §5.1).
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_PEM = re.compile(rb"\s{0,64}-----BEGIN ([A-Z0-9 ]{1,32})-----")
_LABELS = {
    Kind.CERTIFICATE: {b"CERTIFICATE", b"X509 CERTIFICATE", b"PKCS7", b"CMS"},
    Kind.CRL: {b"X509 CRL"},
}


class Form(enum.Enum):
    """How a body is written, and so which function reads it."""

    DER = "DER"
    PEM = "PEM"
    PKCS7_DER = "PKCS#7 in DER"  # or BER (RFC 5280 §4.2.2.1)
    PKCS7_PEM = "PKCS#7 in PEM"


def sniff(body: bytes, kind: Kind) -> Form:
    """Raises FetchFailure: ``body`` is empty, cut off or something else than ``kind``."""
    if not body:
        raise FetchFailure("an empty answer came; is the file there?")
    pem = _PEM.match(body)
    if pem:
        label = pem[1]
        if label not in _LABELS[kind]:
            raise FetchFailure(f"no {kind.value} came but PEM of {shown(label.decode('ascii'))!r}")
        if b"-----END " + label + b"-----" not in body:
            raise FetchFailure("what came has a first line of PEM but no last; is the file whole?")
        return Form.PKCS7_PEM if label in (b"PKCS7", b"CMS") else Form.PEM
    if body[0] != _SEQUENCE:
        begin = shown(body[:24].decode("latin-1"))
        raise FetchFailure(f"no {kind.value} came, neither DER nor PEM: it begins with {begin!r}")
    content, end = _outer(body)
    signed = body.startswith(_SIGNED_DATA, content)
    if end is None and not signed:
        raise FetchFailure(f"no {kind.value} came: its length is indefinite, so it is no DER")
    if end is not None and end != len(body):
        raise FetchFailure(
            f"{len(body)} bytes came, but a {kind.value} of {end} begins there; is the file whole?"
        )
    if signed and kind is Kind.CRL:
        raise FetchFailure("no CRL came but PKCS#7")
    return Form.PKCS7_DER if signed else Form.DER


def _outer(body: bytes) -> tuple[int, int | None]:
    """Where the content of the outer SEQUENCE begins, and where it ends (X.690 §8.1.3).

    None: of indefinite length, as BER allows. Raises FetchFailure.
    """
    first = body[1] if len(body) > 1 else 0x84
    if first < 0x80:
        return 2, 2 + first
    octets = first & 0x7F
    # Four octets are 4 GiB; no limit lets that much in.
    if octets > 4 or len(body) < 2 + octets:
        raise FetchFailure("what came is cut off, or no DER")
    if octets == 0:
        return 2, None
    return 2 + octets, 2 + octets + int.from_bytes(body[2 : 2 + octets], "big")
