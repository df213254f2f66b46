"""`kssl cert test --site`: what follows from the verdict at this site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kssl.config.client_certificates import ClientCertificates, Headers
from kssl.config.model import Site
from kssl.fastpath.verifier.messages import ClientVerdict
from kssl.fastpath.verifier.rules.verdict import Verdict
from kssl.fastpath.verifier.verdicts import told
from kssl.proxy.frontend.certificate import TLS13, bars, refused


@dataclass(frozen=True, slots=True)
class Follows:
    """mode: "negotiate" or "require". verdict: `ClientVerdict.word`. served: the app gets the
    request. alert: its name as TLS has it, if that is the end. text: a sentence."""

    site: str
    mode: str
    failure: str
    verdict: str
    served: bool
    alert: str | None
    text: str

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.site,
            "mode": self.mode,
            "failure": self.failure,
            "verdict": self.verdict,
            "served": self.served,
            "alert": self.alert,
        }


def follows(site: Site, wanted: ClientCertificates, verdict: Verdict) -> Follows:
    """``verdict`` is on a certificate: that a client has none is another story."""
    judged = told(verdict)
    mode = "require" if wanted.required else "negotiate"
    ended = refused(wanted, judged, TLS13)
    alert = ended.alert.name.lower() if ended is not None else None
    served = ended is None and not bars(wanted, judged)
    if alert is not None:
        what = f"the connection ends with the alert {alert}"
    elif not served:
        what = f"the client gets {judged.word}"
    else:
        what = f"the app gets the request, {_told_to_app(wanted, judged)}"
    text = f"{mode}, failure {wanted.failure}: {what}"
    return Follows(site.name, mode, str(wanted.failure), judged.word, served, alert, text)


def _told_to_app(wanted: ClientCertificates, verdict: ClientVerdict) -> str:
    if wanted.headers is Headers.OFF:
        return "and is told nothing of the certificate (client_cert_headers is off)"
    return f"with X-Client-Cert-Verdict: {verdict.word}"
