"""What the front end is told fits into a frame, whatever a client's certificate holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kssl.fastpath.ipc.frames import MAX_PAYLOAD
from kssl.fastpath.verifier import verdicts
from kssl.fastpath.verifier.messages import ClientVerdict, pack_verdict, unpack_verdict
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.verdict import Identity, Outcome, Verdict
from kssl.fastpath.verifier.verdicts import MAX_NOTES, told, with_note
from tests.fastpath.verifier.rules.pki import CLIENT, self_signed, tower
from tests.fastpath.verifier.rules.support import ask

ROOT = self_signed("CN=Root")
CAS = tower(ROOT, 3)
ALICE = CAS[-1].issue("CN=alice", (CLIENT, False))
GOOD = ask(ALICE, *CAS, policy=Policy.prepare([ROOT.certificate]))


def identity(**more: object) -> Identity:
    assert GOOD.identity is not None
    return replace(GOOD.identity, **more)  # type: ignore[arg-type]


def sent(verdict: ClientVerdict) -> ClientVerdict:
    packed = pack_verdict(verdict)
    assert len(packed) <= MAX_PAYLOAD
    return unpack_verdict(packed)


def test_the_chain_without_its_ends() -> None:
    verdict = sent(told(GOOD))
    assert verdict.chain == tuple(each.der for each in reversed(CAS))
    refused = sent(told(replace(GOOD, outcome=Outcome.DENIED)))
    assert refused.chain == ()
    alone = ask(ALICE, policy=Policy.prepare([ALICE.certificate]))
    assert (told(alone).word, told(alone).chain) == ("ok", ())


def test_a_long_chain_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(len(each.der) for each in CAS)
    monkeypatch.setattr(verdicts, "MAX_CHAIN", size)
    assert len(told(GOOD).chain) == 3
    monkeypatch.setattr(verdicts, "MAX_CHAIN", size - 1)
    verdict = told(GOOD)
    assert (verdict.ok, verdict.chain) == (True, ())
    assert "its chain" in verdict.notes[0]


def test_names_are_left_out_as_a_whole() -> None:
    long = "\N{GRINNING FACE}" * 700  # twelve bytes each
    verdict = sent(told(replace(GOOD, identity=identity(subject=long, issuer=long))))
    assert (verdict.subject, verdict.issuer) == ("", "")
    assert len(verdict.notes) == 2
    assert verdict.sha256 == identity().sha256
    fits = "\N{GRINNING FACE}" * 600
    assert sent(told(replace(GOOD, identity=identity(subject=fits)))).subject == fits
    many = tuple(f"dns:{number}.example" for number in range(2000))
    verdict = sent(told(replace(GOOD, identity=identity(sans=many))))
    assert verdict.sans == ()
    assert "2000 alternative names" in verdict.notes[0]


def test_everything_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = "\N{GRINNING FACE}"
    verdict = Verdict(
        Outcome.OK, "r" * 1000, chain=GOOD.chain, notes=tuple(f"{n}{wide * 600}" for n in range(9)),
        identity=identity(subject=wide * 680, issuer=wide * 680, sans=(wide * 2700,)),
    )  # fmt: skip
    monkeypatch.setattr(verdicts, "_chain", lambda _: (b"x" * verdicts.MAX_CHAIN,))
    result = sent(told(verdict))
    assert (result.chain, len(result.notes)) == ((), 1)
    assert result.subject == wide * 680


def test_notes() -> None:
    plain = told(replace(GOOD, notes=("one", "two")), ["two", "a\x1b[2J\n", "x" * 501])
    assert plain.notes == ("one", "two", r"a\x1b[2J\n", "x" * 499 + "…")
    many = told(GOOD, [str(number) for number in range(20)])
    assert many.notes == tuple(str(number) for number in range(MAX_NOTES))
    assert with_note(many, "first").notes == ("first", *many.notes[:-1])


def test_the_reason_is_a_sentence() -> None:
    assert told(Verdict(Outcome.UNTRUSTED, "it is so")).reason == "It is so."
    assert told(Verdict(Outcome.UNTRUSTED, "It is so.")).reason == "It is so."
