"""What a site has learned stays with it, and comes to it from the folder if it concerns it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from kssl.fastpath.verifier import policies
from kssl.fastpath.verifier.policies import Loaded, Site, load, prepare
from kssl.fastpath.verifier.rules.crl import Crl
from tests.fastpath.verifier.rules.pki import CLIENT, self_signed
from tests.fastpath.verifier.rules.support import ask
from tests.fastpath.verifier.support import ROOT, site, told

UPPER = ROOT.issue("CN=Upper", ca=True)
LOWER = UPPER.issue("CN=Lower", ca=True)
ALICE = LOWER.issue("CN=alice", (CLIENT, False))
STRANGER = self_signed("CN=Stranger").issue("CN=theirs", ca=True)


def test_what_concerns_a_site(tmp_path: Path) -> None:
    kept = [LOWER.certificate, STRANGER.certificate, UPPER.certificate]
    policy = prepare(site(tmp_path), kept)
    assert set(policy.intermediates) == {UPPER.certificate, LOWER.certificate}
    assert ask(ALICE, policy=policy).ok


def test_issuers_and_lists_stay_together(tmp_path: Path) -> None:
    wanted = site(tmp_path, revocation=True)
    learning = Site(wanted, prepare(wanted))
    lists = [Crl.parse(ca.crl(), "x") for ca in (ROOT, UPPER, LOWER)]
    learning.learn_lists(lists)
    learning.learn_issuers([UPPER.certificate])
    learning.learn_issuers([LOWER.certificate])
    assert ask(ALICE, policy=learning.policy).ok
    revoking = Crl.parse(LOWER.crl(ALICE.certificate), "x")
    learning.learn_lists([*lists[:2], revoking])
    assert "was revoked" in ask(ALICE, policy=learning.policy).reason
    learning.learn_lists([])
    assert "there is no CRL" in ask(ALICE, policy=learning.policy).reason


def test_what_is_learned_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "MAX_LEARNED", 3)
    wanted = site(tmp_path)
    learning = Site(wanted, prepare(wanted, [UPPER.certificate]))
    several = [ROOT.issue(f"CN={number}", ca=True).certificate for number in range(5)]
    for each in several:
        learning.learn_issuers([each])
    assert set(learning.policy.intermediates) == {UPPER.certificate, *several[2:]}


def test_the_shortest_freshness(tmp_path: Path) -> None:
    def loaded(*seconds: int) -> Loaded:
        sites = [site(tmp_path, revocation=True, freshness=each) for each in seconds]
        return load(told(tmp_path, *sites))

    assert loaded(0).freshness is None
    assert loaded(0, 50, 20).freshness == timedelta(seconds=20)
