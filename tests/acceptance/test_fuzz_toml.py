"""A hundred thousand documents, and no traceback."""

from __future__ import annotations

import os

import pytest
from hypothesis import given

from tests.config.document.fuzzing import ALL, check, fuzz_settings

pytestmark = pytest.mark.acceptance


@given(ALL)
@fuzz_settings(int(os.environ.get("KSSL_FUZZ_EXAMPLES", "100000")))
def test_reading_finds_no_traceback(text: str) -> None:
    check(text)
