"""Who is let in and who is not, and the reason that a person reads: paths and dates."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509

from kssl.fastpath.verifier.rules.explain import date_fault
from kssl.fastpath.verifier.rules.judge import judge
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.verdict import Kind, Outcome, Source
from tests.fastpath.verifier.rules.pki import (
    CLIENT,
    DAY,
    NOW,
    SERVER,
    Made,
    cross,
    self_signed,
    sign,
    tower,
)
from tests.fastpath.verifier.rules.support import (
    LEAF,
    MIDDLE,
    OTHER,
    POLICY,
    ROOT,
    ask,
    kinds,
    refused,
    untrusted,
)

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
