"""The verifier's answers, without anything fetched."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kssl.fastpath.ipc.frames import FrameType
from kssl.fastpath.verifier import questions
from kssl.fastpath.verifier.rules.judge import judge
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.verdict import Outcome, Verdict
from tests.fastpath.verifier.rules.pki import CLIENT, DAY
from tests.fastpath.verifier.support import ROOT, Clock, site, told, verifier, write

MIDDLE = ROOT.issue("CN=Middle", ca=True)
ALICE = MIDDLE.issue("CN=alice", (CLIENT, False))


def test_outcomes(tmp_path: Path) -> None:
    own = write(tmp_path / "middle.pem", MIDDLE.pem)
    plain = site(tmp_path)
    between = site(tmp_path, intermediates=own)
    strict = site(tmp_path, intermediates=own, deny=("issuer:CN=Middle",))
    lists = (
        write(tmp_path / "root.crl", ROOT.crl()),
        write(tmp_path / "middle.crl", MIDDLE.crl(ALICE.certificate)),
    )
    revoking = site(tmp_path, intermediates=own, revocation=True, crls=lists)
    expired = MIDDLE.issue("CN=old", (CLIENT, False), until=-DAY)
    with verifier() as front:
        assert front.ready(told(tmp_path, plain, between, strict, revoking)) == []
        good = front.judge(plain, ALICE, MIDDLE)
        assert (good.word, good.chain, good.subject) == ("ok", (MIDDLE.der,), "CN=alice")
        assert (
            good.reason == "The client's certificate 'CN=alice' is trusted by 'CN=Root,O=Example'."
        )
        assert front.judge(plain).word == "none"
        alone = front.judge(plain, ALICE)
        assert (alone.word, alone.chain, alone.issuer) == ("403.16", (), "CN=Middle")
        assert front.judge(between, ALICE).word == "ok"
        assert front.judge(between, expired).word == "403.17"
        assert front.judge(strict, ALICE).word == "403.12"
        revoked = front.judge(revoking, ALICE)
        assert (revoked.word, revoked.chain) == ("403.13", ())
        assert "was revoked on" in revoked.reason
        garbage = front.judge(plain, b"\x30\x00")
        assert garbage.outcome is Outcome.UNTRUSTED
        assert garbage.sha256 == ""
        assert front.count() == 0


def test_many_questions_in_one_go(tmp_path: Path) -> None:
    wanted = site(tmp_path)
    with verifier() as front:
        front.ready(told(tmp_path, wanted))
        asked = [front.ask(wanted, *([ALICE, MIDDLE][: 1 + n % 2])) for n in range(50)]
        answers = [front.verdict() for _ in asked]
    assert [number for number, _ in answers] == asked
    assert {verdict.word for _, verdict in answers[::2]} == {"403.16"}
    assert {verdict.word for _, verdict in answers[1::2]} == {"ok"}


def test_everything_that_is_wrong_at_once(tmp_path: Path) -> None:
    ca = write(tmp_path / "other.pem", b"no certificate")
    one = site(tmp_path, ca=ca, allow=("issuer:", "dns:ok.example"), deny=("what",))
    two = site(
        tmp_path,
        ca=ca,
        intermediates=tmp_path / "none",
        revocation=True,
        crls=(tmp_path / "a.crl", write(tmp_path / "b.crl", b"\x30\x82\x01\x00")),
    )
    with verifier() as front:
        problems = front.refused(told(tmp_path, one, two, allowed=["http://x"]))
    for number, words in enumerate(
        (
            ("UrlRetrievalAllowed: 'http://x' is no",),
            ("site 'number 1': client_ca", "other.pem"),
            ("client_cert_allow: 'issuer:'",),
            ("client_cert_deny: 'what'",),
            ("site 'number 2': client_ca", "other.pem"),
            ("client_intermediates", "does not exist"),
            ("client_crls file", "a.crl does not exist"),
            ("b.crl", "CRL is damaged"),
        )
    ):
        assert all(each in problems[number] for each in words), problems
    assert len(problems) == 8


def test_other_settings_later_all_or_nothing(tmp_path: Path) -> None:
    wanted = site(tmp_path)
    other = site(tmp_path, usage_check=False)
    bad = site(tmp_path, ca=tmp_path / "none")
    with verifier() as front:
        front.ready(told(tmp_path, wanted))
        assert "site 'number 2': client_ca" in str(
            front.refused(told(tmp_path, other, bad), again=True)
        )
        assert front.judge(wanted, ALICE, MIDDLE).ok
        assert "just changed" in front.judge(other, ALICE, MIDDLE).reason
        front.ready(told(tmp_path, other), again=True)
        assert front.judge(other, ALICE, MIDDLE).ok
        gone = front.judge(wanted, ALICE, MIDDLE)
        assert gone.outcome is Outcome.UNTRUSTED
        assert gone.reason == "The site's settings have just changed; connect again."


def test_verdicts_are_remembered_for_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counted(monkeypatch)
    wanted = site(tmp_path)
    clock = Clock()
    with verifier(clock) as front:
        front.ready(told(tmp_path, wanted))
        front.judge(wanted, ALICE, MIDDLE)
        clock.seconds = 59.0
        assert front.judge(wanted, ALICE, MIDDLE).ok
        assert len(asked) == 1
        front.judge(wanted, ALICE)  # another question
        assert len(asked) == 2
        clock.seconds = 60.0
        assert front.judge(wanted, ALICE, MIDDLE).ok
        assert len(asked) == 3
        front.ready(told(tmp_path, wanted), again=True)
        front.judge(wanted, ALICE, MIDDLE)
        assert len(asked) == 4


def test_a_verdict_is_not_remembered_beyond_its_certificates(tmp_path: Path) -> None:
    wanted = site(tmp_path)
    clock = Clock()
    short = ROOT.issue("CN=short", (CLIENT, False), until=timedelta(seconds=10))
    with verifier(clock) as front:
        front.ready(told(tmp_path, wanted))
        assert front.judge(wanted, short).ok
        clock.seconds, clock.time = 9.0, clock.time + timedelta(seconds=9)
        assert front.judge(wanted, short).ok
        clock.seconds, clock.time = 11.0, clock.time + timedelta(seconds=2)
        assert front.judge(wanted, short).word == "403.17"


def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the loop judges from now on."""
    asked: list[object] = []

    def noted(presented: Sequence[bytes], policy: Policy, now: datetime) -> Verdict:
        asked.append(presented)
        return judge(presented, policy, now)

    monkeypatch.setattr(questions, "judge", noted)
    return asked


class Panic(BaseException):
    """As pyo3 raises them."""


@pytest.mark.parametrize("error", [ValueError, MemoryError, Panic])
def test_a_bug_is_a_no(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[BaseException],
) -> None:
    def broken(*given: object) -> None:
        raise error("secret")

    wanted = site(tmp_path)
    with verifier() as front:
        front.ready(told(tmp_path, wanted))
        monkeypatch.setattr(questions, "judge", broken)
        verdict = front.judge(wanted, ALICE, MIDDLE)
        assert verdict.outcome is Outcome.UNTRUSTED
        assert "could not be checked" in verdict.reason
        monkeypatch.undo()
        assert front.judge(wanted, ALICE, MIDDLE).ok
    assert error.__name__ in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("kind", "why"), [(FrameType.JUDGE, "before CONFIGURE"), (FrameType.BEGIN, "unknown frame")]
)
def test_what_no_front_end_says(kind: FrameType, why: str) -> None:
    with pytest.raises(AssertionError, match=why), verifier() as front:
        front.send(kind, 1, base64.b16encode(b"?" * 32))


def test_end_of_what_is_answered(tmp_path: Path) -> None:
    wanted = site(tmp_path)
    with verifier() as front:
        front.ready(told(tmp_path, wanted))
        asked = front.ask(wanted, ALICE)
        front.send(FrameType.END, asked, b"\0")
        assert front.verdict()[0] == asked
        assert front.count() == 0
