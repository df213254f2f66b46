"""No bytes of a certificate, key, PKCS #12 or CRL let anything out but ConfigError."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.fuzzing import run

READERS = {"served", "key", "pfx", "trusted", "presented", "beside", "crl"}


def test_some_hundred(tmp_path: Path) -> None:
    told = run(tmp_path, 700, 1)
    assert {name for name, taken in told if not taken} == READERS


@pytest.mark.acceptance
def test_a_hundred_thousand(tmp_path: Path) -> None:
    told = run(tmp_path, 100_000, 2)
    assert {name for name, taken in told if not taken} == READERS
    assert {name for name, taken in told if taken} == READERS
