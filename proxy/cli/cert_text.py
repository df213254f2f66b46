"""What `kssl cert` tells, in lines. They may hold foreign text: to be printed by `printable`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kssl.config.store.place import HOSTNAMEPORT, IPPORT
from kssl.config.store.staged import ADD, BIND, DELETE, UNBIND, Change
from kssl.config.store.store import short

STAGED = "staged; nothing changes until: kssl cert commit"
CERTHASH = "certhash"


def count(number: int) -> str:
    return "1 change" if number == 1 else f"{number} changes"


def told(change: Change) -> str:
    what = short(change.thumbprint)
    return {
        ADD: f"added {what}",
        DELETE: f"deleted {what}",
        BIND: f"bound {change.place} to {what}",
        UNBIND: f"unbound {change.place}",
    }[change.op]


def list_text(report: dict[str, Any]) -> Iterable[str]:
    if not report["certificates"]:
        yield "no certificates; add one: kssl cert add FILE"
    else:
        yield f"{'THUMBPRINT':<18}{'EXPIRES':<29}{'STATE':<28}NAMES"
    for each in report["certificates"]:
        names = ", ".join(each.get("names") or [each.get("subject", "")])
        expiry = _expiry(each) if "not_after" in each else ""
        yield f"{short(each['thumbprint']):<18}{expiry:<29}{each['state']:<28}{names}".rstrip()
        for bound in each["bindings"]:
            yield f"    {_bound_text(bound)}"
    for bound in report["dangling"]:
        yield (
            f"{_place_text(bound)} is bound to {short(bound[CERTHASH])}, which is not in the store"
        )
    if report["staged"]:
        yield f"{count(report['staged'])} {STAGED}"


def _place_text(bound: dict[str, str]) -> str:
    return next(f"{kind}={bound[kind]}" for kind in (IPPORT, HOSTNAMEPORT) if kind in bound)


def _bound_text(bound: dict[str, str]) -> str:
    staged = f" (staged {bound['staged']})" if bound["staged"] else ""
    return _place_text(bound) + staged + (f": {bound['note']}" if bound["note"] else "")


def _expiry(each: dict[str, Any]) -> str:
    days = each["days_left"]
    left = f"{days} days left" if days >= 0 else "expired"
    return f"{each['not_after'][:10]}, {left}"


def show_text(report: dict[str, Any]) -> Iterable[str]:
    yield f"SHA-256     {report['thumbprint']}"
    yield f"state       {report['state']}"
    for bound in report["bindings"]:
        yield f"binding     {_bound_text(bound)}"
    if "chain" not in report:
        return
    yield f"SHA-1       {report['sha1']}"
    yield f"subject     {report['subject']}"
    yield f"names       {', '.join(report['names']) or 'none'}"
    yield f"issuer      {report['issuer']}"
    yield f"serial      {report['serial']}"
    yield f"valid       {report['not_before']} to {_expiry(report)}"
    yield f"key         {report['key_type']}"
    for number, each in enumerate(report["chain"]):
        last = number + 1 == len(report["chain"])
        by = "the next" if each["issued_by_next"] else each["issuer"]
        gap = "" if each["issued_by_next"] or last else ": NOT the next one, the chain breaks here"
        yield f"chain {number:<5} {each['subject']}, {_expiry(each)}; issued by {by}{gap}"
    for key, word in (("covers", "covers"), ("does_not_cover", "not covered")):
        if report[key]:
            yield f"{word:<11} {', '.join(report[key])}"
