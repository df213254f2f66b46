"""How long a verdict counts, and how many there may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kssl.fastpath.verifier import remembering
from kssl.fastpath.verifier.remembering import Remembered, key_of, until
from kssl.fastpath.verifier.rules.crl import CrlSet
from kssl.fastpath.verifier.rules.policy import Policy
from tests.fastpath.verifier.rules.pki import CLIENT, DAY, NOW, self_signed
from tests.fastpath.verifier.rules.support import ask
from tests.fastpath.verifier.support import Clock

ROOT = self_signed("CN=Root")
SECONDS = timedelta(seconds=1)
MINUTE = NOW + 60 * SECONDS


def test_keys() -> None:
    keys = {
        key_of(policy, presented)
        for policy in ("a", "b")
        for presented in ([], [b""], [b"ab"], [b"a", b"b"], [b"b", b"a"], [b"", b"ab"])
    }
    assert len(keys) == 12


def test_until_a_certificate_changes() -> None:
    for since, end, expected in (
        (-DAY, DAY, MINUTE),
        (-DAY, 10 * SECONDS, NOW + 11 * SECONDS),
        (20 * SECONDS, DAY, NOW + 20 * SECONDS),
        (-DAY, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - NOW, MINUTE),
        (-DAY, -10 * SECONDS, MINUTE),
    ):
        leaf = ROOT.issue("CN=a", (CLIENT, False), since=since, until=end)
        policy = Policy.prepare([ROOT.certificate])
        assert until(ask(leaf, policy=policy), policy, NOW) == expected


@pytest.mark.parametrize("milliseconds", [0, 1, 500, 999])
def test_in_the_last_second(milliseconds: int) -> None:
    """The whole of it counts, and not the minute behind it."""
    policy = Policy.prepare([ROOT.certificate])
    leaf = ROOT.issue("CN=a", (CLIENT, False), until=0 * SECONDS)
    now = NOW + timedelta(milliseconds=milliseconds)
    verdict = ask(leaf, policy=policy, now=now)
    assert verdict.ok
    assert until(verdict, policy, now) == NOW + SECONDS
    assert not ask(leaf, policy=policy, now=NOW + SECONDS).ok


@pytest.mark.parametrize(
    ("crl", "freshness", "expected"),
    [
        (ROOT.crl(), 0, MINUTE),
        (ROOT.crl(until=30 * SECONDS), 0, NOW + 30 * SECONDS),
        (ROOT.crl(since=-50 * SECONDS), 70, NOW + 20 * SECONDS),
        (ROOT.crl(since=15 * SECONDS), 0, NOW + 15 * SECONDS),
        (ROOT.crl(until=0 * SECONDS), 0, NOW),
        (ROOT.crl(since=-50 * SECONDS), 50, NOW),
    ],
)
def test_until_a_list_changes(crl: bytes, freshness: int, expected: datetime) -> None:
    lists = CrlSet.parse([crl])
    policy = Policy.prepare([ROOT.certificate], crls=lists, freshness=freshness)
    leaf = ROOT.issue("CN=a", (CLIENT, False))
    assert until(ask(leaf, policy=policy), policy, NOW) == expected


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "ENTRIES", 3)
    remembered = Remembered(Clock())
    for number in range(5):
        remembered.keep(("a", bytes([number])), b"x", 60.0)
    there = [remembered.get(("a", bytes([number]))) for number in range(5)]
    assert there == [None, None, b"x", b"x", b"x"]
    remembered.keep(("b", b""), b"x", 0.0)
    assert remembered.get(("b", b"")) is None
    monkeypatch.setattr(remembering, "SIZE", 2000)
    small = Remembered(Clock())
    for number in range(2):
        small.keep(("a", bytes([number])), b"x" * 800, 60.0)
    assert small.get(("a", b"\0")) is None
    assert small.get(("a", b"\1")) is not None
