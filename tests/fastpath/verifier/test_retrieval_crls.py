"""Missing revocation lists, from a web in memory."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kssl.fastpath.verifier.fetch import Kind
from kssl.fastpath.verifier.retrieval import Budget, Found
from kssl.fastpath.verifier.rules.crl import CrlSet
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.verdict import Outcome
from tests.fastpath.verifier.retrieving import Web, aia, points
from tests.fastpath.verifier.rules.pki import DAY, Made, self_signed

ROOT = self_signed("CN=Root,O=Example")
MIDDLE = ROOT.issue("CN=Middle,O=Example", points("http://ca/root.crl"), ca=True)
ALICE = MIDDLE.issue("CN=alice", points("http://ca/middle.crl"), aia("http://ca/middle"))
GOOD = {
    "http://ca/middle": MIDDLE.der,
    "http://ca/middle.crl": MIDDLE.crl(),
    "http://ca/root.crl": ROOT.crl(),
}
LISTS = ["http://ca/middle.crl", "http://ca/root.crl"]


def policy(
    *lists: bytes, anchors: tuple[Made, ...] = (ROOT,), deny: tuple[str, ...] = ()
) -> Policy:
    known = [each.certificate for each in anchors]
    return Policy.prepare(known, crls=CrlSet.parse(lists), deny=deny)


def test_good() -> None:
    web = Web(GOOD)
    result = web.judge(ALICE, policy=policy())
    assert result.verdict.ok, result.verdict.reason
    assert [step.revocation for step in result.verdict.steps] == ["good", "good", ""]
    assert web.asked == ["http://ca/middle", *LISTS]
    what = "the CRL of 'CN=Middle,O=Example'"
    assert result.fetched[1] == Found(LISTS[0], Kind.CRL, len(GOOD[LISTS[0]]), what)
    assert result.notes == ()


def test_revoked() -> None:
    web = Web({**GOOD, LISTS[0]: MIDDLE.crl(ALICE.certificate)})
    result = web.judge(ALICE, MIDDLE, policy=policy())
    assert result.verdict.outcome is Outcome.REVOKED
    assert "'CN=alice' was revoked on" in result.verdict.reason
    assert web.asked == LISTS[:1]  # that is enough
    web = Web({**GOOD, LISTS[1]: ROOT.crl(MIDDLE.certificate)})
    assert "the CA 'CN=Middle" in web.judge(ALICE, MIDDLE, policy=policy()).verdict.reason


def test_only_lists_that_are_missing() -> None:
    web = Web(GOOD)
    assert web.judge(ALICE, MIDDLE, policy=policy(MIDDLE.crl())).verdict.ok
    assert web.asked == LISTS[1:]
    web = Web(GOOD)
    stale = MIDDLE.crl(since=-2 * DAY, until=-DAY)
    assert web.judge(ALICE, MIDDLE, policy=policy(stale, ROOT.crl())).verdict.ok
    assert web.asked == LISTS[:1]


def test_nobody_is_asked_in_vain() -> None:
    """Not without a check, below an untrusted CA, or of who is known to be revoked."""
    late = MIDDLE.issue("CN=late", points(LISTS[0]), until=-DAY)
    denied = policy(*(GOOD[url] for url in LISTS), deny=("issuer:*,O=Example",))
    for leaf, asking in (
        (ALICE, Policy.prepare([ROOT.certificate])),
        (ALICE, policy(anchors=(self_signed("CN=Other"),))),
        (ALICE, policy(anchors=())),
        (ALICE, policy(MIDDLE.crl(ALICE.certificate))),
        (ALICE, policy(ROOT.crl(MIDDLE.certificate))),
        (late, policy()),
        (ALICE, denied),
    ):
        web = Web(GOOD)
        web.judge(leaf, MIDDLE, policy=asking)
        assert web.asked == []


def test_name_constraints_go_first() -> None:
    """A path that the verifier takes and we do not is not trusted."""
    within = x509.NameConstraints([x509.RFC822Name("example.org")], None), True
    ca = ROOT.issue("CN=ca", within, points(LISTS[1]), ca=True)
    leaf = ca.issue("CN=leaf,E=eve@example.net", points("http://ca/ca.crl"))
    web = Web(GOOD)
    result = web.judge(leaf, ca, policy=policy())
    assert result.verdict.chain
    assert result.verdict.outcome is Outcome.UNTRUSTED
    assert web.asked == []


def test_pem() -> None:
    pem = x509.load_der_x509_crl(GOOD[LISTS[0]]).public_bytes(Encoding.PEM)
    assert Web({**GOOD, LISTS[0]: pem}).judge(ALICE, MIDDLE, policy=policy()).verdict.ok


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (ROOT.crl(), "the CRL that came, of 'CN=Root,O=Example', is not signed by the issuer"),
        (self_signed("CN=Middle,O=Example").crl(), "is not signed by the issuer"),
        (MIDDLE.crl(extensions=[(x509.DeltaCRLIndicator(1), True)]), "this is a delta CRL"),
        (MIDDLE.der, "this CRL is damaged"),
        (b"<html>", "no CRL came"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "no CRL that can be read"),
        (None, "answers 404"),
    ],
)
def test_lists_of_no_use(body: bytes | None, why: str) -> None:
    bodies = {**GOOD, LISTS[0]: body} if body is not None else {LISTS[1]: GOOD[LISTS[1]]}
    result = Web(bodies).judge(ALICE, MIDDLE, policy=policy())
    assert result.verdict.outcome is Outcome.REVOKED
    assert "nobody can tell: there is no CRL of 'CN=Middle" in result.verdict.reason
    (note,) = result.notes
    assert note.startswith("http://ca/middle.crl: ")
    assert why in note


def test_the_second_url_if_the_first_tells_nothing() -> None:
    leaf = MIDDLE.issue("CN=b", points("http://ca/stale.crl", *LISTS[:1], "http://ca/more.crl"))
    web = Web({**GOOD, "http://ca/stale.crl": MIDDLE.crl(since=-2 * DAY, until=-DAY)})
    assert web.judge(leaf, MIDDLE, policy=policy()).verdict.ok
    assert web.asked == ["http://ca/stale.crl", *LISTS]


def test_no_url() -> None:
    leaf = MIDDLE.issue("CN=b", points("ldap:///x"))
    result = Web(GOOD).judge(leaf, MIDDLE, policy=policy(ROOT.crl()))
    assert result.notes == (
        "'CN=b' names the URL 'ldap:///x', which is not http://",
        "'CN=b' does not say where its CRL is (no http:// URL in cRLDistributionPoints)",
    )


def tall(levels: int, each: int) -> tuple[list[Made], list[str]]:
    """A leaf below so many CAs; each names so many URLs where nothing is."""
    urls = [[f"http://x/{level}/{url}" for url in range(each)] for level in range(levels + 1)]
    made = [ROOT]
    for level in range(levels):
        made.append(made[-1].issue(f"CN={level}", points(*urls[level]), ca=True))
    made.append(made[-1].issue("CN=leaf", points(*urls[levels])))
    return made[:0:-1], [url for some in reversed(urls) for url in some]


def test_no_more_than_eight() -> None:
    chain, urls = tall(2, 4)
    web = Web({})
    result = web.judge(*chain, policy=policy())
    assert web.asked == urls[:8]
    assert result.notes[8] == f"{urls[8]}: not asked; at most 8 CRL URLs are"
    # Of one certificate at most four.
    chain, urls = tall(0, 6)
    web = Web({})
    web.judge(*chain, policy=policy())
    assert web.asked == urls[:4]


def test_time_is_shared_with_certificates() -> None:
    web = Web(GOOD, slow=0.75)
    result = web.judge(ALICE, policy=policy(), budget=Budget(seconds=1.5))
    assert web.asked == ["http://ca/middle", LISTS[0]]
    assert web.left == [1.5, 0.75]
    assert result.verdict.outcome is Outcome.REVOKED
    assert result.notes == (f"{LISTS[1]}: not asked; the 1.5 s for all fetches are over",)


def test_too_many_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    full = policy(ROOT.crl())
    monkeypatch.setattr("kssl.fastpath.verifier.rules.crl.MAX_CRLS", 1)
    result = Web(GOOD).judge(ALICE, MIDDLE, policy=full)
    assert result.verdict.outcome is Outcome.REVOKED
    assert "more than 1 CRLs" in result.notes[0]


def test_the_policy_is_not_changed() -> None:
    asking = policy()
    assert Web(GOOD).judge(ALICE, policy=asking).verdict.ok
    assert asking.crls is not None
    assert asking.crls.lists == {}
    assert asking.extended([MIDDLE.certificate]).intermediates == (MIDDLE.certificate,)
    (crl,) = CrlSet.parse([ROOT.crl()]).lists[ROOT.certificate.subject]
    assert Policy.prepare([ROOT.certificate]).extended(crls=[crl]).crls is None
