"""Which site a request is for, and whether it may go there."""

from __future__ import annotations

from kssl.config.client_certificates import REJECT
from kssl.fastpath.engines.contract import Session
from kssl.fastpath.verifier.messages import NONE_PRESENTED, ClientVerdict
from kssl.proxy.frontend.certificate import Refused, bars, fails, refusal, refused
from kssl.proxy.frontend.endpoint import Endpoint, host_name
from kssl.proxy.frontend.site import SiteFront
from kssl.proxy.http.client_cert import certificate_fields
from kssl.proxy.http.messages import HttpError, RequestHead
from kssl.proxy.http.policy import ResponsePolicy
from kssl.proxy.http.site_rules import key_bits


class Admission:
    """Of one client connection. What is public changes with each request that is for another host
    than the one before:

    site: of the request, or of the last one; None before the first and where there is none. Where
        it ends at once, the one of the handshake.
    host: the Host that it was chosen by, None when it has to be chosen anew.
    checked: whether `admit` has something to look at.
    policy: what the site changes in responses.
    alert: how the connection ends at once, for its certificate's sake; None: it goes on.
    judged: whether there is a verdict on a certificate, which a reload may have made an old one.
    certificate_fields: what the app is told of that certificate.
    certificate_word: what the access log says of it; "": none was asked for.
    """

    __slots__ = (
        "_endpoint",
        "_handshake_policy",
        "_key_bits",
        "_server_name",
        "_verdict",
        "alert",
        "certificate_fields",
        "certificate_word",
        "checked",
        "host",
        "judged",
        "policy",
        "site",
    )

    def __init__(self, endpoint: Endpoint, session: Session, verdict: ClientVerdict | None) -> None:
        """``verdict`` None: no certificate was asked for."""
        self._endpoint = endpoint
        self._server_name = session.server_name.lower().removesuffix(".")
        self._key_bits = key_bits(session.cipher) if endpoint.tls else 0
        self._handshake_policy = "" if session.policy == REJECT else session.policy
        self._verdict = verdict if verdict is not None else NONE_PRESENTED
        self.judged = bool(verdict is not None and session.certificates)
        self.alert: Refused | None = None
        self.certificate_fields: tuple[tuple[str, str], ...] = ()
        self.certificate_word = verdict.word if verdict is not None else ""
        front = endpoint.routes.of_handshake(self._server_name)
        site = front.site
        # A reload during the handshake may have come between the two.
        if site.client_certificates is not None and site.policy == self._handshake_policy:
            leaf = next(iter(session.certificates), None)
            wanted = site.client_certificates
            if fails(wanted, self._verdict):
                self.certificate_word = f"403.{self._verdict.outcome}"
            self.alert = refused(wanted, self._verdict, session.version)
            self.certificate_fields = certificate_fields(wanted.headers, self._verdict, leaf)
        self.forget()
        # No request will choose one where it ends at once, and the log should name it.
        self.site: SiteFront | None = front if self.alert is not None else None
        self.policy: ResponsePolicy | None = None

    def forget(self) -> None:
        """There is a new configuration. A request in progress keeps its site."""
        self.host: bytes | None = None
        self.checked = True

    @property
    def default_host(self) -> bytes:
        """For the requests of HTTP/1.0 that name none."""
        return self._endpoint.routes.of_handshake(self._server_name).default_host

    def choose(self, host: bytes) -> None:
        """Sets `site` by a request's Host; b"": there is none. Raises HttpError 404, 421."""
        if host == self.host:
            self.host = host  # the same object next time, if a memo gives it
            return
        self.host = None
        endpoint = self._endpoint
        site = endpoint.routes.find(host_name(host) if host else self._server_name)
        self.site = site
        if site is None:
            self.policy = None
            raise HttpError(404, "Hostname", "No site of this proxy has that host name.")
        self.policy = site.tls_policy if endpoint.tls else site.plain_policy
        if endpoint.tls and site.certificate_policy != self._handshake_policy:
            raise HttpError(
                421, "Misdirected", "This site asks for another handshake than there was."
            )
        asks = site.site.client_certificates is not None
        self.checked = site.rules.active or site.limited or asks or not endpoint.tls
        self.host = host

    def admit(self, head: RequestHead) -> bytes | None:
        """What the `site` asks of the request. Returns where it is redirected to, if it is.

        Raises HttpError. Otherwise `leave` must be called when the request is over.
        """
        site = self.site
        assert site is not None
        if site.rules.active or not self._endpoint.tls:
            location = site.rules.check(head, self._key_bits)
            if location is not None:
                return location
        wanted = site.site.client_certificates
        if wanted is not None and bars(wanted, self._verdict):
            raise refusal(self._verdict)  # no name: by its traceback it would hold itself
        if site.limited and not site.enter():
            most = site.site.limits.max_connections
            raise HttpError(
                503,
                "ConnLimit",
                f"This site has {most} requests in progress, as many as maxConnections allows.",
                substatus=2,
            )
        return None

    def leave(self) -> None:
        """The request, or the tunnel that it has become, is over."""
        if self.site is not None and self.site.limited:
            self.site.leave()
