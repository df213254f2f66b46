"""The end of a pool, and pools over real fetchers."""

from __future__ import annotations

import pytest

from kssl.fastpath.verifier.fetch import Allowed, Fetcher, FetchPool, Kind, Limits
from tests.fastpath.verifier.fetch.held import Held, until, why
from tests.fastpath.verifier.fetch.samples import certificate
from tests.fastpath.verifier.fetch.server import ok, serving
from tests.fastpath.verifier.fetch.test_end_to_end import silent

A = "http://ca.example/a"


@pytest.fixture
def held() -> Held:
    return Held()


def test_close(held: Held) -> None:
    pool = FetchPool(held, threads=2, queue=3)
    answers = [pool.submit(f"http://ca.example/{index}", Kind.CRL) for index in range(5)]
    until(lambda: held.running == 2)
    assert pool.close()
    assert {why(answer) for answer in answers} == {"kssl stops"}
    assert len(held.began) == 2
    assert why(pool.submit(A, Kind.CRL)) == "kssl stops"
    assert pool.close()


def test_close_does_not_wait_for_ever(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "close", lambda: None)
    pool = FetchPool(held)
    answer = pool.submit(A, Kind.CRL)
    until(lambda: held.running == 1)
    assert not pool.close(0.05)
    assert why(answer) == "kssl stops"
    held.go.set()
    assert pool.close()


def real(port: int) -> FetchPool:
    allowed = Allowed.of(["127.0.0.1"], ports=[port])
    return FetchPool(Fetcher(Limits(total=60), allowed))


def test_over_a_real_fetcher() -> None:
    with serving(ok(certificate())) as server:
        pool = real(server.port)
        answers = [pool.submit(f"{server.url}/{index % 4}", Kind.CERTIFICATE) for index in range(8)]
        assert {answer.result(60).body for answer in answers} == {certificate()}
        assert len(server.requests) == 4
        assert pool.close()


def test_closing_while_real_ones_wait() -> None:
    with serving(silent) as server:
        pool = real(server.port)
        answers = [pool.submit(f"{server.url}/{index}", Kind.CRL) for index in range(6)]
        until(lambda: len(server.requests) == 4)
        assert pool.close(60)  # the server says nothing before it is stopped itself
        assert {why(answer) for answer in answers} == {"kssl stops"}
