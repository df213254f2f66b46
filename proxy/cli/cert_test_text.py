"""What `kssl cert test` tells, in lines and in JSON. The lines hold foreign text: to be printed by
`printable`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kssl.fastpath.verifier.retrieval import Retrieval
from kssl.fastpath.verifier.rules.verdict import Outcome, Source, Step
from kssl.proxy.cli.cert_test_follows import Follows

_INDENT = 14

MEANING = {
    Outcome.OK: "ok",
    Outcome.NONE_PRESENTED: "403.7, no client certificate",
    Outcome.DENIED: "403.12, denied by a rule",
    Outcome.REVOKED: "403.13, revoked, or nobody can tell",
    Outcome.UNTRUSTED: "403.16, untrusted or malformed",
    Outcome.EXPIRED: "403.17, expired or not valid yet",
}
_FROM = {
    Source.PRESENTED: "presented by the client",
    Source.INTERMEDIATES: "from the intermediate store",
    Source.FETCHED: "fetched, from where is told below",
    Source.TRUST: "from the trust store",
}


def verdict_text(
    result: Retrieval, now: datetime, width: int, then: Follows | None = None
) -> Iterator[str]:
    """``then``: what follows, if it is known which site asks."""
    verdict = result.verdict
    yield from _row("verdict", MEANING[verdict.outcome], width)
    yield from _row("reason", verdict.reason, width)
    if then is not None:
        yield from _row("site", then.site, width)
        yield from _row("follows", then.text, width)
    yield from _row("at", f"{now:%Y-%m-%d %H:%M:%S} UTC", width)
    for number, step in enumerate(verdict.steps):
        yield ""
        yield from _step(number, step, width)
    identity = verdict.identity
    if identity is not None:
        yield ""
        yield from _row("names", ", ".join(identity.sans) or "no subjectAltName", width)
        yield from _row("SHA-256", identity.sha256, width)
    for each in result.fetched:
        yield from _row("fetched", f"{each.what}: {each.size} bytes from {each.url}", width)
    for note in (*verdict.notes, *result.notes):
        yield from _row("note", note, width)


def _step(number: int, step: Step, width: int) -> Iterator[str]:
    what = "client" if number == 0 else f"CA {number}"
    yield from _row(f"{what}", step.subject or "an empty name", width)
    yield from _row("  issued by", step.issuer or "an empty name", width)
    yield from _row("  serial", step.serial, width)
    yield from _row("  valid", f"{_day(step.not_before)} to {_day(step.not_after)} UTC", width)
    yield from _row("  found", _FROM[step.source], width)
    if step.revocation and not step.faults:
        yield from _row("  revocation", step.revocation, width)
    for fault in step.faults:
        remedy = f"; {fault.remedy}" if fault.remedy else ""
        yield from _row("  PROBLEM", fault.text + remedy, width)
    if not step.faults:
        yield from _row("  fine", "", width)


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"


def _row(label: str, text: str, width: int) -> Iterator[str]:
    """``label         text``, folded; a word that is too long for a line is broken."""
    lines = textwrap.wrap(text, max(width - _INDENT, 20), break_on_hyphens=False) or [""]
    yield f"{label:<{_INDENT}}{lines[0]}".rstrip()
    for line in lines[1:]:
        yield " " * _INDENT + line


def as_json(result: Retrieval, now: datetime, then: Follows | None = None) -> dict[str, Any]:
    """Keys and the words of `kind`, `from` and `outcome` stay as they are; sentences may change."""
    verdict, identity = result.verdict, result.verdict.identity
    return {
        "ok": verdict.ok,
        "outcome": verdict.outcome.name.lower(),
        "substatus": int(verdict.outcome) or None,
        "reason": verdict.reason,
        "site": then.as_json() if then is not None else None,
        "at": now.isoformat(),
        "steps": [_step_json(step) for step in verdict.steps],
        "identity": None
        if identity is None
        else {
            "subject": identity.subject,
            "issuer": identity.issuer,
            "serial": identity.serial,
            "sha256": identity.sha256,
            "sans": list(identity.sans),
        },
        "fetched": [
            {
                "url": each.url,
                "kind": each.kind.value.lower(),
                "bytes": each.size,
                "what": each.what,
            }
            for each in result.fetched
        ],
        "notes": [*verdict.notes, *result.notes],
    }


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "subject": step.subject,
        "issuer": step.issuer,
        "serial": step.serial,
        "not_before": step.not_before.isoformat(),
        "not_after": step.not_after.isoformat(),
        "from": step.source.value,
        "revocation": step.revocation or None,
        "faults": [
            {"kind": fault.kind.value, "text": fault.text, "remedy": fault.remedy}
            for fault in step.faults
        ],
    }
