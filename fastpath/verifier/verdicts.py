"""`Verdict` → what the front end is told, small enough for one frame."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from cryptography.hazmat.primitives.serialization import Encoding

from kssl.config.errors import printable
from kssl.fastpath.ipc.frames import MAX_PAYLOAD
from kssl.fastpath.verifier.messages import ClientVerdict, pack_verdict
from kssl.fastpath.verifier.rules.verdict import Outcome, Verdict

MAX_CHAIN = 128 << 10  # bytes of DER
MAX_NOTES = 10
MAX_NOTE = 500  # characters
# Bytes as JSON, where one character may take twelve. No header could take more to the app.
_MAX_NAME = 8 << 10
_MAX_SANS = 32 << 10

CHANGED = ClientVerdict(Outcome.UNTRUSTED, "The site's settings have just changed; connect again.")
BROKEN = ClientVerdict(
    Outcome.UNTRUSTED,
    "The client's certificate cannot be checked now: a file of this site cannot be used.",
)
UNCHECKED = ClientVerdict(Outcome.UNTRUSTED, "The client's certificate could not be checked.")


def told(verdict: Verdict, notes: Sequence[str] = ()) -> ClientVerdict:
    """``notes`` beside the verdict's own: of the search.

    What is too long for a header is left out as a whole, and a note says so: half a name might be
    taken for another.
    """
    left_out: list[str] = []
    result = ClientVerdict(verdict.outcome, _sentence(verdict.reason))
    identity = verdict.identity
    if identity is not None:
        sans = identity.sans
        if len(json.dumps(sans)) > _MAX_SANS:
            left_out.append(f"its {len(sans)} alternative names, as they are too long together")
            sans = ()
        subject, issuer = identity.subject, identity.issuer
        if len(json.dumps(subject)) > _MAX_NAME:
            left_out.append("its subject, as that is too long")
            subject = ""
        if len(json.dumps(issuer)) > _MAX_NAME:
            left_out.append("its issuer, as that is too long")
            issuer = ""
        result = replace(
            result,
            subject=subject,
            issuer=issuer,
            serial=identity.serial,
            sha256=identity.sha256,
            sans=sans,
        )
    chain = _chain(verdict) if verdict.ok else ()
    if sum(map(len, chain)) > MAX_CHAIN:
        left_out.append(f"its chain, as that has more than {MAX_CHAIN // 1024} KiB")
        chain = ()
    told_notes = [f"of the client's certificate is not passed on: {each}" for each in left_out]
    result = replace(result, chain=chain, notes=_cut([*told_notes, *verdict.notes, *notes]))
    if len(pack_verdict(result)) > MAX_PAYLOAD:  # the limits above are met, but all at a time
        result = replace(result, chain=(), notes=(_TOO_LARGE,))
    return result


_TOO_LARGE = "of the client's certificate is not passed on: its chain, as all is too long together"


def with_note(verdict: ClientVerdict, note: str) -> ClientVerdict:
    """``note`` goes first, so that it is not cut off."""
    return replace(verdict, notes=_cut([note, *verdict.notes]))


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}."


def _chain(verdict: Verdict) -> tuple[bytes, ...]:
    """Without the client's certificate, and without the trusted one."""
    return tuple(each.public_bytes(Encoding.DER) for each in verdict.chain[1:-1])


def _cut(notes: Sequence[str]) -> tuple[str, ...]:
    plain = [printable(each) for each in dict.fromkeys(notes)]
    return tuple(
        each if len(each) <= MAX_NOTE else f"{each[: MAX_NOTE - 1]}…" for each in plain[:MAX_NOTES]
    )
