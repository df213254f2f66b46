"""What the documents say must be so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kssl.config.markdown import as_markdown

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def test_the_parameters_page_is_the_table() -> None:
    assert (ROOT / "docs" / "parameters.md").read_text() == as_markdown()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(document: Path) -> None:
    named = re.findall(
        r"(?<![\w/.~])((?:proxy|fastpath|config|bench|tests|docs)/[\w./-]*)", document.read_text()
    )
    missing = [name for name in named if not (ROOT / name.rstrip(".")).exists()]
    assert missing == []
