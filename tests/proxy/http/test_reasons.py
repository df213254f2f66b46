"""Every reason of an error is a word of the HTTPERR log, and docs/errors.md explains each."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from kssl import proxy
from kssl.proxy.http.client_cert import REASONS as CERTIFICATE_REASONS
from kssl.proxy.http.pages import SUBSTATUS
from kssl.proxy.journal.httperr import REASONS

ROOT = Path(proxy.__path__[0]).resolve()
PAGE = ROOT.parent / "docs" / "errors.md"

# Who makes an error → which argument is the reason.
MAKERS = {"HttpError": 1, "client_error": 0, "error": 0, "_error": 0}


def used() -> dict[str, str]:
    """Reason → where it is given, in proxy/ without the demo app, which has an error of its own."""
    found: dict[str, str] = {}
    for path in sorted(ROOT.rglob("*.py")):
        if "demo" in path.relative_to(ROOT).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            position = MAKERS.get(name or "")
            if position is None or (name == "error" and isinstance(node.func, ast.Attribute)):
                continue  # log.error
            assert len(node.args) > position, f"{path}:{node.lineno}: the reason has no place"
            argument = node.args[position]
            if isinstance(argument, ast.Constant):
                found[str(argument.value)] = f"{path}:{node.lineno}"
            else:
                # Passed on, by those who make errors for both sides.
                assert isinstance(argument, ast.Name), f"{path}:{node.lineno}"
                assert argument.id == "reason", f"{path}:{node.lineno}"
    return found


def test_reasons_are_known() -> None:
    found = used()
    assert {"Header", "URL", "URL_Length", "Forbidden", "EntityTooLarge", "Number"} <= set(found)
    assert {reason: where for reason, where in found.items() if reason not in REASONS} == {}


def test_the_documentation_of_pages_names_known_reasons() -> None:
    section = PAGE.read_text().partition("## Pages\n")[2].partition("\n## ")[0]
    cells = re.findall(r"\| ([A-Z][A-Za-z_/, ]+) \|$", section, re.MULTILINE)
    assert len(cells) > 10
    assert {word for cell in cells for word in cell.split(", ")} <= REASONS


def rows(heading: str) -> list[str]:
    """First cells of the tables of one section."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `?([^ `|]+)`?", section, re.MULTILINE)


def test_the_documentation_has_every_reason_once() -> None:
    listed = re.findall(r"`([^`\n]+)`", rows_text("The words of s-reason"))
    assert sorted(listed) == sorted(REASONS)


def rows_text(heading: str) -> str:
    """First cells of the rows of a section's tables, with their backquotes."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return "\n".join(line.split("|")[1] for line in section.splitlines() if line.startswith("|"))


def test_the_documentation_has_every_substatus() -> None:
    listed = rows("Pages")
    for status, substatus in SUBSTATUS:
        assert f"{status}.{substatus}" in listed


def test_client_certificates_have_a_page_and_a_word_each() -> None:
    page = PAGE.read_text()
    for outcome, word in CERTIFICATE_REASONS.items():
        assert (403, outcome) in SUBSTATUS
        assert re.search(rf"^\| 403\.{int(outcome)} \| .+ \| {word} \|$", page, re.MULTILINE)
        assert re.search(rf"^\| `{word}` \| .+ \(403\.{int(outcome)}\) \|$", page, re.MULTILINE)
    ours = {word for word in REASONS if word.startswith("Cert_")}
    assert ours - set(CERTIFICATE_REASONS.values()) == {"Cert_Rejected", "Cert_Unchecked"}
