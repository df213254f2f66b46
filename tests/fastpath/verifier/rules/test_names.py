"""Names: what CAs may vouch for, and who a client is."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.verdict import Kind
from tests.fastpath.verifier.rules.pki import Made, cross, self_signed, sign
from tests.fastpath.verifier.rules.support import MIDDLE, ROOT, ask, kinds, untrusted

# --- names


def test_name_constraints() -> None:
    constraints = x509.NameConstraints([x509.DNSName("a.example")], None)
    ca = ROOT.issue("CA", (constraints, True), ca=True)

    def leaf(host: str) -> Made:
        return ca.issue("x", (x509.SubjectAlternativeName([x509.DNSName(host)]), False))

    assert ask(leaf("x.a.example"), ca).ok
    verdict = untrusted(ask(leaf("x.b.example"), ca), "below 'CN=CA', whose name constraints")
    assert kinds(verdict) == [[Kind.NAMES], [], []]
    assert ask(ca.issue("no names at all"), ca).ok


@pytest.mark.parametrize("critical", [True, False])
@pytest.mark.parametrize("excluded", [True, False])
def test_directory_names_are_not_compared(critical: bool, excluded: bool) -> None:
    subtree = [x509.DirectoryName(x509.Name.from_rfc4514_string("O=Example"))]
    constraints = x509.NameConstraints(*((None, subtree) if excluded else (subtree, None)))
    ca = ROOT.issue("CA", (constraints, critical), ca=True)
    leaf = ca.issue("CN=x,O=Example")
    words = "has name constraints for directory names"
    untrusted(ask(leaf, ca), "'CN=x,O=Example' is issued by 'CN=CA', which was presented", words)
    stored = Policy.prepare([ROOT.certificate], [ca.certificate])
    untrusted(ask(leaf, policy=stored), "the CA 'CN=CA'", words)
    untrusted(ask(leaf, policy=Policy.prepare([ca.certificate])), "the CA 'CN=CA'", words)
    beside = Made(cross(ca, ROOT), ca.key)
    assert ask(leaf, ca, beside).ok
    assert ask(leaf, beside, policy=stored).ok
    both = Policy.prepare([ROOT.certificate], [ca.certificate, beside.certificate])
    assert ask(leaf, policy=both).ok


def test_mail_addresses_in_the_subject() -> None:
    for constraints, forbidden in (
        (x509.NameConstraints([x509.RFC822Name("a.example")], None), "u@b.example"),
        (x509.NameConstraints([x509.RFC822Name(".a.example")], None), "u@a.example"),
        (x509.NameConstraints([x509.RFC822Name("me@a.example")], None), "you@a.example"),
        (x509.NameConstraints(None, [x509.RFC822Name("a.example")]), "u@A.example"),
    ):
        ca = ROOT.issue("CA", (constraints, True), ca=True)
        verdict = untrusted(ask(ca.issue(f"CN=u,E={forbidden}"), ca), "forbid", forbidden)
        assert verdict.steps[0].faults[0].kind is Kind.NAMES
    constraints = x509.NameConstraints([x509.RFC822Name("a.example")], None)
    ca = ROOT.issue("CA", (constraints, True), ca=True)
    assert ask(ca.issue("CN=u,E=u@A.Example"), ca).ok
    # A client's certificate that is self-issued is none of the exempt ones.
    anchor = self_signed("CN=u,E=u@b.example", (constraints, True))
    twin = anchor.issue("CN=u,E=u@b.example")
    untrusted(ask(twin, policy=Policy.prepare([anchor.certificate])), "forbid", "u@b.example")
    san = x509.SubjectAlternativeName([x509.RFC822Name("u@a.example")])
    assert ask(ca.issue("CN=u,E=u@b.example", (san, False)), ca).ok  # it has one that counts


def test_a_subject_full_of_addresses() -> None:
    constraints = x509.NameConstraints([x509.RFC822Name("a.example")], None)
    ca = ROOT.issue("CA", (constraints, True), ca=True)
    for count, passes in ((16, True), (17, False)):
        verdict = ask(ca.issue(",".join(["E=u@a.example"] * count)), ca)
        assert verdict.ok is passes
        if not passes:
            untrusted(verdict, "has 17 mail addresses in its subject")


# --- who it is


def test_identity() -> None:
    san = x509.SubjectAlternativeName([
        x509.DNSName("a.example"), x509.RFC822Name("u@a.example"),
        x509.UniformResourceIdentifier("spiffe://a/b"),
        x509.DirectoryName(x509.Name.from_rfc4514_string("CN=d")),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x03u@w"),
        x509.OtherName(x509.ObjectIdentifier("1.2.4"), b"\x0c\x03u@w"),
    ])  # fmt: skip
    leaf = MIDDLE.issue("CN=u\\, v,E=u@a.example,C=DE", (san, False), serial=0xABCDEF)
    found = ask(leaf, MIDDLE).identity
    assert found is not None
    assert found.subject == "CN=u\\, v,emailAddress=u@a.example,C=DE"
    assert found.issuer == "CN=Middle,O=Example"
    assert found.serial == "abcdef"
    assert found.sha256 == x509.load_der_x509_certificate(leaf.der).fingerprint(SHA256()).hex()
    assert found.sans == (
        "dns:a.example", "email:u@a.example", "uri:spiffe://a/b", "dn:CN=d", "other:1.2.3",
        "upn:u@w", "other:1.2.4",
    )  # fmt: skip
    assert found.der == leaf.der
    assert ask(leaf).identity == found  # of those who are refused as well


def test_control_characters_in_names() -> None:
    evil = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a\x1b[2J\r\nX-Evil: \u202e")])
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = sign(evil, MIDDLE.certificate.subject, key.public_key(), MIDDLE.key)
    verdict = ask(Made(leaf, key), MIDDLE)
    assert verdict.ok
    assert verdict.identity is not None
    assert verdict.identity.subject == r"CN=a\1B[2J\0D\0AX-Evil: \E2\80\AE"
    assert verdict.reason.isprintable()
    assert verdict.steps[0].subject == verdict.identity.subject
