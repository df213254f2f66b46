"""Chains that nobody would write by hand: the verdict is the right one, does not depend on the
order in which a client presents, and comes soon."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kssl.fastpath.verifier.rules.crl import CrlSet
from kssl.fastpath.verifier.rules.judge import judge
from kssl.fastpath.verifier.rules.policy import DEFAULT_DEPTH, Policy
from kssl.fastpath.verifier.rules.presented import MAX_PRESENTED
from kssl.fastpath.verifier.rules.verdict import Outcome, Verdict
from tests.examples import examples
from tests.fastpath.verifier.rules.pki import NOW, Made, cross, self_signed, tower
from tests.fastpath.verifier.rules.support import LEAF, MIDDLE, OTHER, POLICY, ROOT, within
from tests.fastpath.verifier.rules.webs import NAMES, Spec, Web, damaged, distance, webs

# Seconds of CPU for one verdict, on the machine of whoever runs this. The worst that was seen
# is a fifth of it.
MOST = 0.25

# Certificates behind the client's own. With more, all of few names and cross-signed by many keys
# that an anchor vouches for, the limits of the search can be met before the path is found.
EXACT = 10

many = settings(deadline=None, max_examples=examples(300), suppress_health_check=list(HealthCheck))


def timed(presented: Sequence[bytes], policy: Policy) -> Verdict:
    """What `judge` says, in time; an exception would be the test's."""
    verdict = within(MOST, lambda: judge(presented, policy, NOW))
    assert verdict.reason
    assert verdict.reason.isprintable()
    return verdict


def policy_of(web: Web) -> Policy:
    return Policy.prepare([each.certificate for each in web.anchors])


# --- who is trusted, and in which order


@given(webs(EXACT))
@many
def test_who_is_trusted(web: Web) -> None:
    """A path by name and key, and nothing else, makes a yes; the search in `webs` is not ours."""
    verdict = timed(web.presented, policy_of(web))
    assert verdict.ok is trusted(web), verdict.reason
    if not verdict.ok:
        assert verdict.chain == ()


@given(webs(MAX_PRESENTED - 1, dense=True))
@settings(many, max_examples=examples(80))
def test_nobody_else_is_trusted(web: Web) -> None:
    """Where there is too much to look at, the answer may be a no, never a wrong yes."""
    verdict = timed(web.presented, policy_of(web))
    if verdict.ok:
        assert trusted(web)
        assert verdict.chain[0] == web.leaf.certificate
        assert verdict.chain[-1] in {each.certificate for each in web.anchors}
        for below, above in pairwise(verdict.chain):
            below.verify_directly_issued_by(above)


@given(webs(EXACT), st.randoms(use_true_random=False))
@many
def test_the_order_does_not_matter(web: Web, chance: random.Random) -> None:
    policy = policy_of(web)
    leaf, *others = web.presented
    first = timed([leaf, *others], policy)
    for _ in range(3):
        chance.shuffle(others)
        again = timed([leaf, *others, *others[:3]], policy)
        assert again.outcome is first.outcome, (first.reason, again.reason)
    # What is enough by itself is enough in company.
    if first.ok:
        needed = {each.public_bytes(Encoding.DER) for each in first.chain}
        assert timed([leaf, *(each for each in others if each in needed)], policy).ok


def trusted(web: Web) -> bool:
    between = distance(web)
    return between is not None and between <= DEFAULT_DEPTH


# --- what is no chain at all

DEEP = tower(ROOT, 6)
GOOD = [DEEP[-1].issue("deep"), *reversed(DEEP)]
CIRCLE = [self_signed("a"), self_signed("b")]
CROSSED = [
    Made(cross(CIRCLE[0], CIRCLE[1]), CIRCLE[0].key),
    Made(cross(CIRCLE[1], CIRCLE[0]), CIRCLE[1].key),
]
# Of the root's name and of nobody's trust, and one whom the root has made a CA of its own name.
NAMESAKES = [self_signed("CN=Root,O=Example") for _ in range(20)]
NAMESAKE = ROOT.issue("CN=Root,O=Example", ca=True)
POOL = [
    each.der
    for each in (
        *GOOD, LEAF, MIDDLE, OTHER, ROOT, *CIRCLE, *CROSSED, *NAMESAKES, NAMESAKE,
        NAMESAKE.issue("CN=Root,O=Example", ca=True), NAMESAKE.issue("below"),
        CIRCLE[0].issue("circle"), self_signed("CN=no CA", ca=False),
        *(self_signed(f"other {number}") for number in range(100)),
    )
]  # fmt: skip
POLICIES = [
    POLICY,
    Policy.prepare([ROOT.certificate], [each.certificate for each in DEEP]),
    Policy.prepare([ROOT.certificate, NAMESAKE.certificate], [MIDDLE.certificate], max_depth=2),
    Policy.prepare([ROOT.certificate], crls=CrlSet.parse([ROOT.crl()])),
    Policy.prepare([OTHER.certificate], usage_check=False, allow=["issuer:CN=Other,O=Elsewhere"]),
    Policy.prepare([]),
]
PRESENTED = st.lists(
    st.one_of(st.sampled_from(POOL), st.sampled_from(POOL), damaged(POOL)), max_size=100
)


@given(PRESENTED, st.sampled_from(POLICIES))
@many
def test_anything_gets_a_verdict(presented: list[bytes], policy: Policy) -> None:
    verdict = timed(presented, policy)
    if not presented:
        assert verdict.outcome is Outcome.NONE_PRESENTED
    elif len(presented) > MAX_PRESENTED:
        assert verdict.outcome is Outcome.UNTRUSTED
    elif verdict.ok:
        assert verdict.identity is not None
        assert verdict.identity.der == presented[0]
        assert verdict.chain[-1] in policy.anchors


@given(st.lists(st.sampled_from(POOL), max_size=24), st.randoms(use_true_random=False))
@many
def test_company_does_not_spoil_a_good_chain(others: list[bytes], chance: random.Random) -> None:
    """Circles, namesakes of the root and duplicates around it, in any order."""
    behind = [*(each.der for each in GOOD[1:]), *others]
    chance.shuffle(behind)
    verdict = timed([GOOD[0].der, *behind], POLICY)
    assert verdict.ok, verdict.reason
    assert [each for each in verdict.chain if each == ROOT.certificate] == [ROOT.certificate]


# --- much of one thing


def bomb(size: int, below: bool) -> list[bytes]:
    """CAs of one name, each with a key of its own; ``below``: the root has signed them."""
    if below:
        return [ROOT.issue("CN=same", ca=True).der for _ in range(size)]
    return [self_signed("CN=same").der for _ in range(size)]


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("size", [MAX_PRESENTED - 2, 100])
def test_bombs_of_one_name(size: int, below: bool) -> None:
    """And one that is the issuer, at each place."""
    issuer = ROOT.issue("CN=same", ca=True)
    leaf, same = issuer.issue("leaf"), bomb(size, below)
    for place in range(0, size + 1, 7):
        verdict = timed([leaf.der, *same[:place], issuer.der, *same[place:]], POLICY)
        assert verdict.ok is (size < MAX_PRESENTED), verdict.reason


def test_a_dense_web_in_the_trust_store_too() -> None:
    """Each of six keys has signed each other under one name; a client presents all there is room
    for, the store holds the rest."""
    web = [
        Spec(NAMES[0], key, NAMES[0], signer, number=number)
        for key in range(6) for signer in range(6) for number in range(2)
    ]  # fmt: skip
    leaf = Spec("leaf", 6, NAMES[0], 5, ca=False)
    anchor = Spec(NAMES[0], 0, NAMES[0], 0)
    behind = [each for each in web if each.key != 0]
    for policy in (
        Policy.prepare([anchor.certificate]),
        Policy.prepare([anchor.certificate], [each.certificate for each in behind]),
    ):
        assert timed([leaf.der, *(each.der for each in behind[:31])], policy).reason
