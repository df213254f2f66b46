"""The access log: combined format, then TLS version, cipher and mode.

    127.0.0.1 - - [21/Nov/2026:07:26:05 +0000] "GET / HTTP/1.1" 200 512 "-" "curl/7.88.1"
        TLSv1.3 TLS_AES_256_GCM_SHA384 kernel cert=ok

(on one line). The last word is there if the client was asked for a certificate: "ok", "none" or
what is wrong with it, as "403.16" (docs/errors.md). Lines are collected during a turn of the event
loop and handed over at its end; a thread writes them (`kssl.fastpath.logs`).
"""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from asyncio import AbstractEventLoop
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from kssl.config.errors import ConfigError, reason
from kssl.config.model import OFF, STDERR, STDOUT, Logs
from kssl.config.trusted import check_trusted_file
from kssl.fastpath.engines.contract import Session
from kssl.fastpath.logs import standard
from kssl.fastpath.logs.descriptor import Descriptor
from kssl.fastpath.logs.messages import limited
from kssl.fastpath.logs.writer import LineWriter
from kssl.proxy.journal.record import ConnectionEvent, RequestRecord

log = logging.getLogger("kssl")

# What could forge a line or a field, or confuse a terminal: written as \xHH.
_UNSAFE = re.compile(rb'[\x00-\x1f\x7f-\xff"\\]')

# The status of a request whose client has gone before the end of its response.
CLIENT_LEFT = 499

# A request line in the log, at most, in bytes.
MAX_REQUEST_LINE = 4096


def escape(value: bytes) -> bytes:
    """``value`` without anything that could end its field or its line."""
    return _UNSAFE.sub(lambda match: b"\\x%02x" % match[0][0], value)


# Bytes that wait for the disk, or for the reader of a FIFO.
_LIMIT = 8 << 20

# Seconds for what a file of before still has to take, when the log goes on in another.
_RETIRE = 10.0

Standard = Mapping[str, LineWriter]
"""The streams that the words for them in the configuration stand for."""


def standard_streams() -> Standard:
    """Return the process's own."""
    return {
        STDERR: standard.standard(standard.STDERR),
        STDOUT: standard.standard(standard.STDOUT),
    }


class Stream(Protocol):
    """What lines are written to: a `LineWriter`. Does not block."""

    def write(self, data: bytes, /) -> object: ...


class AccessLog:
    """Writes to a stream; None turns the log off."""

    def __init__(self, loop: AbstractEventLoop, stream: Stream | None) -> None:
        self._loop = loop
        self._stream = stream
        self._lines: list[bytes] = []
        self._second = -1
        self._date = b""
        self._retired: list[LineWriter] = []
        self._lost_before = 0  # in streams that are closed

    @property
    def enabled(self) -> bool:
        return self._stream is not None

    @property
    def every(self) -> bool:
        """See `kssl.proxy.journal.journal.Sink`."""
        return self._stream is not None

    def finished(self, record: RequestRecord) -> None:
        """Write the line of a request that was answered, or whose client has left. Of one that was
        not passed on it has the request line and no fields."""
        request, status, connection = record.request, record.status, record.connection
        if not isinstance(request, bytes):
            self.write(
                connection.peer,
                request.line,
                status or CLIENT_LEFT,
                record.sent,
                request.fields.get(b"referer"),
                request.fields.get(b"user-agent"),
                connection.session,
            )
        elif status:  # else its head was never whole
            self.write(connection.peer, request, status, record.sent, b"", b"", connection.session)

    def happened(self, event: ConnectionEvent) -> None:
        """Do nothing: the log is about requests."""

    def write(
        self,
        client: bytes,
        request_line: bytes,
        status: int,
        body_bytes: int,
        referer: bytes,
        user_agent: bytes,
        session: bytes,
    ) -> None:
        """One finished request. ``session`` comes from `describe_session`."""
        if self._stream is None:
            return
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._date = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second)).encode()
        self._lines.append(
            b'%b - - [%b] "%b" %d %d "%b" "%b" %b\n'
            % (
                client,
                self._date,
                escape(request_line[:MAX_REQUEST_LINE]),
                status,
                body_bytes,
                escape(referer) if referer else b"-",
                escape(user_agent) if user_agent else b"-",
                session,
            )
        )
        if len(self._lines) == 1:
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Hand over what was collected."""
        if self._lines and self._stream is not None:
            lines, self._lines = self._lines, []
            self._stream.write(b"".join(lines))

    @property
    def stream(self) -> Stream | None:
        return self._stream

    @property
    def lost(self) -> int:
        """Lines that no stream has taken; with those of others who write to the same stream."""
        now = self._stream.lost if isinstance(self._stream, LineWriter) else 0
        return self._lost_before + now + sum(writer.lost for writer in self._retired)

    def reopen(self, stream: Stream | None) -> None:
        """Go on in another stream, or in the same file under its name (logrotate). A file of
        before is closed when it has what is meant for it."""
        self.flush()
        old, self._stream = self._stream, stream
        if old is stream:
            return
        self._lost_before += sum(writer.lost for writer in self._retired if writer.over)
        self._retired = [writer for writer in self._retired if not writer.over]
        if isinstance(old, _Own):
            old.retire(_RETIRE)
            self._retired.append(old)
        elif isinstance(old, LineWriter):
            self._lost_before += old.lost

    def close(self) -> None:
        """End the log. Waits for the disk, but not for long."""
        self.flush()
        old, self._stream = self._stream, None
        if isinstance(old, _Own):
            old.close()


class _Own(LineWriter):
    """Opened by us, as against a stream that somebody gave us."""


def open_access_log(logs: Logs, streams: Standard | None) -> LineWriter | None:
    """What `AccessLog` writes to. ``streams``: for words. A file is opened to append to, 0640
    if it is new: addresses and URLs are not for everybody.

    Raises ConfigError, also when others may change what is in the file, or let a link lead to
    another one. Devices and pipes are what they are.
    """
    if not isinstance(logs.access, Path):
        return streams.get(logs.access) if streams is not None and logs.access != OFF else None
    name = f"access log {logs.access}"
    try:
        # Without waiting for a reader, should it be a FIFO.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = os.open(logs.access, flags | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise ConfigError(f"{name}: {reason(error)}") from None
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            check_trusted_file(logs.access, "access log")
        sink = Descriptor(descriptor, own=True)
    except BaseException:
        os.close(descriptor)
        raise
    return _Own(sink, name=name, limit=_LIMIT, remark=LOST, tell=_tell)


LOST = b"#Remark: %d lines before this one were lost\n"
"""In the place of lines that could not be written."""


def _tell(text: str) -> None:
    log.warning("%s", text, extra=limited("access log"))


def close_own(stream: Stream | None) -> None:
    """Close what `open_access_log` has opened, but not a stream that it was given."""
    if isinstance(stream, _Own):
        stream.retire(0.0)


def describe_session(session: Session, mode: str, certificate: str = "") -> bytes:
    """Without TLS there is neither version nor cipher. ``certificate``: `ClientVerdict.word`; ""
    if the client was not asked for one."""
    cert = f" cert={certificate}" if certificate else ""
    return f"{session.version or '-'} {session.cipher or '-'} {mode}{cert}".encode()
