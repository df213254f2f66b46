"""What a client has shown in its handshake, and what follows for its connection."""

from __future__ import annotations

from dataclasses import dataclass

from kssl.config.client_certificates import REJECT
from kssl.fastpath.engines.contract import Session
from kssl.fastpath.verifier.messages import NONE_PRESENTED, ClientVerdict
from kssl.proxy.frontend.certificate import Refused, fails, refused
from kssl.proxy.frontend.site import SiteFront
from kssl.proxy.http.client_cert import certificate_fields
from kssl.proxy.http.site_rules import key_bits


@dataclass(frozen=True, slots=True)
class Admission:
    """Of one client connection, for all its requests.

    server_name: SNI as `kssl.config.routing.NameTable` wants it, or "". key_bits: of the cipher, 0
        without TLS. policy: of the site that the handshake was for (`Site.policy`).
    verdict: on the client's certificate. judged: whether there was one to judge, which a reload may
        have made an old verdict.
    alert: how the connection ends at once, for its certificate's sake; None: it goes on. site: the
        one of the handshake, where it ends so, for no request will choose one and the log should
        name it.
    certificate_fields: what the app is told of the certificate.
    certificate_word: what the access log says of it; "": none was asked for.
    """

    server_name: str
    key_bits: int
    policy: str
    verdict: ClientVerdict
    judged: bool = False
    alert: Refused | None = None
    site: SiteFront | None = None
    certificate_fields: tuple[tuple[str, str], ...] = ()
    certificate_word: str = ""

    @classmethod
    def of(cls, front: SiteFront, session: Session, verdict: ClientVerdict | None) -> Admission:
        """``front``: the site that the handshake was for. ``session`` is empty without TLS.
        ``verdict`` None: no certificate was asked for."""
        policy = "" if session.policy == REJECT else session.policy
        judgement = verdict if verdict is not None else NONE_PRESENTED
        word = verdict.word if verdict is not None else ""
        alert: Refused | None = None
        fields: tuple[tuple[str, str], ...] = ()
        wanted = front.site.client_certificates
        # A reload during the handshake may have come between the two.
        if wanted is not None and front.site.policy == policy:
            leaf = next(iter(session.certificates), None)
            if fails(wanted, judgement):
                word = f"403.{judgement.outcome}"
            alert = refused(wanted, judgement, session.version)
            fields = certificate_fields(wanted.headers, judgement, leaf)
        return cls(
            server_name=session.server_name.lower().removesuffix("."),
            key_bits=key_bits(session.cipher),
            policy=policy,
            verdict=judgement,
            judged=bool(verdict is not None and session.certificates),
            alert=alert,
            site=front if alert is not None else None,
            certificate_fields=fields,
            certificate_word=word,
        )
