"""What a certificate and its CAs must look like."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.verdict import Kind
from tests.fastpath.verifier.rules.pki import (
    ANY,
    CLIENT,
    SERVER,
    by_sha1,
    rsa_key,
    self_signed,
    usage,
    version_one,
)
from tests.fastpath.verifier.rules.support import LEAF, MIDDLE, POLICY, ROOT, ask, kinds, untrusted

# --- usage


@pytest.mark.parametrize(
    ("extension", "passes"),
    [(CLIENT, True), (ANY, True), (SERVER, False), (usage("digital_signature"), True),
     (usage("key_encipherment"), False), (usage("key_cert_sign", "crl_sign"), False)],
)  # fmt: skip
def test_usage_of_the_leaf(extension: x509.ExtensionType, passes: bool) -> None:
    for critical in (False, True):
        leaf = MIDDLE.issue("a", (extension, critical))
        verdict = ask(leaf, MIDDLE)
        assert verdict.ok is passes, verdict.reason
        if not passes:
            assert kinds(verdict) == [[Kind.USAGE], [], []]
        off = Policy.prepare([ROOT.certificate], usage_check=False)
        assert ask(leaf, MIDDLE, policy=off).ok


def test_usage_of_cas() -> None:
    off = Policy.prepare([ROOT.certificate], usage_check=False)
    for purpose, passes in ((SERVER, False), (CLIENT, True), (ANY, True)):
        ca = ROOT.issue("CA", (purpose, False), ca=True)
        assert ask(ca.issue("a"), ca).ok is passes
        assert ask(ca.issue("a"), ca, policy=off).ok
    ca = ROOT.issue("CA", (usage("digital_signature"), True), ca=True)
    for policy in (POLICY, off):  # that is not what the switch is about
        untrusted(ask(ca.issue("a"), ca, policy=policy), "keyUsage without keyCertSign")
    ca = ROOT.issue("CA", (usage("key_cert_sign"), True), ca=True)
    assert ask(ca.issue("a"), ca).ok


def test_no_basic_constraints() -> None:
    no_ca = ROOT.issue("no CA")
    untrusted(ask(no_ca.issue("a"), no_ca), "the CA 'CN=no CA'", "is no CA (basicConstraints)")
    said_no = ROOT.issue("no", (x509.BasicConstraints(False, None), True))
    untrusted(ask(said_no.issue("a"), said_no), "is no CA (basicConstraints)")
    root = self_signed("not a CA", ca=False)
    untrusted(ask(root.issue("a"), policy=Policy.prepare([root.certificate])), "is no CA")


def test_critical_extensions() -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")
    untrusted(ask(ROOT.issue("a", (strange, True))), "critical extension", "(1.2.3.4)")
    assert ask(ROOT.issue("a", (strange, False))).ok
    information = x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)
    policies = x509.CertificatePolicies([information])
    ca = ROOT.issue("CA", (policies, True), ca=True)
    assert ask(ca.issue("a", (policies, True)), ca).ok
    required = x509.PolicyConstraints(0, None)
    ca = ROOT.issue("CA", (required, True), ca=True)
    untrusted(ask(ca.issue("a"), ca), "the CA 'CN=CA'", "2.5.29.36, policyConstraints")


# --- keys and signatures


def test_weak_keys() -> None:
    verdict = untrusted(ask(ROOT.issue("a", key=rsa_key(1024))), "RSA key of 1024 bits")
    assert kinds(verdict) == [[Kind.KEY], []]
    assert ask(ROOT.issue("a", key=rsa_key(2048))).ok
    ca = ROOT.issue("CA", ca=True, key=rsa_key(1024))
    verdict = untrusted(
        ask(ca.issue("a"), ca), "'CN=a' is issued by 'CN=CA', which was presented, but has an RSA"
    )
    # It can issue nothing, so it is left out of the search.
    assert verdict.notes == (
        "presented, but left out: 'CN=CA' has an RSA key of 1024 bits, which is too weak",
    )
    weak_root = self_signed("weak", key=rsa_key(1024))
    policy = Policy.prepare([weak_root.certificate])
    untrusted(ask(weak_root.issue("a"), policy=policy), "the CA 'CN=weak'", "too weak")


def test_other_keys() -> None:
    assert ask(ROOT.issue("a", key=ed25519.Ed25519PrivateKey.generate())).ok
    assert ask(ROOT.issue("a", key=ec.generate_private_key(ec.SECP384R1()))).ok
    untrusted(ask(ROOT.issue("a", key=ec.generate_private_key(ec.SECP256K1()))), "secp256k1")
    root = self_signed("ed", key=ed25519.Ed25519PrivateKey.generate())
    policy = Policy.prepare([root.certificate])
    verdict = untrusted(ask(root.issue("a"), policy=policy))
    assert kinds(verdict) == [[Kind.SIGNATURE], [Kind.KEY]]


def test_weak_signature() -> None:
    leaf = by_sha1(MIDDLE.issue("a"), MIDDLE)
    verdict = untrusted(ask(leaf, MIDDLE), "'CN=a' is signed by ecdsa-with-SHA1")
    assert kinds(verdict) == [[Kind.SIGNATURE], [], []]
    # How an anchor is signed proves nothing, and does not count.
    anchor = x509.load_der_x509_certificate(by_sha1(ROOT, ROOT))
    assert ask(LEAF, MIDDLE, policy=Policy.prepare([anchor])).ok


def test_version_one() -> None:
    leaf = version_one(ROOT.issue("a"), ROOT)
    verdict = untrusted(ask(leaf), "is an X.509 certificate of version 1")
    assert kinds(verdict) == [[Kind.EXTENSION], []]
