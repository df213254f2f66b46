"""The verdict reads no clock, and files in one module alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import kssl.fastpath.verifier.rules
from tests.fastpath.test_sans_io import FORBIDDEN, imported

MODULES = sorted(Path(kssl.fastpath.verifier.rules.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_io(path: Path) -> None:
    source = path.read_text()
    found = imported(source)
    assert not found & (FORBIDDEN - {"datetime"})
    assert ".now(" not in source
    assert "utcnow" not in source
    assert path.name == "trust.py" or "pathlib" not in found
    assert path.name == "trust.py" or "open(" not in source
