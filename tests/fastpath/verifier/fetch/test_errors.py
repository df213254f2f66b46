"""What an error shows of a stranger's URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.verifier.fetch.errors import FetchError, shown
from kssl.fastpath.verifier.fetch.limits import Kind, Limits


def test_the_sentence() -> None:
    error = FetchError("http://ca.example/a", "is not there\n")
    assert str(error) == r"http://ca.example/a: is not there\n"
    assert error.why == r"is not there\n"


@given(st.text(max_size=300), st.integers(1, 200))
def test_shown(text: str, most: int) -> None:
    found = shown(text, most)
    assert found.isprintable()
    assert len(found) <= most + 1
    assert found == text or len(text) > most or not text.isprintable()
    assert FetchError(text, text).args[0].isprintable()


def test_long_ones_are_cut() -> None:
    assert shown("a" * 500) == "a" * 120 + "…"
    assert len(str(FetchError("http://ca.example/" + "a" * 5000, "x"))) < 200


@pytest.mark.parametrize(
    "wrong",
    [{"total": 0}, {"total": 301}, {"connect": -1}, {"certificate_bytes": 0},
     {"crl_bytes": 1 << 30}, {"redirects": -1}, {"total": float("nan")}],
)  # fmt: skip
def test_limits_that_are_none(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"limits|MiB|redirects"):
        Limits(**wrong)


def test_limits_by_kind() -> None:
    assert (Limits().size(Kind.CERTIFICATE), Limits().size(Kind.CRL)) == (65536, 10485760)
