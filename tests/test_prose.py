"""What the words of the repository cite: documents that a reader can find, and RFCs in force."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("proxy", "fastpath", "config", "bench", "tests", "docs", "tools")
TEXT = frozenset((".py", ".md", ".toml", ".json", ".html", ".css", ".cnf", ".sh", ".svg", ".lua"))

# Documents that only their collector has: the word in the plural, before a number of three digits,
# or with an apostrophe. The start value of a random generator and the input of TLS 1.2's PRF have
# the same name, and are fine. The second word is a folder of notes outside of the repository.
CITATION = re.compile(r"\bsee[d]s\b|\bsee[d]\s+[0-9]{3}\b|\bsee[d]'s\b|\bfact[s]/", re.IGNORECASE)

# By section numbers that are no longer those of TLS 1.3: RFC 9846 has obsoleted it.
OBSOLETE = re.compile(r"\bRFC\s*844[6]\b", re.IGNORECASE)


def texts() -> list[Path]:
    """Return every text file of the repository; caches and what tools have made are left out."""
    found = [path for path in ROOT.iterdir() if path.suffix in TEXT or path.name == "Makefile"]
    for top in FOLDERS:
        for folder, folders, files in os.walk(ROOT / top):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
            found += (Path(folder, name) for name in sorted(files) if Path(name).suffix in TEXT)
    return found


@pytest.mark.parametrize("citation", [CITATION, OBSOLETE], ids=["documents", "TLS 1.3"])
def test_nothing_cites_what_readers_cannot_look_up(citation: re.Pattern[str]) -> None:
    cited = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if citation.search(line)
    ]
    assert cited == []


def test_the_files_that_are_looked_at_are_there() -> None:
    names = {str(path.relative_to(ROOT)) for path in texts()}
    assert {"README.md", "docs/tls.md", "fastpath/record/layer.py", "tests/test_prose.py"} <= names
