"""A client's certificate, from the end of the handshake to what follows from the verdict.

handshake done ── CertificateWait ── verifier ──> ClientVerdict ── refusal: a page for each request
                                                               ── refused: an alert ends it all
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from kssl.config.client_certificates import ClientCertificates, Failure
from kssl.fastpath.engines.contract import Session
from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.ipc.supervisor import Supervisor
from kssl.fastpath.tls.errors import Alert
from kssl.fastpath.verifier.messages import ClientVerdict
from kssl.fastpath.verifier.question import Question
from kssl.fastpath.verifier.rules.verdict import Outcome
from kssl.proxy.http.client_cert import REASONS
from kssl.proxy.http.messages import HttpError

TLS13 = "TLSv1.3"

# What TLS calls it (RFC 9846 §6.2).
_ALERTS = {
    Outcome.DENIED: Alert.ACCESS_DENIED,
    Outcome.REVOKED: Alert.CERTIFICATE_REVOKED,
    Outcome.UNTRUSTED: Alert.UNKNOWN_CA,
    Outcome.EXPIRED: Alert.CERTIFICATE_EXPIRED,
}


@dataclass(frozen=True, slots=True)
class Shaken:
    """What a handshake came to: see `HandshakeOwner.handshake_done`."""

    session: Session
    link: WorkerLink
    identifier: int
    keys: bytes = field(repr=False)
    leftover: bytes = field(repr=False)


class Refused(NamedTuple):
    """A connection ends before its first request. ``reason``: for the HTTPERR log."""

    alert: Alert
    reason: str


class CertificateWait:
    """Between the handshake and the verdict. Nothing is read meanwhile; the time limit of the
    handshake goes on."""

    __slots__ = ("_done", "_question", "_shaken")

    def __init__(
        self,
        verifier: Supervisor,
        shaken: Shaken,
        done: Callable[[Shaken, ClientVerdict | None], None],
    ) -> None:
        """``done`` is called once, possibly at once; with None if there is no verdict."""
        self._shaken = shaken
        self._done = done
        session = shaken.session
        self._question = Question(verifier, session.policy, session.certificates, self._answered)

    def cancel(self) -> None:
        """Ends the connection for the worker, too; the channel is the caller's."""
        self._question.cancel()
        self._shaken.link.end(self._shaken.identifier, resumable=False)

    def take_back(self) -> Shaken:
        """Nobody waits for this verdict any more, and what is to be judged goes on."""
        self._question.cancel()
        return self._shaken

    def _answered(self, verdict: ClientVerdict | None) -> None:
        self._done(self._shaken, verdict)


def fails(wanted: ClientCertificates, verdict: ClientVerdict) -> bool:
    """Whether a client with ``verdict`` is none for a site that wants this."""
    if verdict.outcome is Outcome.NONE_PRESENTED:
        return wanted.required
    return not verdict.ok


def bars(wanted: ClientCertificates, verdict: ClientVerdict) -> bool:
    """Whether no request of a client with ``verdict`` may pass: the answer is `refusal`."""
    return wanted.failure is not Failure.PASS and fails(wanted, verdict)


def refusal(verdict: ClientVerdict) -> HttpError:
    """The answer to each request that is barred."""
    reason = REASONS[verdict.outcome]
    return HttpError(403, reason, verdict.reason, int(verdict.outcome))


def refused(wanted: ClientCertificates, verdict: ClientVerdict, version: str) -> Refused | None:
    """How the connection ends, if it may not go on. ``version``: see `Session`."""
    if wanted.failure is not Failure.ALERT or not fails(wanted, verdict):
        return None
    if verdict.outcome is Outcome.NONE_PRESENTED:
        # TLS 1.2 has no word of its own for it (RFC 5246 §7.4.6).
        named = Alert.CERTIFICATE_REQUIRED if version == TLS13 else Alert.HANDSHAKE_FAILURE
    else:
        named = _ALERTS[verdict.outcome]
    return Refused(named, REASONS[verdict.outcome])
