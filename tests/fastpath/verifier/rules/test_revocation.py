"""What revocation lists say, and when they say nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from kssl.config.errors import ConfigError
from kssl.fastpath.verifier.rules.crl import CrlSet
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.verdict import Kind, Outcome, Verdict
from tests.fastpath.verifier.rules.pki import (
    DAY,
    NOW,
    Extension,
    Made,
    edited_crl,
    entry,
    name,
    self_signed,
    usage,
)
from tests.fastpath.verifier.rules.support import LEAF, MIDDLE, ROOT, ask, refused

CLEAN = (ROOT.crl(), MIDDLE.crl())
HOUR = timedelta(hours=1)


def policy(*lists: bytes, freshness: int = 0) -> Policy:
    return Policy.prepare([ROOT.certificate], crls=CrlSet.parse(lists), freshness=freshness)


def judged(*lists: bytes, leaf: Made = LEAF, freshness: int = 0) -> Verdict:
    return ask(leaf, MIDDLE, policy=policy(*lists, freshness=freshness))


def revoked(verdict: Verdict, *words: str) -> Verdict:
    return refused(verdict, Outcome.REVOKED, *words)


def unknown(verdict: Verdict, *words: str) -> Verdict:
    return revoked(verdict, "nobody can tell", *words)


def scope(**what: object) -> Extension:
    every = {
        "full_name": None, "relative_name": None, "only_contains_user_certs": False,
        "only_contains_ca_certs": False, "only_some_reasons": None, "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }  # fmt: skip
    return x509.IssuingDistributionPoint(**{**every, **what}), True  # type: ignore[arg-type]


def test_in_good_standing() -> None:
    verdict = judged(*CLEAN)
    assert verdict.ok
    assert [step.revocation for step in verdict.steps] == ["good", "good", ""]


def test_not_asked() -> None:
    assert ask(LEAF, MIDDLE).ok
    assert [step.revocation for step in ask(LEAF, MIDDLE).steps] == ["", "", ""]


def test_a_revoked_leaf() -> None:
    verdict = revoked(judged(ROOT.crl(), MIDDLE.crl(LEAF.certificate)))
    assert verdict.reason == (
        "the client's certificate 'CN=alice' was revoked on 2026-05-30 12:00:00 UTC "
        "(keyCompromise); use another certificate"
    )
    assert [fault.kind for fault in verdict.steps[0].faults] == [Kind.REVOCATION]
    assert len(verdict.chain) == 3


def test_a_revoked_intermediate() -> None:
    verdict = revoked(judged(ROOT.crl(MIDDLE.certificate), MIDDLE.crl()), "the CA 'CN=Middle")
    assert [bool(step.faults) for step in verdict.steps] == [False, True, False]
    # It is told before a leaf that nobody knows of.
    revoked(judged(ROOT.crl(MIDDLE.certificate)), "the CA 'CN=Middle", "was revoked")


def test_the_same_serial_of_another_ca() -> None:
    twin = ROOT.issue("twin", ca=True, serial=LEAF.certificate.serial_number)
    assert judged(ROOT.crl(twin.certificate), MIDDLE.crl()).ok


def test_no_list() -> None:
    unknown(judged(ROOT.crl()), "'CN=alice'", "there is no CRL of 'CN=Middle,O=Example'")
    unknown(judged(MIDDLE.crl()), "the CA 'CN=Middle", "there is no CRL of 'CN=Root,O=Example'")
    unknown(judged())


def test_a_list_of_another_issuer() -> None:
    other = self_signed("CN=Middle,O=Example")  # the name only
    unknown(judged(ROOT.crl(), other.crl()), "is signed by it")
    unknown(judged(ROOT.crl(), ROOT.crl(issuer="CN=Middle,O=Example")), "is signed by it")
    # Beside the right one it does no harm, whatever it says.
    assert judged(ROOT.crl(), other.crl(LEAF.certificate), MIDDLE.crl()).ok


def test_a_signature_that_is_wrong() -> None:
    broken = bytearray(MIDDLE.crl())
    broken[-1] ^= 1
    unknown(judged(ROOT.crl(), bytes(broken)), "is signed by it")


def test_who_may_sign_lists() -> None:
    for names, passes in ((("key_cert_sign",), False), (("key_cert_sign", "crl_sign"), True)):
        ca = ROOT.issue("CA", (usage(*names), True), ca=True)
        verdict = ask(ca.issue("a"), ca, policy=policy(ROOT.crl(), ca.crl()))
        assert verdict.ok is passes
        if not passes:
            unknown(verdict, "must not sign CRLs")


def test_stale_and_early() -> None:
    stale = MIDDLE.crl(since=-2 * DAY, until=-HOUR)
    unknown(judged(ROOT.crl(), stale), "stale since 2026-06-01 11:00:00 UTC", "fetch a new one")
    unknown(judged(ROOT.crl(), MIDDLE.crl(since=HOUR)), "valid only from 2026-06-01 13:00:00 UTC")
    assert judged(ROOT.crl(), stale, MIDDLE.crl()).ok
    # Who was revoked then still is.
    revoked(judged(ROOT.crl(), MIDDLE.crl(LEAF.certificate, since=-2 * DAY, until=-DAY)), "revoked")


def test_freshness() -> None:
    assert judged(*CLEAN, freshness=24 * 3600).ok
    unknown(judged(*CLEAN, freshness=24 * 3600 - 1), "older than 86399 s (revocationfreshnesstime)")
    with pytest.raises(ConfigError, match="negative"):
        policy(freshness=-1)


def test_the_latest_decides() -> None:
    hold = entry(LEAF.certificate.serial_number, x509.ReasonFlags.certificate_hold)
    held, free = MIDDLE.crl(hold, since=-2 * HOUR), MIDDLE.crl(since=-HOUR)
    assert judged(ROOT.crl(), held, free).ok
    assert judged(ROOT.crl(), free, held).ok
    held = MIDDLE.crl(hold, since=-HOUR / 2)
    revoked(judged(ROOT.crl(), held, free), "(certificateHold)")


def test_remove_from_crl() -> None:
    back = entry(LEAF.certificate.serial_number, x509.ReasonFlags.remove_from_crl)
    assert judged(ROOT.crl(), MIDDLE.crl(back)).ok


def test_no_reason() -> None:
    plain = (
        x509.RevokedCertificateBuilder()
        .serial_number(LEAF.certificate.serial_number)
        .revocation_date(NOW - DAY)
        .build()
    )
    revoked(judged(ROOT.crl(), MIDDLE.crl(plain)), "(no reason given)")


def test_delta_and_indirect_lists_are_refused() -> None:
    delta = MIDDLE.crl(extensions=[(x509.DeltaCRLIndicator(1), True)])
    with pytest.raises(ConfigError, match="CRL 2: this is a delta CRL, which is not supported"):
        CrlSet.parse([ROOT.crl(), delta])
    with pytest.raises(ConfigError, match="CRL 1: this is an indirect CRL"):
        CrlSet.parse([MIDDLE.crl(extensions=[scope(indirect_crl=True)])])


@pytest.mark.parametrize("data", [b"", b"noise", ROOT.der, CLEAN[0][:-1], CLEAN[0] + b"\0"])
def test_damaged_lists(data: bytes) -> None:
    with pytest.raises(ConfigError, match="CRL 1: this CRL is damaged"):
        CrlSet.parse([data])


def test_pem() -> None:
    pem = [x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in CLEAN]
    assert judged(*pem).ok


STRANGE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")


def test_critical_extensions() -> None:
    strange = [(STRANGE, True)]
    unknown(judged(ROOT.crl(), MIDDLE.crl(extensions=strange)), "not understood (1.2.3.4)")
    assert judged(ROOT.crl(), MIDDLE.crl(extensions=[(STRANGE, False)])).ok
    revoked(judged(ROOT.crl(), MIDDLE.crl(LEAF.certificate, extensions=strange)), "keyCompromise")
    elsewhere = entry(4711, x509.ReasonFlags.superseded, (STRANGE, True))
    unknown(judged(ROOT.crl(), MIDDLE.crl(elsewhere)), "an entry has a critical extension")


def test_scopes() -> None:
    users, cas = scope(only_contains_user_certs=True), scope(only_contains_ca_certs=True)
    assert judged(ROOT.crl(extensions=[cas]), MIDDLE.crl(extensions=[users])).ok
    unknown(judged(ROOT.crl(extensions=[users]), MIDDLE.crl()), "the CA", "not for this")
    unknown(judged(ROOT.crl(), MIDDLE.crl(extensions=[cas])), "'CN=alice'", "not for this")
    some = scope(only_some_reasons=frozenset([x509.ReasonFlags.key_compromise]))
    unknown(judged(ROOT.crl(), MIDDLE.crl(extensions=[some])), "for some reasons only")
    attributes = scope(only_contains_attribute_certs=True)
    unknown(judged(ROOT.crl(), MIDDLE.crl(extensions=[attributes])), "attribute certificates")
    relative = scope(relative_name=x509.RelativeDistinguishedName(name("x").rdns[0]))
    unknown(judged(ROOT.crl(), MIDDLE.crl(extensions=[relative])), "relative name")


def test_distribution_points() -> None:
    """A list for one part of the certificates says nothing about the others."""

    def at(uri: str) -> list[x509.GeneralName]:
        return [x509.UniformResourceIdentifier(uri)]

    point = x509.CRLDistributionPoints([x509.DistributionPoint(at("http://a/1"), None, None, None)])
    leaf = MIDDLE.issue("in part 1", (point, False))
    first, second = (
        MIDDLE.crl(extensions=[scope(full_name=at(uri))]) for uri in ("http://a/1", "http://a/2")
    )
    assert judged(ROOT.crl(), first, leaf=leaf).ok
    unknown(judged(ROOT.crl(), second, leaf=leaf), "distribution point")
    unknown(judged(ROOT.crl(), first), "distribution point")


def test_the_anchor_is_not_asked_for() -> None:
    alone = self_signed("alone", ca=False)
    trusting = Policy.prepare([alone.certificate], crls=CrlSet.parse([]))
    assert ask(alone, policy=trusting).ok


def test_a_signature_is_checked_once() -> None:
    crls = CrlSet.parse(CLEAN)
    trusting = Policy.prepare([ROOT.certificate], crls=crls)
    assert ask(LEAF, MIDDLE, policy=trusting).ok
    known = crls.lists[ROOT.certificate.subject][0]._signed
    assert known == {ROOT.certificate.fingerprint(SHA256()): True}
    known.clear()
    known[ROOT.certificate.fingerprint(SHA256())] = False
    unknown(ask(LEAF, MIDDLE, policy=trusting))


def test_lists_that_are_too_weak_or_never_end() -> None:
    same = edited_crl(MIDDLE.crl(), MIDDLE)
    assert judged(ROOT.crl(), same).ok
    unknown(judged(ROOT.crl(), edited_crl(MIDDLE.crl(), MIDDLE, sha1=True)), "is signed by it")
    unknown(judged(ROOT.crl(), edited_crl(MIDDLE.crl(), MIDDLE, endless=True)), "(no nextUpdate)")
