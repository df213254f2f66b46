"""What front end and verifier say to each other, in the frames of `kssl.fastpath.ipc.frames`."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kssl.fastpath.ipc.frames import pack_certificates, unpack_certificates
from kssl.fastpath.tls.openssl_conf import OPENSSL_CONF
from kssl.fastpath.verifier.rules.verdict import Outcome

POLICY_SIZE = 32  # characters of `ClientCertificates.policy`


@dataclass(frozen=True, slots=True)
class VerifierSettings:
    """``told``: see `kssl.config.routing.verifier_settings`."""

    told: Mapping[str, Any]

    @property
    def fixed(self) -> tuple[object, ...]:
        """What cannot change while the process runs."""
        return (self.told["state_dir"],)

    @property
    def openssl_conf(self) -> Path:
        return OPENSSL_CONF

    def to_json(self) -> bytes:
        return json.dumps(self.told).encode()


@dataclass(frozen=True, slots=True)
class ClientVerdict:
    """What the front end needs of a `kssl.fastpath.verifier.rules.verdict.Verdict`.

    reason: one printable sentence, fit for the client. notes: printable, for our log alone: what
        could not be fetched, what was left out.
    subject to sans: see `Identity`; empty if there is none.
    chain: DER of the CAs between the client's certificate and the trusted one, in the order of the
        path; empty unless the outcome is OK.
    """

    outcome: Outcome
    reason: str
    notes: tuple[str, ...] = ()
    subject: str = ""
    issuer: str = ""
    serial: str = ""
    sha256: str = ""
    sans: tuple[str, ...] = ()
    chain: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    @property
    def word(self) -> str:
        """ "ok", "none" or the status and substatus of IIS."""
        if self.ok:
            return "ok"
        return "none" if self.outcome is Outcome.NONE_PRESENTED else f"403.{self.outcome}"


NONE_PRESENTED = ClientVerdict(Outcome.NONE_PRESENTED, "The client presented no certificate.")


def pack_judge(policy: str, presented: Sequence[bytes]) -> bytes:
    """`policy`, then the certificates' DER, the client's own first."""
    return policy.encode().ljust(POLICY_SIZE) + pack_certificates(presented)


def unpack_judge(payload: bytes | memoryview) -> tuple[str, tuple[bytes, ...]]:
    policy = str(payload[:POLICY_SIZE], "ascii").rstrip()
    return policy, unpack_certificates(payload[POLICY_SIZE:])


def pack_verdict(verdict: ClientVerdict) -> bytes:
    """JSON, the chain in Base64."""
    told = {
        "outcome": int(verdict.outcome),
        "reason": verdict.reason,
        "notes": verdict.notes,
        "subject": verdict.subject,
        "issuer": verdict.issuer,
        "serial": verdict.serial,
        "sha256": verdict.sha256,
        "sans": verdict.sans,
        "chain": [base64.b64encode(each).decode() for each in verdict.chain],
    }
    return json.dumps(told).encode()


def unpack_verdict(payload: bytes | memoryview) -> ClientVerdict:
    told = json.loads(bytes(payload))
    return ClientVerdict(
        outcome=Outcome(told["outcome"]),
        reason=told["reason"],
        notes=tuple(told["notes"]),
        subject=told["subject"],
        issuer=told["issuer"],
        serial=told["serial"],
        sha256=told["sha256"],
        sans=tuple(told["sans"]),
        chain=tuple(base64.b64decode(each) for each in told["chain"]),
    )
