"""Errors of the TLS layers, split by culprit, each carrying its TLS alert.

| class | whose fault | what happens |
|---|---|---|
| `PeerMisbehaved` | the peer broke a rule of the protocol | its alert is sent |
| `PeerIncompatible` | nobody: legal, but not supported here | its alert is sent |
| `PeerAlert` | the peer gave up and said why | no alert goes back |
| `KeyLimitReached` | nobody: the key may seal no more records | its alert is sent |
| `ApiMisused` | our own code | a bug: raised to the caller |

Each but the last ends the connection. The names say who did what, without an Error suffix.
"""

from __future__ import annotations

import enum


class Alert(enum.IntEnum):
    """AlertDescription, one byte on the wire (RFC 9846 §6; no_renegotiation: RFC 5246 §7.2.2)."""

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    DECRYPTION_FAILED = 21
    RECORD_OVERFLOW = 22
    DECOMPRESSION_FAILURE = 30
    HANDSHAKE_FAILURE = 40
    NO_CERTIFICATE = 41
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    EXPORT_RESTRICTION = 60
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    INAPPROPRIATE_FALLBACK = 86
    USER_CANCELED = 90
    NO_RENEGOTIATION = 100
    MISSING_EXTENSION = 109
    UNSUPPORTED_EXTENSION = 110
    CERTIFICATE_UNOBTAINABLE = 111
    UNRECOGNIZED_NAME = 112
    BAD_CERTIFICATE_STATUS_RESPONSE = 113
    BAD_CERTIFICATE_HASH_VALUE = 114
    UNKNOWN_PSK_IDENTITY = 115
    CERTIFICATE_REQUIRED = 116
    GENERAL_ERROR = 117
    NO_APPLICATION_PROTOCOL = 120

    @classmethod
    def _missing_(cls, value: object) -> Alert | None:
        """Any other byte: unknown alerts are error alerts like the rest (RFC 9846 §6)."""
        if not isinstance(value, int) or not 0 <= value <= 255:
            return None
        unknown = int.__new__(cls, value)
        unknown._name_ = f"UNKNOWN_{value}"
        unknown._value_ = value
        return unknown


class TlsError(Exception):
    """A connection ended by an error. `alert` says which one; `str()` is for people."""

    def __init__(self, alert: Alert, message: str) -> None:
        super().__init__(message)
        self.alert = alert


class PeerMisbehaved(TlsError):  # noqa: N818
    """The peer violated the protocol."""


class PeerIncompatible(TlsError):  # noqa: N818
    """The peer asked for something legal that is not supported here."""


class PeerAlert(TlsError):  # noqa: N818
    """The peer sent a fatal alert; `alert` is the peer's. None is sent back."""


class KeyLimitReached(TlsError):  # noqa: N818
    """The key may protect no more records, and there is no way to get another one."""


class ApiMisused(Exception):  # noqa: N818
    """Our own bug: a call that the contract forbids, such as sealing after the close."""
