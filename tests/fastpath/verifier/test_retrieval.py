"""Missing intermediates, from a web in memory."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from kssl.fastpath.verifier.fetch import Kind
from kssl.fastpath.verifier.retrieval import Budget, Found
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.verdict import Outcome, Source
from tests.fastpath.verifier.retrieving import Web, aia
from tests.fastpath.verifier.rules.pki import CLIENT, Made, rsa_key, self_signed, sign

ROOT = self_signed("CN=Root,O=Example")
UPPER = ROOT.issue("CN=Upper,O=Example", aia("http://ca/root"), ca=True)
LOWER = UPPER.issue("CN=Lower,O=Example", aia("http://ca/upper"), ca=True)
ALICE = LOWER.issue("CN=alice", (CLIENT, False), aia("http://ca/lower"))
POLICY = Policy.prepare([ROOT.certificate])
WEB = {"http://ca/lower": LOWER.der, "http://ca/upper": UPPER.der}
LEVELS = ["http://ca/lower", "http://ca/upper"]


def bundle(encoding: Encoding, *made: Made) -> bytes:
    return pkcs7.serialize_certificates([each.certificate for each in made], encoding)


def test_two_levels() -> None:
    web = Web(WEB)
    assert not web.without(*WEB).judge(ALICE, policy=POLICY).verdict.ok
    result = web.judge(ALICE, policy=POLICY)
    assert result.verdict.ok, result.notes
    assert [step.source for step in result.verdict.steps] == [
        Source.PRESENTED, Source.FETCHED, Source.FETCHED, Source.TRUST,
    ]  # fmt: skip
    assert web.asked == LEVELS
    assert result.intermediates == (LOWER.der, UPPER.der)
    lower = "the issuer 'CN=Lower,O=Example' of 'CN=alice'"
    assert result.fetched[0] == Found(LEVELS[0], Kind.CERTIFICATE, len(LOWER.der), lower)
    assert result.notes == ()


def test_only_what_is_missing() -> None:
    for presented, asked in (
        ((ALICE, LOWER), LEVELS[1:]), ((ALICE, UPPER), LEVELS[:1]), ((ALICE, UPPER, LOWER), []),
    ):  # fmt: skip
        web = Web(WEB)
        assert web.judge(*presented, policy=POLICY).verdict.ok
        assert web.asked == asked
    web = Web(WEB)
    known = Policy.prepare([ROOT.certificate], [UPPER.certificate])
    steps = web.judge(ALICE, policy=known).verdict.steps
    assert [step.source for step in steps[1:3]] == [Source.FETCHED, Source.INTERMEDIATES]
    assert POLICY.intermediates == ()  # the policy itself learns nothing


@pytest.mark.parametrize(
    "body",
    [
        LOWER.pem,
        UPPER.pem + LOWER.pem,
        bundle(Encoding.DER, UPPER, LOWER),
        bundle(Encoding.PEM, LOWER),
        # The same in BER: of indefinite length outside, which ends with two zero bytes.
        b"\x30\x80" + bundle(Encoding.DER, LOWER)[4:] + b"\0\0",
    ],
)
def test_forms(body: bytes) -> None:
    web = Web({**WEB, "http://ca/lower": body})
    result = web.judge(ALICE, policy=POLICY)
    assert result.verdict.ok, result.notes


def test_the_next_issuer_may_be_in_the_same_bundle() -> None:
    web = Web({"http://ca/lower": UPPER.pem + LOWER.pem + ROOT.pem})
    assert web.judge(ALICE, policy=POLICY).verdict.ok
    assert web.asked == LEVELS[:1]


def test_a_wrong_certificate() -> None:
    namesake = self_signed("CN=Lower,O=Example")
    weak = UPPER.issue("CN=Lower,O=Example", ca=True, key=rsa_key(1024))
    for body, why in (
        (UPPER.der, "the certificate of 'CN=Upper,O=Example' came"),
        (namesake.der, "'CN=Lower,O=Example' has the name of the issuer, but did not sign it"),
        (weak.der, "has an RSA key of 1024 bits"),
    ):
        result = Web({"http://ca/lower": body}).judge(ALICE, policy=POLICY)
        assert result.verdict.outcome is Outcome.UNTRUSTED
        assert (result.fetched, result.intermediates) == ((), ())
        (note,) = result.notes
        assert note.startswith("http://ca/lower: ")
        assert why in note
        assert note.endswith("it is not the issuer of 'CN=alice'")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\x30\x03\x02\x01\x00", ROOT.crl(), LOWER.der[:-1],
             b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
)  # fmt: skip
def test_garbage(body: bytes) -> None:
    result = Web({"http://ca/lower": body}).judge(ALICE, policy=POLICY)
    assert result.verdict.outcome is Outcome.UNTRUSTED
    assert len(result.notes) == 1
    assert result.notes[0].startswith("http://ca/lower: ")


def test_the_second_url_if_the_first_has_nothing() -> None:
    leaf = LOWER.issue("CN=b", aia("http://ca/404", "ldap:///x", "http://ca/bug", *LEVELS[:1]))
    result = Web(WEB).judge(leaf, policy=POLICY)
    assert result.verdict.ok
    assert result.notes == (
        "'CN=b' names the URL 'ldap:///x', which is not http://",
        "http://ca/404: answers 404",
        "http://ca/bug: an error in kssl (ZeroDivisionError); please report it",
    )


def test_a_loop() -> None:
    """A's URL serves A itself; and two CAs that issued each other."""
    own = ROOT.issue("CN=own", aia("http://x/own"), ca=True)
    ca = self_signed("CN=elsewhere").issue("CN=A", aia("http://x/A"), ca=True)
    web = Web({"http://x/A": ca.der, "http://x/own": own.der})
    assert not web.judge(ca.issue("CN=a", aia("http://x/A")), policy=POLICY).verdict.ok
    assert web.asked == ["http://x/A"]
    one, two = self_signed("CN=one"), self_signed("CN=two")
    circle = Web({"http://x/1": crossed(one, two, 2), "http://x/2": crossed(two, one, 1)})
    leaf = one.issue("CN=leaf", aia("http://x/1"))
    result = circle.judge(leaf, policy=POLICY)
    assert "leads in a circle" in result.verdict.reason
    assert circle.asked == ["http://x/1", "http://x/2"]


def crossed(subject: Made, issuer: Made, number: int) -> bytes:
    """`subject`'s key as a CA below `issuer`, which is at http://x/`number`."""
    who, whose = subject.certificate.subject, issuer.certificate.subject
    ca = (x509.BasicConstraints(True, None), True)
    more = [ca, aia(f"http://x/{number}")]
    made = sign(who, whose, subject.key.public_key(), issuer.key, more)
    return made.public_bytes(Encoding.DER)


def chain(levels: int) -> tuple[Made, Web]:
    """A leaf below so many CAs, each at http://x/N."""
    made, bodies = ROOT, {}
    for level in range(levels):
        made = made.issue(f"CN={level}", aia(f"http://x/{level - 1}"), ca=True)
        bodies[f"http://x/{level}"] = made.der
    return made.issue("CN=leaf", aia(f"http://x/{levels - 1}")), Web(bodies)


def test_no_more_than_four() -> None:
    leaf, web = chain(4)
    assert web.judge(leaf, policy=POLICY).verdict.ok
    leaf, web = chain(6)
    result = web.judge(leaf, policy=POLICY)
    assert result.verdict.outcome is Outcome.UNTRUSTED
    assert web.asked == [f"http://x/{level}" for level in (5, 4, 3, 2)]
    assert result.notes == ("http://x/1: not asked; at most 4 certificate URLs are",)
    assert web.without().judge(leaf, policy=POLICY, budget=Budget(certificates=6)).verdict.ok
    # Failures count.
    misses = [f"http://x/404/{number}" for number in range(4)]
    web = Web({})
    web.judge(LOWER.issue("CN=b", aia(*misses)), policy=POLICY, budget=Budget(certificates=3))
    assert web.asked == misses[:3]


def test_the_depth_of_the_policy() -> None:
    leaf, web = chain(3)
    shallow = Policy.prepare([ROOT.certificate], max_depth=2)
    result = web.judge(leaf, policy=shallow)
    assert result.verdict.outcome is Outcome.UNTRUSTED
    assert web.asked == ["http://x/2", "http://x/1"]
    # What is presented counts as well.
    upper, lower = (x509.load_der_x509_certificate(web.bodies[f"http://x/{n}"]) for n in (1, 2))
    some = web.without()
    der = [each.public_bytes(Encoding.DER) for each in (lower, upper)]
    result = some.judge(leaf, *der, policy=shallow)
    assert some.asked == []
    assert result.notes == (
        "the issuer of 'CN=1' was not asked for: the path would have more than 2 CAs",
    )
    none = web.without()
    none.judge(leaf, policy=Policy.prepare([ROOT.certificate], max_depth=0))
    assert none.asked == []


def test_time() -> None:
    leaf, web = chain(4)
    web.slow = 0.75
    result = web.judge(leaf, policy=POLICY, budget=Budget(seconds=2))
    assert not result.verdict.ok
    assert web.left == [2.0, 1.25, 0.5]
    assert result.notes == ("http://x/0: not asked; the 2 s for all fetches are over",)


def test_nobody_is_asked_in_vain() -> None:
    alone = self_signed("CN=alone", aia("http://ca/lower"), ca=False)
    old = Policy.prepare([ROOT.certificate], [LOWER.certificate, UPPER.certificate], max_depth=1)
    for presented, policy in (
        ((), POLICY), ((ALICE.der + b"\0",), POLICY), ((b"noise",), POLICY), ((alone,), POLICY),
        ((ALICE, b"noise"), POLICY), ((ALICE,), old),
    ):  # fmt: skip
        web = Web(WEB)
        assert not web.judge(*presented, policy=policy).verdict.ok
        assert web.asked == []


def test_no_url() -> None:
    result = Web(WEB).judge(LOWER.issue("CN=b"), policy=POLICY)
    assert result.notes == (
        "'CN=b' does not say where its issuer's certificate is (no http:// URL in "
        "authorityInfoAccess)",
    )


def test_a_renewed_ca() -> None:
    """One of that name is known, but has another key."""
    former = UPPER.issue("CN=Lower,O=Example", ca=True)
    known = Policy.prepare([ROOT.certificate], [former.certificate, UPPER.certificate])
    assert Web(WEB).judge(ALICE, policy=known).verdict.ok


def test_a_fetched_certificate_must_be_a_ca() -> None:
    user = UPPER.issue("CN=user", (x509.BasicConstraints(False, None), True))
    leaf = user.issue("CN=leaf", aia("http://x/user"))
    result = Web({**WEB, "http://x/user": user.der}).judge(leaf, UPPER, policy=POLICY)
    assert result.verdict.outcome is Outcome.UNTRUSTED
    assert "is no CA" in result.verdict.reason
