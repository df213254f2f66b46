"""The TLS handshake with an upstream: we are its client. Begins with :meth:`start`.

The server's NewSessionTickets (TLS 1.3) come behind its Finished, so they are part of the leftover;
the record layer drops them, because nothing is resumed towards upstreams. In TLS 1.3 the server's
verdict on our certificate comes there too, as an alert: for us the handshake is over before it.
"""

from __future__ import annotations

from OpenSSL import SSL

from kssl.fastpath.record.layer import RecordLayer
from kssl.fastpath.tls.errors import Alert, TlsError
from kssl.fastpath.tls.keys import ConnectionKeys
from kssl.fastpath.tls.keyschedule import traffic_keys
from kssl.fastpath.tls.suites import CipherSuite
from kssl.fastpath.worker.contexts import UPSTREAM_ALPN
from kssl.fastpath.worker.handshake import (
    Established,
    Failure,
    Flight,
    TlsHandshake,
    openssl_reason,
)
from kssl.fastpath.worker.verification import Upstream

# ContentTypes with which a server may begin: its ServerHello, or an alert (RFC 9846 §5.1).
_BEGINNINGS = (21, 22)

_ALERT_OF_PEER = "alert "  # in OpenSSL's words: `tlsv1 alert unknown ca`

_UNSUPPORTED = ("unsupported protocol", "tlsv1 alert protocol version", "wrong ssl version")
_NOTHING_IN_COMMON = ("handshake failure", "insufficient security")


class ClientHandshake(TlsHandshake):
    """``connection``'s app data is an `Upstream`; see `Upstreams.connect`."""

    client = True

    def __init__(self, connection: SSL.Connection) -> None:
        super().__init__(connection)
        self._first_byte: int | None = None

    def start(self) -> Flight | Established | Failure:
        """The ClientHello; once, before anything is received."""
        return self._go_on(b"")

    @property
    def _upstream(self) -> Upstream:
        upstream: Upstream = self.connection.get_app_data()
        return upstream

    def _before(self, record: bytes) -> None:
        if self._first_byte is None:
            self._first_byte = record[0]

    def _tls13_write_secret(self) -> bytes:
        return bytes.fromhex(self._upstream.client_handshake.decode())

    def _finish(self, flight: bytes) -> Established | Failure:
        connection, upstream = self.connection, self._upstream
        suite = self._suite()
        flight += self._drain()
        keys = self._tls13_keys(suite) if suite.tls13 else self._tls12_keys(suite)
        alpn = connection.get_alpn_proto_negotiated()
        if not upstream.verified:  # the callback comes with every certificate; but should it not …
            return _refused(keys, flight, Alert.BAD_CERTIFICATE, "its certificate was not verified")
        if alpn and alpn not in UPSTREAM_ALPN:
            return _refused(
                keys, flight, Alert.ILLEGAL_PARAMETER, "it chose a protocol that was not offered"
            )
        return Established(
            keys=keys,
            flight=flight,
            leftover=self._buffer,
            version=connection.get_protocol_version_name(),
            server_name=upstream.identity.name,
            alpn=alpn.decode("ascii", "replace"),
            group=connection.get_group_name() or "",
        )

    def _tls13_keys(self, suite: CipherSuite) -> ConnectionKeys:
        upstream = self._upstream
        if not (upstream.client and upstream.server):
            raise TlsError(Alert.INTERNAL_ERROR, "OpenSSL told no traffic secrets")
        read = traffic_keys(suite, upstream.server)
        write = traffic_keys(suite, upstream.client)
        upstream.forget()
        return ConnectionKeys(suite, read, write, client=True)

    def _explain(self, error: SSL.Error) -> str:
        upstream, reason = self._upstream, openssl_reason(error)
        if upstream.problem:
            return upstream.problem
        if self._first_byte not in (None, *_BEGINNINGS):
            return "it does not speak TLS on this port; is it an http:// upstream?"
        if reason in _UNSUPPORTED:
            return f"it speaks neither TLS 1.2 nor TLS 1.3 ({reason})"
        if _ALERT_OF_PEER not in reason:
            return f"the TLS handshake with it failed: {reason}"
        alert = reason.partition(_ALERT_OF_PEER)[2]
        if upstream.certificate_asked and not upstream.has_certificate:
            return (
                f"it asks for a client certificate (its alert: {alert}); give one as "
                "upstream_certificate and upstream_key"
            )
        if upstream.certificate_asked:
            return f"it refused our client certificate (its alert: {alert})"
        if alert in _NOTHING_IN_COMMON:
            return f"it shares no cipher suite, group or signature with us (its alert: {alert})"
        return f"it refused the TLS handshake (its alert: {alert})"


def _refused(keys: ConnectionKeys, flight: bytes, alert: Alert, reason: str) -> Failure:
    """OpenSSL was satisfied, we are not: its keys are good for the alert alone."""
    layer = RecordLayer(keys)
    layer.send_alert(alert)
    return Failure(flight + bytes(layer.outgoing), reason)
