"""What `HttpConnection` says by itself: pages and redirections to the client, lines to the logs."""

from __future__ import annotations

import logging

from kssl.fastpath.engines.contract import Engine, Session
from kssl.fastpath.logs.messages import limited
from kssl.fastpath.net.closing import End, Ending
from kssl.fastpath.verifier.messages import ClientVerdict
from kssl.proxy.frontend.admission import Admission
from kssl.proxy.frontend.endpoint import Endpoint, client_info
from kssl.proxy.frontend.errorline import write_line
from kssl.proxy.frontend.front import Front
from kssl.proxy.frontend.responses import own_page, redirect_page
from kssl.proxy.http.messages import HttpError, RequestHead
from kssl.proxy.http.pages import body_size
from kssl.proxy.journal.accesslog import describe_session

log = logging.getLogger("kssl")

_PLAIN = "plain"  # the mode of connections without TLS


class Answering:
    """Base of `HttpConnection`, which says when. ``engine`` is there once it has started."""

    __slots__ = (
        "_local",
        "_needs_close_notify",
        "_told",
        "admission",
        "client",
        "endpoint",
        "engine",
        "front",
        "peer",
        "session_text",
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
        self.peer = peer[0].encode()
        self._local = local
        mode = front.mode if endpoint.tls else _PLAIN
        self.admission = Admission(endpoint, session, verdict)
        self.client = client_info(
            endpoint,
            peer,
            session,
            mode=mode,
            engine=engine_name,
            certificate_fields=self.admission.certificate_fields,
        )
        self.session_text = describe_session(session, mode, self.admission.certificate_word)
        # Of the client, at its end (EnableSslCloseNotify).
        self._needs_close_notify = endpoint.tls and bool(front.parameters.enable_ssl_close_notify)
        # Whether the HTTPERR log has a line of this connection.
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

    def refuse(self, error: HttpError, raw: bytes) -> None:
        """Answers a request that is not forwarded, and closes: what follows cannot be trusted."""
        line = raw.partition(b"\r\n")[0] if raw else b""
        page = own_page(
            self,
            error.status,
            error.substatus,
            detail=error.detail,
            head_only=raw.startswith(b"HEAD "),
        )
        self._log_access(line, error.status, body_size(page))
        self.log_error(error.reason, error.status, line)
        log.info("%s: %s", self.client.address, error)
        self.write(page)
        self.close()

    def redirect(self, head: RequestHead, location: bytes) -> None:
        """Answers with another URL, and closes: that is for another connection."""
        page = redirect_page(self, location, head_only=head.method == b"HEAD")
        line = b"%b %b HTTP/%b" % (head.method, head.target, head.version)
        self._log_access(line, 308, body_size(page))
        self.write(page)
        self.close()

    def bug(self, what: str) -> None:
        """Call it from an except block: a mistake of ours must not leave the client hanging."""
        log.exception(
            "%s: internal error %s; the connection is aborted",
            self.client.address,
            what,
            extra=limited("Internal"),
        )
        self.log_error("Internal")
        self.abort()

    # -- to the logs -----------------------------------------------------------------------

    def _log_access(self, line: bytes, status: int, size: int) -> None:
        self.front.access_log.write(self.peer, line, status, size, b"", b"", self.session_text)

    def log_error(self, reason: str, status: int = 0, request_line: bytes = b"") -> None:
        """A line of the HTTPERR log."""
        self._told = True
        write_line(
            self.front.error_log,
            client=(self.client.address, self.client.port),
            server=self._local,
            reason=reason,
            status=status,
            request_line=request_line,
            site=self.admission.site,
        )

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
        probe = self.admission.site is None and not (self._told or self.front.stopping)
        if probe:
            self.front.count_probe()
        if not self.endpoint.tls:
            return
        self.front.closes.client_ended(ending)
        if self._needs_close_notify and _unclean(ending):
            self.front.closes.count_unclean()
            if not probe:
                self.log_error("Unclean_Close")


def _unclean(ending: Ending) -> bool:
    """Whether the client closed without close_notify, or gave ours no answer."""
    unanswered = ending.received is End.NONE and ending.sent is End.CLOSE_NOTIFY
    return unanswered or ending.received in (End.FIN, End.RESET)
