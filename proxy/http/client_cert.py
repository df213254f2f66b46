"""What the app and the HTTPERR log are told of a client's certificate.

RFC 9440 has the fields Client-Cert and Client-Cert-Chain. The others are ours:

    X-Client-Cert-Verdict     ok                 or none, 403.16 …: `ClientVerdict.word`
    Client-Cert               :MIIB…:            the client's own certificate
    Client-Cert-Chain         :MIIB…:, :MIIC…:   CAs above it, the next one first
    X-Client-Cert-Subject     CN=Ann,O=Example   RFC 4514
    X-Client-Cert-Issuer      CN=CA,O=Example
    X-Client-Cert-San         dns:a.example, email:ann@example.org
    X-Client-Cert-Serial      4f3a               hexadecimal
    X-Client-Cert-Fingerprint 64 digits          SHA-256 of the certificate, hexadecimal
    X-Client-Cert-Reason      a sentence         for people; its words may change

An app must look at the verdict first. A site may pass failures on (client_cert_failure): then the
other fields are there for a bad certificate, too, and whoever made it has chosen what they say.

Names are foreign text, so the values of X-Client-Cert-… are percent-encoded (RFC 3986 section 2.1,
over UTF-8): whatever is not printable ASCII, "%" itself, a space at either end; in San also comma,
quotation mark and backslash. So San is split at its commas, white space around a name is dropped,
and then each name is decoded; the other values are decoded as they are.

No part of a name is ever sent, because it could be another's name. San ends in front of the first
name with which it would be longer than MAX_VALUE; the app finds the others in Client-Cert. Any
other value that is too long is left out.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from urllib.parse import quote

from kssl.config.client_certificates import Headers
from kssl.fastpath.verifier.messages import ClientVerdict
from kssl.fastpath.verifier.rules.verdict import Outcome

REASONS: Mapping[Outcome, str] = MappingProxyType(
    {
        Outcome.NONE_PRESENTED: "Cert_Required",
        Outcome.DENIED: "Cert_Denied",
        Outcome.REVOKED: "Cert_Revoked",
        Outcome.UNTRUSTED: "Cert_Untrusted",
        Outcome.EXPIRED: "Cert_Expired",
    }
)
"""What each failure is called in the HTTPERR log."""

MAX_VALUE = 4096
"""Characters of a value about names."""
MAX_CERTIFICATES = 16384
"""Characters of Client-Cert, and of Client-Cert-Chain. A stranger may present 64 KiB, which would
go with each request, and app servers take heads of 8 to 64 KiB."""

# What quote() leaves alone, beside letters, digits and "_.-~".
_TEXT = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_ITEM = _TEXT.translate(str.maketrans("", "", ',"\\'))

_SEPARATOR = ", "


def certificate_fields(
    wanted: Headers, verdict: ClientVerdict, leaf: bytes | None
) -> tuple[tuple[str, str], ...]:
    """Names and values for the app, printable ASCII; fields without a value are left out.

    leaf: DER of the client's own certificate, if it presented one.
    """
    if wanted is Headers.OFF:
        return ()
    fields = [("X-Client-Cert-Verdict", verdict.word), *_certificates(verdict, leaf)]
    if wanted is Headers.ALL:
        fields += (
            ("X-Client-Cert-Subject", _text(verdict.subject)),
            ("X-Client-Cert-Issuer", _text(verdict.issuer)),
            ("X-Client-Cert-San", _list(verdict.sans)),
            ("X-Client-Cert-Serial", _text(verdict.serial)),
            ("X-Client-Cert-Fingerprint", _text(verdict.sha256)),
            ("X-Client-Cert-Reason", _text(verdict.reason)),
        )
    return tuple((name, value) for name, value in fields if value)


def _certificates(verdict: ClientVerdict, leaf: bytes | None) -> list[tuple[str, str]]:
    """RFC 9440 sections 2.2 and 2.3. There is no chain without the certificate that it is of, and
    none above a bad one: nobody vouches for it."""
    if leaf is None or verdict.outcome is Outcome.NONE_PRESENTED:
        return []
    own = _byte_sequences([leaf])
    chain = _byte_sequences(verdict.chain) if own and verdict.ok else ""
    return [("Client-Cert", own), ("Client-Cert-Chain", chain)]


def _byte_sequences(certificates: Sequence[bytes]) -> str:
    """A List of Byte Sequences (RFC 9651 sections 3.1 and 3.3.5), of which one alone is also an
    Item; "" if it is too long."""
    # Base64 only makes it longer; this way nothing large is made just to be thrown away.
    if sum(map(len, certificates)) > MAX_CERTIFICATES:
        return ""
    value = _SEPARATOR.join(f":{base64.b64encode(each).decode()}:" for each in certificates)
    return value if len(value) <= MAX_CERTIFICATES else ""


def _text(text: str) -> str:
    return _encoded(text, _TEXT)


def _list(texts: Iterable[str]) -> str:
    """As many of the first ones as fit."""
    value = ""
    for text in filter(None, texts):
        item = _encoded(text, _ITEM)
        longer = value + _SEPARATOR + item if value else item
        if not item or len(longer) > MAX_VALUE:
            break
        value = longer
    return value


def _encoded(text: str, safe: str) -> str:
    """Percent-encoded; "" if it is too long."""
    if len(text) > MAX_VALUE:
        return ""
    # A lone surrogate, which is no character, becomes "?".
    value = quote(text, safe=safe, errors="replace")
    # A field's value has no white space at its ends (RFC 9110 section 5.5).
    before = len(value) - len(value.lstrip(" "))
    inner = value.strip(" ")
    value = "%20" * before + inner + "%20" * (len(value) - before - len(inner))
    return value if len(value) <= MAX_VALUE else ""
