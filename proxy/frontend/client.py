"""One accepted connection: first bytes → handshake → engine and HTTP; without TLS at once HTTP."""

from __future__ import annotations

import logging
import socket

from kssl.config.client_certificates import REJECT
from kssl.config.profiles import no_client_certificates
from kssl.fastpath.engines.contract import Engine, Handover, Session
from kssl.fastpath.engines.handshake import Handshake
from kssl.fastpath.engines.plain import PlainEngine
from kssl.fastpath.ipc.frames import FrameType, pack_begin
from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.logs.messages import limited
from kssl.fastpath.net.channel import RESETS, Channel, describe
from kssl.fastpath.net.closing import GracefulClose
from kssl.fastpath.net.poller import Poller
from kssl.fastpath.record.wire import alert_record
from kssl.fastpath.tls.errors import Alert
from kssl.fastpath.verifier.messages import NONE_PRESENTED, ClientVerdict
from kssl.proxy.frontend.certificate import CertificateWait, Refused, Shaken
from kssl.proxy.frontend.deadlines import NEVER
from kssl.proxy.frontend.endpoint import Endpoint
from kssl.proxy.frontend.front import Front
from kssl.proxy.frontend.hello import HelloWait
from kssl.proxy.frontend.http_connection import HttpConnection
from kssl.proxy.frontend.preface import Preface, Refusal, answer_plain_http, look
from kssl.proxy.http.policy import own_fields
from kssl.proxy.journal.accesslog import escape
from kssl.proxy.journal.httperr import handshake_reason
from kssl.proxy.journal.record import PROBE, ConnectionEvent, ConnectionInfo

log = logging.getLogger("kssl")

_BUFFER = memoryview(bytearray(65536))

_MAX_LOGGED = 200  # characters of a reason

_NO_TLS = Session(version="", cipher="", server_name="", alpn="", group="")


class ClientConnection:
    """Lives from accept to the end; `Front.connections` holds it."""

    __slots__ = (
        "_channel",
        "_endpoint",
        "_first",
        "_front",
        "_handshake",
        "_http",
        "_judging",
        "_peer",
        "_session_ids",
        "deadline",
    )

    def __init__(
        self, front: Front, endpoint: Endpoint, sock: socket.socket, peer: tuple[str, int]
    ) -> None:
        self._front = front
        self._endpoint = endpoint
        self._peer = peer
        self._first = b""
        self._session_ids: tuple[bytes, ...] = ()  # read with several workers only
        self._handshake: Handshake | None = None
        self._judging: CertificateWait | None = None
        self._http: HttpConnection | None = None
        self._channel = Channel(front.loop, sock, self._first_bytes, lambda: None, self._broken)
        front.connections.add(self)
        self.deadline = NEVER
        if endpoint.tls:
            front.deadlines.add(self)
            self.deadline = front.header_deadline
            self._channel.start_reading()
        else:
            http = self._connect_http(_NO_TLS, PlainEngine, None)
            http.start(PlainEngine(self._handover(), http), b"")

    @property
    def idle(self) -> bool:
        """Nothing would be lost if it ended now."""
        return self._http is None or self._http.idle

    @property
    def tunnelled(self) -> bool:
        return self._http is not None and self._http.tunnelled

    @property
    def channel(self) -> Channel:
        return self._channel

    def renew(self) -> None:
        """There is a new configuration."""
        if self._http is not None:
            self._http.renew()
        elif self._judging is not None and self._front.verifier is None:
            self._judge(self._judging.take_back())

    def reload_over(self) -> None:
        """Whether or not there is a new configuration, `Front.hold` waits no longer."""
        if self._channel.closed:
            return
        if self._judging is not None:
            self._judge(self._judging.take_back())
        elif self._http is None:
            self.begin_handshake()

    @property
    def held(self) -> int:
        """See `kssl.proxy.frontend.capacity.Holder`."""
        given_back = self._channel.held - self._channel.backlog
        return given_back + (self._http.held if self._http is not None else self._channel.backlog)

    @property
    def waits_since(self) -> int:
        """Likewise."""
        channel = self._channel
        return channel.waits_since if channel.backlog else Poller.of(self._front.loop).turn

    def cut(self) -> None:
        """Likewise."""
        if self._http is not None:
            self._http.cut()
        else:
            self._tell("Memory_Full")
            self._drop()

    def end(self) -> None:
        """The service stops."""
        if self._http is not None:
            self._http.end()
        else:
            self._drop()

    # -- before TLS ------------------------------------------------------------------------

    def _first_bytes(self) -> None:
        try:
            received = self._channel.recv_into(_BUFFER)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._broken(error)
            return
        self._first += _BUFFER[:received]
        if not received:
            if self._first:
                self.hello_ended()
            else:
                self._tell(PROBE)
                self._drop()
        else:
            self._go_on(look(self._first))

    def _go_on(self, found: Preface | Refusal) -> None:
        if found is Preface.TLS:
            if self._front.sessions is None:
                self._channel.stop_reading()
                self._start_handshake()
            else:
                HelloWait(self._channel, self, self._first)
        elif found is Preface.PLAIN_HTTP:
            self._plain_http()
        elif isinstance(found, Refusal):
            self._log_early(found.kind, found.what)
            self._tell(found.reason, 0, found.first_line)
            if found.alert is not None:
                self._end_with(found.alert)
            else:
                self._drop()

    def _plain_http(self) -> None:
        fields = own_fields(None, self._front.server_field)
        page, first_line = answer_plain_http(self._first, self._endpoint.port, fields)
        self._channel.send(page)
        self._log_early("plain HTTP", "plain HTTP on the TLS port, answered 400")
        self._tell("BadRequest", 400, first_line)
        self._close_in_order()

    def _end_with(self, alert: Alert) -> None:
        """Nothing has been sent yet, so the alert is in plaintext."""
        self._channel.send(alert_record(alert))
        self._close_in_order()

    def _close_in_order(self) -> None:
        """What was sent arrives first."""
        self._forget()
        GracefulClose(self._front.loop, self._channel)

    def _broken(self, error: OSError) -> None:
        log.info("%s: %s", self._peer[0], describe(error))
        self._tell(PROBE)
        self._drop()

    def _log_early(self, of_kind: str, what: str) -> None:
        # Part of it may be the client's words.
        text = escape(what[:_MAX_LOGGED].encode("ascii", "replace")).decode()
        log.warning("%s: %s", self._peer[0], text, extra=limited(of_kind))

    def _tell(self, reason: str, status: int = 0, line: bytes = b"") -> None:
        """Tell the journal of what ends the connection before HTTP begins."""
        info = ConnectionInfo(self._peer, self._endpoint.address_of(self._channel.sock))
        event = ConnectionEvent(info, reason, line=line, status=status)
        self._front.journal.happened(event)

    # -- the handshake ---------------------------------------------------------------------

    def hello_read(self, first_bytes: bytes, session_ids: tuple[bytes, ...]) -> None:
        self._first, self._session_ids = first_bytes, session_ids
        self._start_handshake()

    def hello_ended(self) -> None:
        self._log_early("Connection_Dropped", "closed before TLS began")
        self._tell("Connection_Dropped")
        self._drop()

    def hello_broken(self, error: OSError) -> None:
        self._broken(error)

    def _start_handshake(self) -> None:
        if not self._front.hold(self):
            self.begin_handshake()

    def begin_handshake(self) -> None:
        index = self._endpoint.index
        if index is None:
            self._log_early("reload", "closed: nothing listens on this address any more")
            self._end_with(Alert.INTERNAL_ERROR)
            return
        first, self._first = self._first, b""
        self._handshake = Handshake(
            self._front.loop,
            self._channel,
            self._front.supervisor_for(self._session_ids),
            self,
            begin=(FrameType.BEGIN, pack_begin(self._front.engine.kernel_mode, index)),
            first_bytes=first,
            sessions=self._front.sessions,
        )

    def handshake_done(
        self, session: Session, link: WorkerLink, identifier: int, keys: bytes, leftover: bytes
    ) -> None:
        self._handshake = None
        shaken = Shaken(session, link, identifier, keys, leftover)
        if not session.policy:
            self._start(shaken, None)
        elif not session.certificates:
            self._start(shaken, NONE_PRESENTED)
        elif session.policy == REJECT:
            self._reject(shaken)
        else:
            self._judge(shaken)

    def _judge(self, shaken: Shaken) -> None:
        self._judging = None
        verifier = self._front.verifier
        if verifier is not None:
            self._judging = CertificateWait(verifier, shaken, self._judged)
        else:  # a reload came between, and no site asks any more
            self._unjudged(shaken)

    def _judged(self, shaken: Shaken, verdict: ClientVerdict | None) -> None:
        if self._front.hold(self):
            return  # the verifier may have changed already, and the sites here not; asked again
        self._judging = None
        if verdict is None:
            self._unjudged(shaken)
        elif shaken.link.lost and not shaken.keys:
            self._log_early("Internal", "closed: the crypto worker died, and with it the keys")
            self._tell("Internal")
            self._drop()
        else:
            if not verdict.ok:
                self._log_verdict(verdict)
            self._start(shaken, verdict)

    def _log_verdict(self, verdict: ClientVerdict) -> None:
        text = " ".join((verdict.reason, *verdict.notes))
        log.warning(
            "%s: client certificate %s: %s",
            self._peer[0],
            verdict.word,
            text,
            extra=limited("client certificate"),
        )

    def _start(self, shaken: Shaken, verdict: ClientVerdict | None) -> None:
        """``verdict`` None: no certificate was asked for."""
        http = self._connect_http(shaken.session, self._front.engine, verdict)
        # OpenSSL keeps a certificate with its session: those of strangers would fill the memory.
        known = not shaken.session.certificates or (verdict is not None and verdict.ok)
        engine = self._front.engine(self._handover(shaken, resumable=known), http)
        last = http.admission.alert
        if last is None:
            http.start(engine, shaken.leftover)
        else:
            http.refuse_client(engine, last)

    def _reject(self, shaken: Shaken) -> None:
        """RejectClientCertificates=1."""
        front = self._front
        why = no_client_certificates(
            front.profile, kernel_mode=front.engine.kernel_mode, reject=True
        )
        log.warning(
            "%s: a client certificate was presented: %s",
            self._peer[0],
            why,
            extra=limited("Cert_Rejected"),
        )
        self._refuse(shaken, Refused(Alert.ACCESS_DENIED, "Cert_Rejected"))

    def _unjudged(self, shaken: Shaken) -> None:
        """Fails closed."""
        self._log_early("Cert_Unchecked", "closed: the client's certificate could not be checked")
        self._refuse(shaken, Refused(Alert.INTERNAL_ERROR, "Cert_Unchecked"))

    def _refuse(self, shaken: Shaken, refused: Refused) -> None:
        """Without a verdict."""
        http = self._connect_http(shaken.session, self._front.engine, None)
        http.refuse_client(self._front.engine(self._handover(shaken), http), refused)

    def _connect_http(
        self, session: Session, engine: type[Engine], verdict: ClientVerdict | None
    ) -> HttpConnection:
        front, endpoint = self._front, self._endpoint
        self.deadline = NEVER
        front.deadlines.discard(self)
        self._http = HttpConnection(
            front,
            endpoint,
            peer=self._peer,
            local=endpoint.address_of(self._channel.sock),
            session=session,
            engine_name=engine.name,
            verdict=verdict,
            done=self._forget,
        )
        return self._http

    def _handover(self, shaken: Shaken | None = None, *, resumable: bool = True) -> Handover:
        """``shaken`` None: there is no TLS."""
        parameters = self._front.parameters
        return Handover(
            loop=self._front.loop,
            channel=self._channel,
            link=shaken.link if shaken is not None else None,
            identifier=shaken.identifier if shaken is not None else 0,
            keys=shaken.keys if shaken is not None else b"",
            close_notify=bool(parameters.enable_ssl_close_notify),
            max_send=parameters.max_bytes_per_send,
            bulk=self._front.bulk,
            resumable=resumable,
        )

    def handshake_failed(self, reason: str) -> None:
        self._handshake = None
        if reason in RESETS:
            # A load balancer that looks at the handshake alone: its reset may overtake the end.
            log.info("%s: handshake: %s", self._peer[0], reason)
            self._tell(PROBE)
            self._forget()
            return
        self._log_early("Handshake", f"handshake failed: {reason}")
        self._tell(handshake_reason(reason))
        self._forget()

    # -- the end ---------------------------------------------------------------------------

    def expired(self) -> None:
        what = "the handshake" if self._handshake or self._judging else "a ClientHello"
        self._log_early("Timer_HeaderWait", f"closed: {what} took longer than HeaderWaitTimeout")
        self._tell("Timer_HeaderWait")
        self._drop()

    def _drop(self) -> None:
        if self._handshake is not None:
            self._handshake.cancel()
            self._handshake = None
        if self._judging is not None:
            self._judging.cancel()
            self._judging = None
        self._channel.close()
        self._forget()

    def _forget(self) -> None:
        self._front.forget(self)
