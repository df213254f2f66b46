"""What `HttpConnection` says by itself: pages and redirections, and what the journal gets."""

from __future__ import annotations

import logging

from kssl.fastpath.engines.contract import Engine, Session
from kssl.fastpath.logs.messages import limited
from kssl.fastpath.net.closing import End, Ending
from kssl.fastpath.verifier.messages import ClientVerdict
from kssl.proxy.frontend.admission import Admission
from kssl.proxy.frontend.endpoint import Endpoint, client_info
from kssl.proxy.frontend.front import Front
from kssl.proxy.frontend.responses import own_page, redirect_page
from kssl.proxy.frontend.router import Route
from kssl.proxy.http.messages import HttpError, RequestHead
from kssl.proxy.http.pages import body_size
from kssl.proxy.journal.accesslog import describe_session
from kssl.proxy.journal.closes import UNCLEAN
from kssl.proxy.journal.record import PROBE, ConnectionEvent, ConnectionInfo, RequestRecord

log = logging.getLogger("kssl")

_PLAIN = "plain"  # the mode of connections without TLS


class Answering:
    """Base of `HttpConnection`, which says when. ``engine`` is there once it has started."""

    __slots__ = (
        "_needs_close_notify",
        "_told",
        "admission",
        "client",
        "endpoint",
        "engine",
        "front",
        "info",
        "route",
    )

    def __init__(
        self,
        front: Front,
        endpoint: Endpoint,
        *,
        peer: tuple[str, int],
        local: tuple[str, int],
        session: Session,
        engine_name: str,
        verdict: ClientVerdict | None,
    ) -> None:
        """``session`` is empty without TLS. ``verdict`` None: no certificate was asked for."""
        self.front = front
        self.endpoint = endpoint
        mode = front.mode if endpoint.tls else _PLAIN
        router = endpoint.router
        self.admission = Admission.of(router.of_handshake(session.server_name), session, verdict)
        # Of the last request.
        self.route = Route(self.admission.site, None)
        self.client = client_info(
            endpoint,
            peer,
            session,
            mode=mode,
            engine=engine_name,
            certificate_fields=self.admission.certificate_fields,
        )
        self.info = ConnectionInfo(
            peer,
            local,
            peer[0].encode(),
            describe_session(session, mode, self.admission.certificate_word),
        )
        # Of the client, at its end (EnableSslCloseNotify).
        self._needs_close_notify = endpoint.tls and bool(front.parameters.enable_ssl_close_notify)
        # Whether the journal has something of this connection.
        self._told = False
        self.engine: Engine

    def close(self) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError

    # -- to the client ---------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """For small things: interim responses, chunks, pages. Bodies go to the engine directly."""
        self.engine.write(memoryview(bytearray(data + b"\0")), len(data))

    def refuse(self, error: HttpError, record: RequestRecord) -> None:
        """Answer a request that is not forwarded, and close: what follows cannot be trusted."""
        record.keep_line()
        page = own_page(
            self.route,
            error.status,
            error.substatus,
            server_field=self.front.server_field,
            detail=error.detail,
            head_only=record.line.startswith(b"HEAD "),
        )
        record.sent = body_size(page)
        record.finish(error.status, error.reason)
        log.info("%s: %s", self.client.address, error)
        self.write(page)
        self.close()

    def redirect(self, head: RequestHead, location: bytes) -> None:
        """Answer with another URL, and close: that is for another connection."""
        page = redirect_page(
            self.route,
            location,
            server_field=self.front.server_field,
            head_only=head.method == b"HEAD",
        )
        record = self.open_record(head)
        record.keep_line()
        record.sent = body_size(page)
        record.finish(308)
        self.write(page)
        self.close()

    # -- to the journal and the log --------------------------------------------------------

    def open_record(self, request: RequestHead | bytes) -> RequestRecord:
        """Open the record of a request that does not get as far as an exchange: its head, or as
        much of its line as came."""
        self._told = True
        site = self.route.site
        return RequestRecord(
            self.front.journal, self.info, site.site if site is not None else None, request
        )

    def tell(self, reason: str, line: bytes = b"", *, quiet: bool = False) -> None:
        """Tell the journal of what belongs to no request."""
        self._told = True
        site = self.route.site
        event = ConnectionEvent(
            self.info, reason, site.site if site is not None else None, line, quiet=quiet
        )
        self.front.journal.happened(event)

    def log_unread(self) -> None:
        """Log that the client has stopped to read."""
        limit = self.front.parameters.entity_body_timeout
        log.warning(
            "%s: read nothing of its response for EntityBodyTimeout (%d s)",
            self.client.address,
            limit,
            extra=limited("Timer_Response"),
        )

    def ended(self, ending: Ending) -> None:
        """The engine's last word. A client that was to say close_notify and did not may not resume
        its session, and the log says why; of one that has asked for nothing it says nothing."""
        probe = self.route.site is None and not (self._told or self.front.stopping)
        if probe:
            self.tell(PROBE)
        if not self.endpoint.tls:
            return
        self.front.journal.closes.client_ended(ending)
        if self._needs_close_notify and _unclean(ending):
            self.tell(UNCLEAN, quiet=probe)


def _unclean(ending: Ending) -> bool:
    """Whether the client closed without close_notify, or gave ours no answer."""
    unanswered = ending.received is End.NONE and ending.sent is End.CLOSE_NOTIFY
    return unanswered or ending.received in (End.FIN, End.RESET)
