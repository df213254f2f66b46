"""The verdict on what a client presents."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

from cryptography import x509

from kssl.config import foreign
from kssl.fastpath.verifier.rules.explain import explain, sentence, step_of
from kssl.fastpath.verifier.rules.names import constraint_fault, identity_of, shown
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.presented import MalformedError, Presented, parse
from kssl.fastpath.verifier.rules.profile import leaf_key_fault
from kssl.fastpath.verifier.rules.revocation import State, status
from kssl.fastpath.verifier.rules.verdict import (
    Fault,
    Identity,
    Kind,
    Outcome,
    Source,
    Step,
    Verdict,
)


def judge(presented: Sequence[bytes], policy: Policy, now: datetime) -> Verdict:
    """`presented`: DER, the client's own certificate first, the rest in any order. `now`: aware.

    Never raises for what is in `presented`. An unclear case is a no.
    """
    if now.tzinfo is None:
        raise ValueError("the time of a verdict must have a time zone")
    with warnings.catch_warnings():
        # cryptography warns of odd serial numbers and names; clients must not write to our log.
        warnings.simplefilter("ignore")
        try:
            return _judge(presented, policy, now.astimezone(UTC))
        except BaseException as error:
            if not foreign.is_panic(error):
                raise
            return Verdict(Outcome.UNTRUSTED, "the client's certificate is malformed; use another")


def _judge(presented: Sequence[bytes], policy: Policy, now: datetime) -> Verdict:
    if not presented:
        return Verdict(
            Outcome.NONE_PRESENTED,
            "the client presented no certificate; install one that this site accepts",
        )
    try:
        parsed = parse(presented)
        identity = identity_of(parsed.leaf)
    except MalformedError as error:
        return Verdict(Outcome.UNTRUSTED, f"{error}; use another certificate")
    except Exception:  # names and extensions are read first here
        return Verdict(Outcome.UNTRUSTED, "the client's certificate is malformed; use another")
    chain, refusal = _verified(parsed, policy, now)
    if not chain:
        return _refused(parsed, identity, policy, now, refusal)
    try:
        return _accepted(chain, parsed, identity, policy, now)
    except Exception as strange:
        # What the verifier took, but a later check cannot read. Fail closed.
        text = f"could not be checked to the end ({type(strange).__name__})"
        reason = sentence(parsed.leaf, 0, Fault(Kind.OTHER, text))
        return Verdict(Outcome.UNTRUSTED, reason, identity=identity, notes=parsed.notes)


def _verified(
    parsed: Presented, policy: Policy, now: datetime
) -> tuple[tuple[x509.Certificate, ...], Exception | None]:
    """The chain, the client's certificate first; empty: refused, and why if the verifier said."""
    between = policy.issuers(parsed.leaf, parsed.others)
    # The verifier looks at the keys of issuers only.
    if between is None or leaf_key_fault(parsed.leaf) is not None:
        return (), None
    verifier = policy.verifier(now)
    try:
        verified = verifier.verify(parsed.leaf, between)
    except Exception as error:  # VerificationError, and whatever the parser says of strange bytes
        return (), error
    return tuple(verified.chain), None


def _refused(
    parsed: Presented,
    identity: Identity,
    policy: Policy,
    now: datetime,
    error: Exception | None,
) -> Verdict:
    try:
        outcome, reason, steps = explain(parsed, policy, now, error)
    except Exception as strange:
        text = f"is not accepted, and it cannot be said why ({type(strange).__name__})"
        fault = Fault(Kind.OTHER, text, "use another certificate")
        outcome, reason, steps = Outcome.UNTRUSTED, sentence(parsed.leaf, 0, fault), ()
    return Verdict(outcome, reason, steps, identity=identity, notes=parsed.notes)


def _accepted(
    chain: tuple[x509.Certificate, ...],
    parsed: Presented,
    identity: Identity,
    policy: Policy,
    now: datetime,
) -> Verdict:
    """What is left to be asked of a chain that holds."""
    steps = [step_of(each, _source(each, parsed, policy)) for each in chain]
    outcome, index, fault = Outcome.OK, 0, None
    if (forbidden := constraint_fault(chain)) is not None:
        outcome, (index, fault) = Outcome.UNTRUSTED, forbidden
    elif (revoked := _revocation(chain, steps, policy, now)) is not None:
        outcome, (index, fault) = Outcome.REVOKED, revoked
    elif (denied := policy.rules.fault(parsed.leaf)) is not None:
        outcome, fault = Outcome.DENIED, denied
    if fault is None:
        reason = f"the client's certificate {shown(chain[0].subject)} is trusted"
        if len(chain) > 1:
            reason += f" by {shown(chain[-1].subject)}"
    else:
        reason = sentence(chain[index], index, fault)
        steps[index] = replace(steps[index], faults=(fault,))
    return Verdict(outcome, reason, tuple(steps), chain, identity, parsed.notes)


def _source(certificate: x509.Certificate, parsed: Presented, policy: Policy) -> Source:
    if certificate in policy.anchors:
        return Source.TRUST
    if certificate == parsed.leaf or certificate in parsed.others:
        return Source.PRESENTED
    return Source.INTERMEDIATES


def _revocation(
    chain: Sequence[x509.Certificate], steps: list[Step], policy: Policy, now: datetime
) -> tuple[int, Fault] | None:
    """Asks for each certificate below the anchor and writes it into `steps`. A certificate that is
    revoked goes before one of which nobody can tell."""
    if policy.crls is None:
        return None
    worst: tuple[int, Fault] | None = None
    for index, (certificate, issuer) in enumerate(pairwise(chain)):
        found = status(certificate, issuer, policy.crls, now, policy.freshness)
        steps[index] = replace(steps[index], revocation=found.text)
        fault = Fault(Kind.REVOCATION, found.text, found.remedy)
        if found.state is State.REVOKED:
            return index, fault
        if found.state is State.UNKNOWN and worst is None:
            worst = index, fault
    return worst
