"""Fetched CRLs: read once, the newest of each scope, bounded."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from cryptography import x509

from kssl.config.errors import ConfigError
from kssl.fastpath.verifier import lists as module
from kssl.fastpath.verifier.lists import Lists, Reader, good_for
from kssl.fastpath.verifier.retrieval import FoundList
from kssl.fastpath.verifier.rules.crl import Crl, CrlSet
from kssl.fastpath.verifier.rules.revocation import State, status
from tests.fastpath.verifier.rules.pki import DAY, NOW, Made, self_signed
from tests.fastpath.verifier.support import Clock

ROOT = self_signed("CN=Root")
OTHER = self_signed("CN=Root")  # a namesake
HOUR = timedelta(hours=1)


def found(ca: Made = ROOT, since: timedelta = -DAY, size: int = 1000, point: str = "") -> FoundList:
    scope = x509.IssuingDistributionPoint(
        [x509.UniformResourceIdentifier(point)], None, False, False, None, False, False
    )
    data = ca.crl(since=since, extensions=[(scope, True)] if point else [])
    return FoundList("http://x/", size, Crl.parse(data, "x"), ca.certificate)


def test_a_newer_one_takes_the_place() -> None:
    old, new = found(), found(since=-HOUR)
    lists = Lists()
    assert lists.keep("a", [old]) == {"a"}
    assert lists.keep("a", [new]) == {"a"}
    assert lists.of("a") == [new.crl]
    assert lists.keep("a", [old]) == set()
    assert lists.of("a") == [new.crl]


def test_scopes_stay_beside_each_other() -> None:
    several = [found(), found(OTHER), found(point="http://x/1"), found(point="http://x/2")]
    lists = Lists()
    lists.keep("a", several)
    lists.keep("b", several[:1])
    assert lists.of("a") == [each.crl for each in several]
    assert lists.of("b") == [several[0].crl]
    lists.retain({"b"})
    assert lists.of("a") == []
    assert len(lists.of("b")) == 1


def test_a_list_for_some_reasons_takes_nobodys_place() -> None:
    """Or whoever answers for the CA could have a revocation forgotten: by such a list first, and
    then by a full one of the time before."""
    bob = ROOT.issue("CN=bob").certificate
    reasons = frozenset([x509.ReasonFlags.ca_compromise])
    scope = x509.IssuingDistributionPoint(None, None, False, False, reasons, False, False)
    full, partial, before = (
        FoundList("http://x/", 1000, Crl.parse(data, "x"), ROOT.certificate)
        for data in (
            ROOT.crl(bob, since=-2 * HOUR),
            ROOT.crl(since=-HOUR, extensions=[(scope, True)]),
            ROOT.crl(since=-3 * HOUR),
        )
    )
    lists = Lists()
    for each in (full, partial, before):
        lists.keep("a", [each])
    known = CrlSet.of([*lists.of("a"), before.crl])
    assert status(bob, ROOT.certificate, known, NOW, None).state is State.REVOKED


def test_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIZE", 2500)
    lists = Lists()
    lists.keep("a", [found(), found(OTHER)])
    assert lists.keep("b", [found()]) == {"a", "b"}
    assert (len(lists.of("a")), len(lists.of("b"))) == (1, 1)
    assert lists.keep("b", [found(size=2501, since=-HOUR)]) == set()  # larger than all
    assert lists.keep("b", [found(size=1500, since=-HOUR)]) == {"b"}
    assert lists.keep("b", [found(OTHER, size=1500)]) == {"a", "b"}
    assert (len(lists.of("a")), len(lists.of("b"))) == (0, 1)


def test_so_many_for_one_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PER_SITE", 2)
    lists = Lists()
    lists.keep("b", [found()])
    several = [found(point=f"http://x/{number}") for number in range(3)]
    assert lists.keep("a", several) == {"a"}
    assert lists.of("a") == [each.crl for each in several[1:]]
    assert len(lists.of("b")) == 1


def test_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    parse = Crl.parse

    def noted(data: bytes, where: str) -> Crl:
        parsed.append(where)
        return parse(data, where)

    monkeypatch.setattr(Crl, "parse", noted)
    clock = Clock()
    read = Reader(clock)
    data = ROOT.crl()
    together: list[Crl] = []
    threads = [threading.Thread(target=lambda: together.append(read(data, "x"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(parsed) == 1
    assert all(each is together[0] for each in together)
    read(ROOT.crl(since=-HOUR), "other")
    assert len(parsed) == 2
    clock.seconds = 300.0
    read(data, "x")
    assert len(parsed) == 3
    with pytest.raises(ConfigError, match=r"^there: "):
        read(b"\x30\x00", "there")


def test_how_long_it_is_good() -> None:
    crl = found().crl  # from a day ago to a day from now
    assert good_for(crl, NOW, None) == 86400
    assert good_for(crl, NOW, 25 * HOUR) == 3600
    assert good_for(crl, NOW, HOUR) == -23 * 3600
    assert good_for(crl, NOW + 2 * DAY, None) == -86400
