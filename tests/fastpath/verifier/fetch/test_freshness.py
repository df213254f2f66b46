"""How long answers are kept, whatever the server says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.verifier.fetch.freshness import LONGEST, SHORTEST, lifetime

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("cache_control", "expires", "date", "seconds"),
    [
        ("", "", "", SHORTEST),
        ("max-age=3600", "", "", 3600),
        ("public, MAX-AGE=3600, s-maxage=7", "", "", 3600),
        ('max-age="3600"', "", "", 3600),
        ("s-max-age=3600", "", "", SHORTEST),
        ("max-age=1", "", "", SHORTEST),
        ("max-age=-1", "", "", SHORTEST),
        ("max-age=99999999999999999999", "", "", LONGEST),
        (f"max-age={'9' * 9999}", "", "", SHORTEST),
        ("no-store, max-age=3600", "", "", SHORTEST),
        ("no-cache, max-age=3600", "", "", SHORTEST),
        ("max-age=3600", "Sun, 06 Nov 1994 10:49:37 GMT", DATE, 3600),
        ("", "Sun, 06 Nov 1994 10:49:37 GMT", DATE, 7200),
        ("public", "Sun, 06 Nov 1994 10:49:37 GMT", DATE, 7200),
        ("", "Sun, 06 Nov 1994 08:49:38 GMT", DATE, SHORTEST),
        ("", "Sun, 06 Nov 1993 08:49:38 GMT", DATE, SHORTEST),
        ("", "Sun, 06 Nov 2094 08:49:38 GMT", DATE, LONGEST),
        ("", "Sun, 06 Nov 1994 10:49:37 GMT", "", SHORTEST),
        ("", "0", DATE, SHORTEST),
        ("", "Sun, 31 Feb 2094 10:49:37 GMT", DATE, SHORTEST),
        ("", "Sun, 06 Xxx 2094 10:49:37 GMT", DATE, SHORTEST),
        ("", "Sun, 06 Nov 2094 10:49:61 GMT", DATE, SHORTEST),
        ("", "Sunday, 06-Nov-94 08:49:37 GMT", DATE, SHORTEST),
    ],
)
def test_lifetime(cache_control: str, expires: str, date: str, seconds: float) -> None:
    assert lifetime(cache_control, expires, date) == seconds


@given(st.text(), st.text(), st.text())
def test_nonsense(cache_control: str, expires: str, date: str) -> None:
    assert SHORTEST <= lifetime(cache_control, expires, date) <= LONGEST
