"""What the documents say must be so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kssl.config.markdown import as_markdown

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
FOLDERS = "proxy|fastpath|config|bench|tests|docs|tools"
NAMED = re.compile(rf"(?<![\w/.~])((?:{FOLDERS})/[\w./*-]*)(?:::(\w+))?")


def test_the_parameters_page_is_the_table() -> None:
    assert (ROOT / "docs" / "parameters.md").read_text() == as_markdown()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(document: Path) -> None:
    """`folder/file.py`, `folder/*.py`, and `folder/file.py::name` of a function or class there."""
    missing = []
    for name, inside in NAMED.findall(document.read_text()):
        found = sorted(ROOT.glob(name.rstrip("./")))
        defined = re.compile(rf"^ *(?:async )?(?:def|class) {inside}\b", re.MULTILINE)
        if not found or (inside and not any(defined.search(path.read_text()) for path in found)):
            missing.append(f"{name}::{inside}" if inside else name)
    assert missing == []


def test_each_attack_has_a_test() -> None:
    """Or says, in its last cell, why there is none."""
    page = (ROOT / "docs" / "attacks.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    assert len(rows) > 50
    kept = ""
    for attack, *_, tests in rows:
        if tests == "tests":  # the head of a table
            kept = ""
            continue
        kept = kept if tests == "the same" else tests
        assert NAMED.search(kept) or kept.startswith("none:"), attack
