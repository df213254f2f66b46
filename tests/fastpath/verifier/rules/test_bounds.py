"""What strangers may present: the answer is a no with a reason, in bounded time, whatever it is."""

from __future__ import annotations

import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kssl.fastpath.verifier.rules import path
from kssl.fastpath.verifier.rules.judge import judge
from kssl.fastpath.verifier.rules.policy import Policy, by_subject
from kssl.fastpath.verifier.rules.presented import MAX_PRESENTED
from kssl.fastpath.verifier.rules.profile import issuer_key_fault, leaf_key_fault
from kssl.fastpath.verifier.rules.reach import reach, signed
from kssl.fastpath.verifier.rules.verdict import Outcome
from tests.examples import examples
from tests.fastpath.verifier.rules.pki import DAY, NOW, Made, cross, self_signed, sign, tower
from tests.fastpath.verifier.rules.support import LEAF, MIDDLE, OTHER, POLICY, ROOT, ask, untrusted

# Seconds. On an idle machine these take some 20 ms; the bound is for a busy one, and would be
# passed by far without limits: the paths of a mesh of ten CAs are a million.
SOON = 5.0

DEEP = tower(ROOT, 6)
GOOD = [DEEP[-1].issue("deep").der, *(each.der for each in DEEP)]


@given(st.permutations(GOOD[1:]), st.lists(st.sampled_from([*GOOD, OTHER.der]), max_size=12))
@settings(max_examples=examples(25), deadline=None)
def test_any_order_any_duplicates(others: list[bytes], more: list[bytes]) -> None:
    assert judge([GOOD[0], *others, *more], POLICY, NOW).ok


@given(st.lists(st.sampled_from([*GOOD, LEAF.der, MIDDLE.der, OTHER.der]), max_size=10))
@settings(max_examples=examples(40), deadline=None)
def test_any_selection(presented: list[bytes]) -> None:
    """It is a yes exactly if everything between the first and the root is there."""
    verdict = judge(presented, POLICY, NOW)
    if not presented:
        expected = Outcome.NONE_PRESENTED
    else:
        first = presented[0]
        needed = {
            GOOD[0]: GOOD[1:], LEAF.der: [MIDDLE.der], MIDDLE.der: [], OTHER.der: [b"nobody"],
        }  # fmt: skip
        needed |= {der: GOOD[1:number] for number, der in enumerate(GOOD) if number}
        complete = set(needed[first]) <= set(presented)
        expected = Outcome.OK if complete else Outcome.UNTRUSTED
    assert verdict.outcome is expected, verdict.reason


@given(st.binary(max_size=200))
@settings(max_examples=examples(100), deadline=None)
def test_noise(data: bytes) -> None:
    for presented in ([data], [LEAF.der, data], [LEAF.der, MIDDLE.der, data]):
        untrusted(judge(presented, POLICY, NOW), "malformed")


@given(st.sampled_from([LEAF.der, MIDDLE.der]), st.data())
@settings(max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged(der: bytes, data: st.DataObject) -> None:
    """Bytes of a signed certificate that were changed never pass as the client's."""
    damaged = bytearray(der)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    if bytes(damaged) == der:
        return
    untrusted(judge([bytes(damaged), MIDDLE.der], POLICY, NOW))
    beside = judge([LEAF.der, bytes(damaged)], POLICY, NOW)
    assert beside.outcome is Outcome.UNTRUSTED, beside.reason
    known = Policy.prepare([ROOT.certificate], [MIDDLE.certificate])
    # What is not needed need not be right, as long as it is a certificate.
    beside = judge([LEAF.der, bytes(damaged)], known, NOW)
    assert beside.ok or "malformed" in beside.reason, beside.reason


@pytest.mark.parametrize("data", [b"", b"\x30", LEAF.der + b"\0", LEAF.der[:-1], LEAF.pem])
def test_malformed(data: bytes) -> None:
    untrusted(ask(data), "the client's certificate is malformed")
    untrusted(ask(LEAF, MIDDLE, data), "presented certificate 3 is malformed")


def test_a_number_of_certificates() -> None:
    others = [self_signed(f"other {number}").der for number in range(100)]
    assert ask(LEAF, MIDDLE, *others[: MAX_PRESENTED - 2]).ok
    untrusted(ask(LEAF, MIDDLE, *others[: MAX_PRESENTED - 1]), "presented 33 certificates")
    untrusted(ask(LEAF, *others), "presented 101 certificates; at most 32")


def test_a_large_certificate() -> None:
    oid = x509.ObjectIdentifier("1.2.3.4")
    large = ROOT.issue("a", (x509.UnrecognizedExtension(oid, b"\x04" * 70_000), False))
    untrusted(ask(large), "has more than 64 KiB")
    half = ROOT.issue("a", (x509.UnrecognizedExtension(oid, b"\x04" * 50_000), False))
    assert ask(half).ok
    untrusted(ask(half, *[half] * 5), "more than 256 KiB together")


def soon(presented: list[bytes], policy: Policy = POLICY) -> float:
    began = time.thread_time()
    verdict = judge(presented, policy, NOW)
    took = time.thread_time() - began
    untrusted(verdict)
    assert took < SOON
    return took


def mesh(size: int) -> tuple[list[Made], list[bytes]]:
    """CAs of which each has signed each other: the CAs, and their certificates."""
    cas = [self_signed(f"mesh {number}") for number in range(size)]
    certificates = [
        Made(cross(a, b), a.key).der for a in cas for b in cas if a is not b
    ]  # fmt: skip
    return cas, certificates


def test_a_mesh_of_cross_certificates() -> None:
    cas, certificates = mesh(6)
    leaf = cas[0].issue("leaf")
    soon([leaf.der, *certificates])
    large, many = mesh(10)
    stored = [x509.load_der_x509_certificate(der) for der in many]
    leaf = large[0].issue("leaf")
    soon([leaf.der], Policy.prepare([ROOT.certificate], stored))
    # A way out of a mesh may be missed, when there is so much to be tried; it may not hang.
    out = Made(cross(large[9], ROOT), large[9].key)
    began = time.thread_time()
    judge([leaf.der, out.der], Policy.prepare([ROOT.certificate], stored), NOW)
    assert time.thread_time() - began < SOON


def test_one_name_many_keys() -> None:
    """Every certificate might have signed every other, by its name."""
    same = [self_signed("same").der for _ in range(MAX_PRESENTED - 1)]
    soon([self_signed("same", ca=False).issue("leaf").der, *same])
    key = ec.generate_private_key(ec.SECP521R1())
    same = [self_signed("same", key=key).der for _ in range(MAX_PRESENTED - 1)]
    soon([Made(self_signed("same", key=key).certificate, key).issue("leaf").der, *same])


class Counted:
    """How often a signature is looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
        self.count = 0
        monkeypatch.setattr(f"kssl.fastpath.verifier.rules.{module}.signed", self)

    def __call__(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        self.count += 1
        return signed(certificate, issuer)


def test_the_explanation_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    cas, certificates = mesh(5)
    counted = Counted(monkeypatch, "path")
    untrusted(ask(cas[0].issue("leaf"), *certificates))
    assert 10 < counted.count <= path.MAX_SIGNATURES


def test_strangers_cost_a_signature_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they have signed for each other is not looked at, and the verifier is not asked."""
    cas, certificates = mesh(5)
    named = [self_signed(ROOT.certificate.subject.rfc4514_string()).der for _ in range(10)]
    asked: list[object] = []
    monkeypatch.setattr(Policy, "verifier", lambda *_: asked.append(_))
    counted = Counted(monkeypatch, "reach")
    untrusted(ask(cas[0].issue("leaf"), *certificates))
    assert counted.count == 0
    untrusted(ask(cas[0].issue("leaf"), *certificates, *named))
    assert counted.count == len(named)
    assert asked == []
    untrusted(ask(LEAF, MIDDLE))  # it would be asked here, and is not there
    assert len(asked) == 1


def test_the_search_for_issuers_gives_up() -> None:
    levels = tower(ROOT, 5)
    certificates = [each.certificate for each in levels]
    known = by_subject([ROOT.certificate])
    assert reach(certificates, known, 5) == certificates
    assert reach(certificates, known, 3) == certificates[:3]
    # A client's certificate vouches for nobody.
    below = LEAF.issue("below", ca=True)
    assert reach([LEAF.certificate, below.certificate], by_subject([MIDDLE.certificate]), 9) == []


def test_the_explanation_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("kssl.fastpath.verifier.rules.judge.explain", fails)
    verdict = untrusted(ask(LEAF), "it cannot be said why (RuntimeError)")
    assert verdict.identity is not None
    monkeypatch.setattr("kssl.fastpath.verifier.rules.judge.constraint_fault", fails)
    untrusted(ask(LEAF, MIDDLE), "could not be checked to the end (RuntimeError)")


def test_the_walk_finds_the_path_with_the_fewest_faults() -> None:
    no_ca = ROOT.issue("CN=twice", key=MIDDLE.key)
    ca = ROOT.issue("CN=twice", ca=True, key=MIDDLE.key)
    old = ca.issue("old", until=-DAY)
    for order in ((no_ca, ca), (ca, no_ca)):
        verdict = ask(old, *order)
        assert verdict.outcome is Outcome.EXPIRED, verdict.reason


def test_what_is_known_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch, "reach")
    assert ask(LEAF, MIDDLE, MIDDLE, ROOT, LEAF).ok
    assert counted.count == 1
    policy = Policy.prepare([ROOT.certificate], [MIDDLE.certificate])
    counted.count = 0
    assert ask(LEAF, MIDDLE, ROOT, policy=policy).ok
    assert counted.count == 0


@pytest.mark.parametrize(
    ("bits", "exponent", "passes"),
    [(2047, 65537, False), (2048, 65537, True), (8192, 65537, True), (8193, 65537, False),
     (2048, (1 << 33) - 1, True), (2048, (1 << 33) + 1, False)],
)  # fmt: skip
def test_sizes_of_rsa_keys(bits: int, exponent: int, passes: bool) -> None:
    """Who presents a CA chooses what its signatures cost us."""
    public = rsa.RSAPublicNumbers(exponent, (1 << bits) - 1).public_key()
    certificate = sign(ROOT.certificate.subject, ROOT.certificate.subject, public, ROOT.key)
    assert (issuer_key_fault(certificate) is None) is passes
    assert (leaf_key_fault(certificate) is None) is passes


def test_odd_names_warn_nobody() -> None:
    """cryptography would warn of the country DEU; with warnings as errors it is malformed."""
    odd = ROOT.issue("O=DEU").der.replace(b"\x06\x03\x55\x04\x0a", b"\x06\x03\x55\x04\x06")
    untrusted(ask(odd), "'C=DEU' is issued by 'CN=Root,C=Example'")
