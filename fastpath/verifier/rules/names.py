"""Names in certificates: as text, and what name constraints say of them beyond cryptography.

cryptography applies name constraints to subjectAltName alone. RFC 5280 §4.2.1.10 wants more: those
for directory names apply to the subject, those for mail addresses also to an emailAddress in the
subject of a certificate that has none in its subjectAltName. Client certificates often have just
that. Directory names are not compared here: such a constraint refuses the path, critical or not.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kssl.config.errors import printable
from kssl.fastpath.verifier.rules.verdict import Fault, Identity, Kind

# Characters of a name in a message, and the SANs that are kept of a certificate.
_SHOWN = 120
MAX_SANS = 100
# Each is compared with each constraint.
_MAX_ADDRESSES = 16

_UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")  # userPrincipalName of Windows
_UTF8_STRING = 0x0C


def dn_text(name: x509.Name) -> str:
    """RFC 4514, on one line: what is not printable is written as hexadecimal pairs (§2.4)."""
    return "".join(
        char if char.isprintable() else "".join(f"\\{byte:02X}" for byte in char.encode())
        for char in name.rfc4514_string({NameOID.EMAIL_ADDRESS: "emailAddress"})
    )


def quoted(text: str) -> str:
    """For a sentence: printable, shortened, in quotation marks."""
    text = printable(text) or "an empty name"
    return f"'{text}'" if len(text) <= _SHOWN else f"'{text[:_SHOWN]}…'"


def shown(name: x509.Name) -> str:
    return quoted(dn_text(name))


def serial_of(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:x}"


def sans_of(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def identity_of(certificate: x509.Certificate) -> Identity:
    """Raises ValueError: an extension or a name cannot be read."""
    sans = sans_of(certificate)
    return Identity(
        subject=dn_text(certificate.subject),
        issuer=dn_text(certificate.issuer),
        serial=serial_of(certificate),
        sha256=certificate.fingerprint(SHA256()).hex(),
        sans=tuple(_san_text(name) for name in list(sans or ())[:MAX_SANS]),
        der=certificate.public_bytes(Encoding.DER),
    )


def _san_text(name: x509.GeneralName) -> str:
    match name:
        case x509.DNSName(value=value):
            return f"dns:{printable(value)}"
        case x509.RFC822Name(value=value):
            return f"email:{printable(value)}"
        case x509.UniformResourceIdentifier(value=value):
            return f"uri:{printable(value)}"
        case x509.IPAddress(value=address):
            return f"ip:{address}"
        case x509.DirectoryName(value=directory):
            return f"dn:{dn_text(directory)}"
        case x509.RegisteredID(value=oid):
            return f"other:{oid.dotted_string}"
        case x509.OtherName(type_id=oid, value=der):
            text = _utf8(der) if oid == _UPN else None
            return f"upn:{printable(text)}" if text is not None else f"other:{oid.dotted_string}"
    return "other:unknown"


def _utf8(der: bytes) -> str | None:
    """A DER UTF8String of less than 128 bytes; None: it is something else."""
    if len(der) < 2 or der[0] != _UTF8_STRING or der[1] != len(der) - 2 or der[1] >= 0x80:
        return None
    try:
        return der[2:].decode()
    except UnicodeDecodeError:
        return None


# --- name constraints


def constraints_of(certificate: x509.Certificate) -> x509.NameConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def directory_constraint(certificate: x509.Certificate) -> Fault | None:
    """What is wrong with a CA whose constraints cannot be checked here."""
    found = constraints_of(certificate)
    if found is None:
        return None
    subtrees = [*(found.permitted_subtrees or ()), *(found.excluded_subtrees or ())]
    if not any(isinstance(each, x509.DirectoryName) for each in subtrees):
        return None
    return Fault(
        Kind.NAMES,
        "has name constraints for directory names, which are not supported here",
        "use a CA without them, or put the CA below it into the trust store",
    )


def constraint_fault(chain: Sequence[x509.Certificate]) -> tuple[int, Fault] | None:
    """What cryptography does not see in a chain that it accepts: (index in `chain`, what)."""
    for above in range(1, len(chain)):
        constraints = constraints_of(chain[above])
        if constraints is None:
            continue
        if (unsupported := directory_constraint(chain[above])) is not None:
            return above, unsupported
        for below in range(above):
            # Self-issued CAs are exempt, the client's certificate never is (§6.1.3 (b)).
            if below and chain[below].subject == chain[below].issuer:
                continue
            addresses = _subject_addresses(chain[below])
            if len(addresses) > _MAX_ADDRESSES:
                text = f"has {len(addresses)} mail addresses in its subject, too many to be checked"
                return below, Fault(Kind.NAMES, text, "have it issued with fewer")
            for address in addresses:
                if not _permits(constraints, address):
                    text = (
                        f"has {quoted(address)} in its subject, which the name constraints of "
                        f"{shown(chain[above].subject)} forbid"
                    )
                    return below, Fault(Kind.NAMES, text, "have it issued with a permitted name")
    return None


def _subject_addresses(certificate: x509.Certificate) -> list[str]:
    """Of the subject, if there is none in subjectAltName (§4.2.1.10)."""
    found = certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
    if not found:
        return []
    sans = sans_of(certificate)
    if sans is not None and sans.get_values_for_type(x509.RFC822Name):
        return []
    return [str(each.value) for each in found]


def _permits(constraints: x509.NameConstraints, address: str) -> bool:
    permitted = _mail_subtrees(constraints.permitted_subtrees)
    excluded = _mail_subtrees(constraints.excluded_subtrees)
    if permitted and not any(_below(address, each) for each in permitted):
        return False
    return not any(_below(address, each) for each in excluded)


def _mail_subtrees(subtrees: Sequence[x509.GeneralName] | None) -> list[str]:
    return [each.value for each in subtrees or () if isinstance(each, x509.RFC822Name)]


def _below(address: str, constraint: str) -> bool:
    """A mailbox, a host, or ``.domain`` for the hosts below it."""
    local, _, host = address.rpartition("@")
    host, constraint = host.lower(), constraint.strip()
    if "@" in constraint:
        mailbox, _, its_host = constraint.rpartition("@")
        return local == mailbox and host == its_host.lower()
    if constraint.startswith("."):
        return host.endswith(constraint.lower())
    return host == constraint.lower()
