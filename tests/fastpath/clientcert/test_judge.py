"""Who is let in and who is not, and the reason that a person reads."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from fastpath.clientcert.explain import date_fault
from fastpath.clientcert.judge import judge
from fastpath.clientcert.policy import Policy
from fastpath.clientcert.verdict import Kind, Outcome, Source, Verdict
from tests.fastpath.clientcert.pki import (
    ANY,
    CLIENT,
    DAY,
    NOW,
    SERVER,
    Made,
    by_sha1,
    cross,
    rsa_key,
    self_signed,
    sign,
    tower,
    usage,
    version_one,
)

ROOT = self_signed("CN=Root,O=Example")
MIDDLE = ROOT.issue("CN=Middle,O=Example", ca=True)
LEAF = MIDDLE.issue("CN=alice", (CLIENT, False))
OTHER = self_signed("CN=Other,O=Elsewhere")
POLICY = Policy.prepare([ROOT.certificate])


def ask(*presented: Made | bytes, policy: Policy = POLICY, now: datetime = NOW) -> Verdict:
    return judge([each if isinstance(each, bytes) else each.der for each in presented], policy, now)


def refused(verdict: Verdict, outcome: Outcome, *words: str) -> Verdict:
    assert verdict.outcome is outcome, verdict.reason
    assert not verdict.ok
    for each in words:
        assert each in verdict.reason
    assert verdict.reason.isprintable()
    return verdict


def untrusted(verdict: Verdict, *words: str) -> Verdict:
    return refused(verdict, Outcome.UNTRUSTED, *words)


def kinds(verdict: Verdict) -> list[list[Kind]]:
    return [[fault.kind for fault in step.faults] for step in verdict.steps]


# --- paths


def test_a_good_chain() -> None:
    verdict = ask(LEAF, MIDDLE)
    assert verdict.ok
    assert verdict.reason == (
        "the client's certificate 'CN=alice' is trusted by 'CN=Root,O=Example'"
    )
    assert verdict.chain == (LEAF.certificate, MIDDLE.certificate, ROOT.certificate)
    assert [step.source for step in verdict.steps] == [
        Source.PRESENTED, Source.PRESENTED, Source.TRUST,
    ]  # fmt: skip
    assert kinds(verdict) == [[], [], []]
    assert verdict.steps[0].issuer == verdict.steps[1].subject == "CN=Middle,O=Example"
    assert verdict.steps[0].not_before == NOW - 10 * DAY
    assert verdict.steps[0].not_after == NOW + 100 * DAY


def test_nothing_presented() -> None:
    verdict = refused(ask(), Outcome.NONE_PRESENTED, "presented no certificate")
    assert verdict.identity is None


def test_the_root_may_be_presented_too_and_the_order_does_not_matter() -> None:
    for presented in ((LEAF, ROOT, MIDDLE), (LEAF, MIDDLE, MIDDLE, LEAF, ROOT)):
        assert ask(*presented).ok


def test_without_the_intermediate() -> None:
    verdict = untrusted(ask(LEAF))
    assert verdict.reason == (
        "the client's certificate 'CN=alice' is issued by 'CN=Middle,O=Example', which is not "
        "among the CAs of this site (client_ca) and was not presented; use a certificate of one "
        "of them, let the client send its intermediate certificates, or add that CA"
    )
    assert verdict.chain == ()
    policy = Policy.prepare([ROOT.certificate], [MIDDLE.certificate])
    verdict = ask(LEAF, policy=policy)
    assert verdict.ok
    assert verdict.steps[1].source is Source.INTERMEDIATES
    assert ask(LEAF, MIDDLE, policy=policy).steps[1].source is Source.PRESENTED


def test_an_intermediate_in_the_trust_store_is_an_anchor() -> None:
    verdict = ask(LEAF, policy=Policy.prepare([MIDDLE.certificate]))
    assert verdict.ok
    assert verdict.chain == (LEAF.certificate, MIDDLE.certificate)
    both = Policy.prepare([ROOT.certificate, MIDDLE.certificate])
    assert ask(LEAF, policy=both).chain == (LEAF.certificate, MIDDLE.certificate)


def test_nobody_is_trusted() -> None:
    untrusted(ask(LEAF, MIDDLE, policy=Policy.prepare([])), "the CA 'CN=Middle", "client_ca")


def test_another_ca() -> None:
    verdict = untrusted(ask(OTHER.issue("bob")), "issued by 'CN=Other,O=Elsewhere'", "client_ca")
    assert kinds(verdict) == [[Kind.ISSUER]]
    verdict = untrusted(ask(OTHER.issue("bob"), OTHER), "the CA 'CN=Other", "is self-signed")
    assert kinds(verdict) == [[], [Kind.ISSUER]]


def test_another_ca_of_the_same_name() -> None:
    impostor = self_signed("CN=Root,O=Example")
    verdict = untrusted(ask(impostor.issue("mallory")), "names 'CN=Root,O=Example' as its issuer")
    assert "new key" in verdict.reason
    untrusted(ask(impostor.issue("mallory"), impostor), "is self-signed")


def test_a_signature_that_was_tampered_with() -> None:
    leaf = ROOT.issue("alice")
    broken = leaf.der[:-1] + bytes([leaf.der[-1] ^ 1])
    untrusted(ask(broken), "as its issuer, but no CA of that name that is known signed it")
    renamed = leaf.der.replace(b"alice", b"admin")
    verdict = untrusted(ask(renamed), "'CN=admin'", "signed it")
    assert kinds(verdict) == [[Kind.ISSUER]]


def test_self_signed() -> None:
    alone = self_signed("alone", (CLIENT, False), ca=False)
    untrusted(ask(alone), "the client's certificate 'CN=alone' is self-signed")
    # What is in the trust store is trusted, so a leaf may be as well.
    verdict = ask(alone, policy=Policy.prepare([alone.certificate]))
    assert verdict.ok
    assert verdict.reason == "the client's certificate 'CN=alone' is trusted"
    assert [step.source for step in verdict.steps] == [Source.TRUST]


def test_a_leaf_in_the_trust_store_must_still_be_in_order() -> None:
    trusted = [ROOT.issue("alice", (SERVER, False)), ROOT.issue("alice", until=-DAY)]
    policy = Policy.prepare([each.certificate for each in trusted])
    untrusted(ask(trusted[0], policy=policy), "not for client authentication")
    refused(ask(trusted[1], policy=policy), Outcome.EXPIRED)


def test_a_ca_as_client_passes_and_a_client_as_ca_does_not() -> None:
    assert ask(MIDDLE).ok
    verdict = untrusted(ask(LEAF.issue("below a leaf"), LEAF, MIDDLE), "'CN=alice'", "is no CA")
    assert kinds(verdict) == [[], [Kind.CA], [], []]


def test_depth() -> None:
    levels = tower(ROOT, 11)
    for count, passes in ((10, True), (11, False)):
        chain = [levels[count - 1].issue("deep"), *reversed(levels[:count])]
        verdict = ask(*chain)
        assert verdict.ok is passes, verdict.reason
        if not passes:
            untrusted(verdict, "too long: more than 10 CAs")
            assert ask(*chain, policy=Policy.prepare([ROOT.certificate], max_depth=11)).ok
    assert ask(ROOT.issue("a"), policy=Policy.prepare([ROOT.certificate], max_depth=0)).ok
    untrusted(ask(LEAF, MIDDLE, policy=Policy.prepare([ROOT.certificate], max_depth=0)), "too long")


def test_pathlen() -> None:
    narrow = ROOT.issue("narrow", ca=True, pathlen=0)
    below = narrow.issue("below", ca=True)
    assert ask(narrow.issue("a"), narrow).ok
    untrusted(ask(below.issue("a"), below, narrow), "'CN=narrow'", "allows 0 CAs", "has 1")
    anchored = Policy.prepare([narrow.certificate])
    untrusted(ask(below.issue("a"), below, policy=anchored), "allows 0 CAs")
    refused(ask(narrow.issue("a", until=-DAY), narrow), Outcome.EXPIRED, "'CN=a' has expired")


def test_circles() -> None:
    a, b = self_signed("a"), self_signed("b")
    circle = (cross(a, b), cross(b, a))
    ders = [Made(each, a.key).der for each in circle]
    untrusted(ask(a.issue("leaf"), *ders), "leads in a circle")
    # One way out is enough.
    exit_ = cross(b, ROOT)
    assert ask(a.issue("leaf"), *ders, Made(exit_, b.key)).ok


# --- dates


def test_dates() -> None:
    verdict = refused(
        ask(MIDDLE.issue("old", until=-DAY), MIDDLE), Outcome.EXPIRED,
        "the client's certificate 'CN=old' has expired on 2026-05-31 12:00:00 UTC; renew it",
    )  # fmt: skip
    assert kinds(verdict) == [[Kind.DATES], [], []]
    refused(
        ask(MIDDLE.issue("young", since=DAY), MIDDLE), Outcome.EXPIRED,
        "'CN=young' is valid only from 2026-06-02 12:00:00 UTC; check the clock, or wait",
    )  # fmt: skip
    old = ROOT.issue("old CA", ca=True, until=-DAY)
    verdict = refused(ask(old.issue("a"), old), Outcome.EXPIRED, "the CA 'CN=old CA' has expired")
    assert kinds(verdict) == [[], [Kind.DATES], []]
    root = self_signed("old root", until=-DAY)
    policy = Policy.prepare([root.certificate])
    refused(ask(root.issue("a"), policy=policy), Outcome.EXPIRED, "the CA 'CN=old root'")


def test_the_first_and_the_last_second() -> None:
    leaf = MIDDLE.issue("short", since=-DAY, until=DAY)
    for offset, passes in (
        (-DAY, True), (-DAY - timedelta(seconds=1), False), (DAY, True),
        (DAY + timedelta(milliseconds=500), True), (DAY + timedelta(seconds=1), False),
    ):  # fmt: skip
        verdict = ask(leaf, MIDDLE, now=NOW + offset)
        assert verdict.outcome is (Outcome.OK if passes else Outcome.EXPIRED), offset


def test_dates_are_whole_seconds_for_the_explanation_too() -> None:
    end = LEAF.certificate.not_valid_after_utc
    assert date_fault(LEAF.certificate, end + timedelta(milliseconds=999)) is None
    assert date_fault(LEAF.certificate, end + timedelta(seconds=1)) is not None


def test_dates_that_never_held_together() -> None:
    young = ROOT.issue("young CA", ca=True, since=-DAY)
    leaf = young.issue("old", until=-3 * DAY)
    refused(ask(leaf, young), Outcome.EXPIRED, "'CN=old' has expired")


def test_untrusted_goes_before_expired() -> None:
    untrusted(ask(OTHER.issue("old", until=-DAY)), "client_ca")
    untrusted(ask(MIDDLE.issue("old", (SERVER, False), until=-DAY), MIDDLE), "not for client")


def test_names_go_before_dates() -> None:
    """A common time is tried, and it does not pass then either."""
    ca = ROOT.issue(
        "n", (x509.NameConstraints([x509.RFC822Name("a.example")], None), True), ca=True
    )
    san = x509.SubjectAlternativeName([x509.RFC822Name("u@b.example")])
    leaf = ca.issue("u", (san, False), until=-DAY)
    verdict = untrusted(ask(leaf, ca), "name constraints")
    assert kinds(verdict) == [[Kind.NAMES, Kind.DATES], [], []]


def test_an_expired_cross_certificate_beside_a_valid_one() -> None:
    middle = ROOT.issue("CN=twice", ca=True)
    old = sign(
        middle.certificate.subject, ROOT.certificate.subject, middle.key.public_key(), ROOT.key,
        [(x509.BasicConstraints(True, None), True)], until=-DAY,
    )  # fmt: skip
    assert ask(middle.issue("a"), Made(old, middle.key), middle).ok


def test_the_time_must_have_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        judge([LEAF.der], POLICY, NOW.replace(tzinfo=None))


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


def test_a_subject_full_of_addresses() -> None:
    constraints = x509.NameConstraints([x509.RFC822Name("a.example")], None)
    ca = ROOT.issue("CA", (constraints, True), ca=True)
    for count, passes in ((16, True), (17, False)):
        verdict = ask(ca.issue(",".join(["E=u@a.example"] * count)), ca)
        assert verdict.ok is passes
        if not passes:
            untrusted(verdict, "has 17 mail addresses in its subject")


def test_an_issuer_in_the_store_below_one_that_is_presented() -> None:
    top = ROOT.issue("top", ca=True)
    below = top.issue("below", ca=True)
    policy = Policy.prepare([ROOT.certificate], [below.certificate])
    untrusted(ask(below.issue("a"), policy=policy), "the CA 'CN=below' is issued by 'CN=top'")
    verdict = ask(below.issue("a"), top, policy=policy)
    assert verdict.ok
    assert [step.source for step in verdict.steps] == [
        Source.PRESENTED, Source.INTERMEDIATES, Source.PRESENTED, Source.TRUST,
    ]  # fmt: skip
