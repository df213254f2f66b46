"""What a client's certificate and the CAs above it must look like.

cryptography asks for X.509 version 3, dates that hold at the time of the verdict, RSA of 2048 bits
or more or NIST curves in CAs, and signatures with SHA-256, SHA-384 or SHA-512 (in all but anchors).
The rules about extensions are ours:

| extension | the client's certificate | CAs, the anchor too |
|---|---|---|
| basicConstraints | anything: who holds a CA could issue a leaf anyway | must be there and say CA |
| keyUsage | if there, with digitalSignature (RFC 5246 §7.4.6) * | if there, with keyCertSign |
| extendedKeyUsage | if there, with clientAuth or anyExtendedKeyUsage * | the same * |
| nameConstraints | obeyed | obeyed; none for directory names |
| certificatePolicies | not read, may be critical | not read, may be critical |
| others | if critical, must be known to cryptography | the same |

(*) not with the usage check off. pathlen is obeyed. subjectAltName may be missing.
certificatePolicies restrict only those who ask for a policy; nobody here does (RFC 5280 §6.1.1).

The functions here answer for both: the callbacks of the verifier, and the explanation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, SignatureAlgorithmOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy

from kssl.fastpath.verifier.rules.names import directory_constraint
from kssl.fastpath.verifier.rules.verdict import Fault, Kind

T = TypeVar("T", bound=x509.ExtensionType)

MIN_RSA_BITS = 2048
# Beyond, one signature takes milliseconds, and who presents certificates chooses the key.
MAX_RSA_BITS = 8192
MAX_RSA_EXPONENT = 1 << 33
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_PURPOSES = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)

_SIGNATURES = frozenset(
    (
        SignatureAlgorithmOID.RSA_WITH_SHA256, SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512, SignatureAlgorithmOID.RSASSA_PSS,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256, SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
    )
)  # fmt: skip
# Those that the verifier looks at, and the one that we let pass.
_KNOWN = frozenset(
    (
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS, ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.NAME_CONSTRAINTS, ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.CERTIFICATE_POLICIES,
    )
)  # fmt: skip

_REISSUE = "have it issued again"


def extension_policies(usage_check: bool) -> tuple[ExtensionPolicy, ExtensionPolicy]:
    """For CAs, and for the client's certificate."""
    ca = (
        _with_policies()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _raising(basic_fault))
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _raising(ca_key_usage_fault))
    )
    leaf = _with_policies()
    if usage_check:
        ca = ca.may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _raising(purpose_fault))
        leaf = leaf.may_be_present(
            x509.KeyUsage, Criticality.AGNOSTIC, _raising(leaf_key_usage_fault)
        ).may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _raising(purpose_fault))
    return ca, leaf


def _with_policies() -> ExtensionPolicy:
    return ExtensionPolicy.permit_all().may_be_present(
        x509.CertificatePolicies, Criticality.AGNOSTIC, None
    )


def _raising(
    check: Callable[[T | None], Fault | None],
) -> Callable[[Policy, x509.Certificate, T | None], None]:
    """As the verifier wants it: ValueError refuses the certificate."""

    def validate(policy: Policy, certificate: x509.Certificate, value: T | None) -> None:
        fault = check(value)
        if fault is not None:
            raise ValueError(fault.text)

    return validate


def basic_fault(value: x509.BasicConstraints | None) -> Fault | None:
    if value is not None and value.ca:
        return None
    return Fault(Kind.CA, "issued a certificate and is no CA (basicConstraints)", "use a real CA")


def ca_key_usage_fault(value: x509.KeyUsage | None) -> Fault | None:
    if value is None or value.key_cert_sign:
        return None
    text = "issued a certificate and must not (keyUsage without keyCertSign)"
    return Fault(Kind.CA, text, "use a CA that may")


def leaf_key_usage_fault(value: x509.KeyUsage | None) -> Fault | None:
    if value is None or value.digital_signature:
        return None
    text = "must not be used to sign in TLS (keyUsage without digitalSignature)"
    return Fault(Kind.USAGE, text, f"{_REISSUE} for client authentication")


def purpose_fault(value: x509.ExtendedKeyUsage | None) -> Fault | None:
    if value is None or any(purpose in value for purpose in _PURPOSES):
        return None
    text = "is not for client authentication (extendedKeyUsage without clientAuth)"
    return Fault(Kind.USAGE, text, f"{_REISSUE} with clientAuth, or switch the usage check off")


def issuer_key_fault(certificate: x509.Certificate) -> Fault | None:
    """Of a CA's key."""
    return _key_fault(certificate, "with RSA of 2048 bits or more, P-256, P-384 or P-521")


def leaf_key_fault(certificate: x509.Certificate) -> Fault | None:
    """As above, of the client's key: Ed25519 too."""
    return _key_fault(
        certificate, "with RSA of 2048 bits or more, P-256, P-384, P-521 or Ed25519", leaf=True
    )


def _key_fault(certificate: x509.Certificate, remedy: str, leaf: bool = False) -> Fault | None:
    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm:
        key = None
    except ValueError:
        return Fault(Kind.KEY, "has a key that cannot be read", f"{_REISSUE} {remedy}")
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            text = f"has an RSA key of {key.key_size} bits, which is too weak"
        elif key.key_size > MAX_RSA_BITS or key.public_numbers().e >= MAX_RSA_EXPONENT:
            text = f"has an RSA key that is too large (more than {MAX_RSA_BITS} bits, or exponent)"
        else:
            return None
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if isinstance(key.curve, _CURVES):
            return None
        text = f"has a key on the curve {key.curve.name}, which is not supported"
    elif leaf and isinstance(key, ed25519.Ed25519PublicKey):
        return None
    elif isinstance(key, ed25519.Ed25519PublicKey):
        text = "has an Ed25519 key, which is not supported for CAs"
    else:
        text = "has a key of a kind that is not supported"
    return Fault(Kind.KEY, text, f"{_REISSUE} {remedy}")


def signature_fault(certificate: x509.Certificate) -> Fault | None:
    """Of the algorithm by which `certificate` was signed; not asked of anchors."""
    oid = certificate.signature_algorithm_oid
    if oid in _SIGNATURES:
        return None
    name = oid._name if oid._name != "Unknown OID" else oid.dotted_string
    text = f"is signed by {name}, which is too weak or not supported"
    return Fault(Kind.SIGNATURE, text, f"{_REISSUE} with SHA-256 and RSA or ECDSA")


def leaf_faults(certificate: x509.Certificate, usage_check: bool) -> list[Fault]:
    """Everything wrong with the client's certificate by itself, except its dates."""
    faults = [*_common_faults(certificate), leaf_key_fault(certificate)]
    if usage_check:
        faults += [
            leaf_key_usage_fault(_value(certificate, x509.KeyUsage)),
            purpose_fault(_value(certificate, x509.ExtendedKeyUsage)),
        ]
    return [fault for fault in faults if fault is not None]


def ca_faults(certificate: x509.Certificate, usage_check: bool) -> list[Fault]:
    """As above, of a CA."""
    faults = [
        *_common_faults(certificate),
        issuer_key_fault(certificate),
        basic_fault(_value(certificate, x509.BasicConstraints)),
        ca_key_usage_fault(_value(certificate, x509.KeyUsage)),
        directory_constraint(certificate),
    ]
    if usage_check:
        faults.append(purpose_fault(_value(certificate, x509.ExtendedKeyUsage)))
    return [fault for fault in faults if fault is not None]


def _common_faults(certificate: x509.Certificate) -> list[Fault]:
    faults = []
    if certificate.version is not x509.Version.v3:
        text = "is an X.509 certificate of version 1, which cannot say what it is for"
        faults.append(Fault(Kind.EXTENSION, text, f"{_REISSUE} as version 3"))
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _KNOWN:
            name = extension.oid._name
            which = extension.oid.dotted_string + (f", {name}" if name != "Unknown OID" else "")
            text = f"has a critical extension that is not understood here ({which})"
            faults.append(Fault(Kind.EXTENSION, text, f"{_REISSUE} without it"))
    return faults


def is_ca(certificate: x509.Certificate) -> bool:
    basic = _value(certificate, x509.BasicConstraints)
    return basic is not None and basic.ca


def _value(certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
