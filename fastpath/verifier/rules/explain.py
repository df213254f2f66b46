"""Why a path is not accepted: the outcome, one sentence, and what is wrong at each step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from kssl.config.errors import printable
from kssl.fastpath.verifier.rules.names import constraints_of, dn_text, serial_of, shown
from kssl.fastpath.verifier.rules.path import Path, Stop, best_path
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.presented import Presented
from kssl.fastpath.verifier.rules.verdict import Fault, Kind, Outcome, Source, Step

_DETAIL = 200  # characters of the verifier's own words


def step_of(
    certificate: x509.Certificate,
    source: Source,
    faults: Sequence[Fault] = (),
    revocation: str = "",
) -> Step:
    return Step(
        subject=dn_text(certificate.subject),
        issuer=dn_text(certificate.issuer),
        serial=serial_of(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        source=source,
        faults=tuple(faults),
        revocation=revocation,
    )


def sentence(certificate: x509.Certificate, index: int, fault: Fault) -> str:
    """`index` in the path: 0 is the client's certificate."""
    whose = "the client's certificate" if index == 0 else "the CA"
    remedy = f"; {fault.remedy}" if fault.remedy else ""
    return f"{whose} {shown(certificate.subject)} {fault.text}{remedy}"


def explain(
    presented: Presented, policy: Policy, now: datetime, error: Exception | None
) -> tuple[Outcome, str, tuple[Step, ...]]:
    """`error`: what the verifier said, if it was asked."""
    path = best_path(presented.leaf, presented.others, policy)
    certificates = [link.certificate for link in path.links]
    faults = [list(link.faults) for link in path.links]
    _add_pathlen(certificates, faults)
    if path.stop is not Stop.TRUSTED:
        faults[-1].append(_stop_fault(path, presented, policy))
    dates = [date_fault(certificate, now) for certificate in certificates]
    outcome = Outcome.UNTRUSTED
    if not any(faults):
        if any(dates) and _was_valid(presented, certificates, policy):
            outcome = Outcome.EXPIRED
        else:
            index, fault = _other(certificates, error)
            faults[index].append(fault)
    merged = [
        [*found, *([date] if date is not None else [])]
        for found, date in zip(faults, dates, strict=True)
    ]
    reason = _first(certificates, merged if outcome is Outcome.EXPIRED else faults)
    steps = [
        step_of(link.certificate, link.source, found)
        for link, found in zip(path.links, merged, strict=True)
    ]
    return outcome, reason, tuple(steps)


def _first(certificates: Sequence[x509.Certificate], faults: Sequence[Sequence[Fault]]) -> str:
    index = next(number for number, found in enumerate(faults) if found)
    return sentence(certificates[index], index, faults[index][0])


def date_fault(certificate: x509.Certificate, now: datetime) -> Fault | None:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    # Whole seconds: a certificate is valid through the last one (RFC 5280 §4.1.2.5).
    now = now.replace(microsecond=0)
    if now > end:
        return Fault(Kind.DATES, f"has expired on {end:%Y-%m-%d %H:%M:%S} UTC", "renew it")
    if now < start:
        text = f"is valid only from {start:%Y-%m-%d %H:%M:%S} UTC"
        return Fault(Kind.DATES, text, "check the clock, or wait")
    return None


def _was_valid(
    presented: Presented, certificates: Sequence[x509.Certificate], policy: Policy
) -> bool:
    """Whether nothing but dates is wrong: it would pass at a time when all of them hold.

    If there is no such time, as when a leaf outlives its issuer's successor, the dates are what
    is known to be wrong.
    """
    start = max(each.not_valid_before_utc for each in certificates)
    end = min(each.not_valid_after_utc for each in certificates)
    if start > end:
        return True
    between = policy.issuers(presented.leaf, presented.others)
    if between is None:
        return False
    try:
        policy.verifier(start).verify(presented.leaf, between)
    except Exception:  # whatever it says
        return False
    return True


def _add_pathlen(certificates: Sequence[x509.Certificate], faults: Sequence[list[Fault]]) -> None:
    for index, certificate in enumerate(certificates[1:], 1):
        try:
            basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        except x509.ExtensionNotFound:
            continue
        allowed = basic.path_length
        if basic.ca and allowed is not None and index - 1 > allowed:
            text = f"allows {allowed} CAs below it and has {index - 1} here (pathlen)"
            faults[index].append(Fault(Kind.CA, text, "use a CA that may issue to CAs"))


def _stop_fault(path: Path, presented: Presented, policy: Policy) -> Fault:
    last = path.links[-1].certificate
    issuer = shown(last.issuer)
    if path.stop is Stop.NO_ISSUER and last.subject == last.issuer:
        text = "is self-signed and not among the CAs of this site (client_ca)"
        return Fault(Kind.ISSUER, text, "if it is to be trusted, add it there")
    left_out = [each for each in presented.left_out if each.certificate.subject == last.issuer]
    if path.stop is Stop.NO_ISSUER and left_out:
        text = f"is issued by {issuer}, which was presented, but {left_out[0].problem}"
        return Fault(Kind.ISSUER, text, "use a certificate of a CA of this site (client_ca)")
    if path.stop is Stop.NO_ISSUER:
        text = (
            f"is issued by {issuer}, which is not among the CAs of this site (client_ca) "
            "and was not presented"
        )
        remedy = (
            "use a certificate of one of them, let the client send its intermediate certificates, "
            "or add that CA"
        )
        return Fault(Kind.ISSUER, text, remedy)
    if path.stop is Stop.WRONG_KEY:
        text = f"names {issuer} as its issuer, but no CA of that name that is known signed it"
        return Fault(Kind.ISSUER, text, "if that CA has a new key, add its new certificate")
    if path.stop is Stop.CIRCLE:
        text = f"is issued by {issuer}, which leads in a circle and to no CA of this site"
        return Fault(Kind.ISSUER, text, "use a certificate of one of the site's CAs (client_ca)")
    if path.stop is Stop.DEPTH:
        text = f"is at the end of a path that is too long: more than {policy.max_depth} CAs"
        return Fault(Kind.DEPTH, text, "allow more, or trust a CA that is nearer")
    text = "has too many possible paths above it; the search was given up"
    return Fault(Kind.OTHER, text, "present one path only")


def _other(certificates: Sequence[x509.Certificate], error: Exception | None) -> tuple[int, Fault]:
    """What only the verifier knows: names, mostly."""
    detail = f" ({printable(str(error))[:_DETAIL]})" if error is not None else ""
    for certificate in certificates:
        if constraints_of(certificate) is not None:
            text = (
                f"is below {shown(certificate.subject)}, whose name constraints forbid a name "
                f"in it or cannot be checked{detail}"
            )
            return 0, Fault(Kind.NAMES, text, "have it issued with permitted names")
    return 0, Fault(Kind.OTHER, f"is refused by the verifier{detail}")
