"""The access log: combined format, then TLS version, cipher and mode.

    127.0.0.1 - - [21/Nov/2026:07:26:05 +0000] "GET / HTTP/1.1" 200 512 "-" "curl/7.88.1"
        TLSv1.3 TLS_AES_256_GCM_SHA384 kernel cert=ok

(on one line). The last word is there if the client was asked for a certificate: "ok", "none" or
what is wrong with it, as "403.16" (docs/errors.md). Lines are collected during a turn of the event
loop and written at its end.
"""

from __future__ import annotations

import io
import logging
import os
import re
import stat
import time
from asyncio import AbstractEventLoop
from pathlib import Path
from typing import BinaryIO, cast

from config.errors import ConfigError, reason
from config.model import Logs
from config.trusted import check_trusted_file
from fastpath.engines.contract import Session

log = logging.getLogger("kssl")

# What could forge a line or a field, or confuse a terminal: written as \xHH.
_UNSAFE = re.compile(rb'[\x00-\x1f\x7f-\xff"\\]')

# A request line in the log, at most, in bytes.
MAX_REQUEST_LINE = 4096


def escape(value: bytes) -> bytes:
    """``value`` without anything that could end its field or its line."""
    return _UNSAFE.sub(lambda match: b"\\x%02x" % match[0][0], value)


class AccessLog:
    """Writes to a binary stream, such as ``sys.stderr.buffer``; None turns the log off."""

    def __init__(self, loop: AbstractEventLoop, stream: BinaryIO | None) -> None:
        self._loop = loop
        self._stream = stream
        self.enabled = stream is not None
        self._lines: list[bytes] = []
        self._second = -1
        self._date = b""
        self._failing = False

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
                escape(referer) or b"-",
                escape(user_agent) or b"-",
                session,
            )
        )
        if len(self._lines) == 1:
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """A file that cannot be written, on a full disk say, is worth one warning, no more."""
        if self._lines and self._stream is not None:
            lines, self._lines = self._lines, []
            try:
                self._stream.write(b"".join(lines))
                self._stream.flush()
            except OSError as error:
                if not self._failing:
                    log.warning("access log: %s; lines are lost", reason(error))
                self._failing = True
            else:
                self._failing = False

    def reopen(self, stream: BinaryIO | None) -> None:
        """Goes on in another stream, or in the same file under its name (logrotate). A file of
        before is closed."""
        self.flush()
        old, self._stream = self._stream, stream
        self.enabled = stream is not None
        if old is not stream:
            close_own(old)


class _LogFile(io.FileIO):
    """Of our own, as against a stream that somebody gave us."""


def open_access_log(logs: Logs, standard: BinaryIO | None) -> BinaryIO | None:
    """What `AccessLog` writes to. ``standard``: for "stderr". A file is opened to append to, 0640
    if it is new: addresses and URLs are not for everybody.

    Raises ConfigError, also when others may change what is in the file, or let a link lead to
    another one. Devices and pipes are what they are.
    """
    if not isinstance(logs.access, Path):
        return standard if logs.access == "stderr" else None
    try:
        file = _LogFile(logs.access, "ab", opener=_open_private)
    except OSError as error:
        raise ConfigError(f"access log {logs.access}: {reason(error)}") from None
    try:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            check_trusted_file(logs.access, "access log")
    except BaseException:
        file.close()
        raise
    return cast(BinaryIO, file)


def close_own(stream: BinaryIO | None) -> None:
    """Closes what `open_access_log` has opened, but not a stream that it was given."""
    if isinstance(stream, _LogFile):
        stream.close()


def _open_private(path: str, flags: int) -> int:
    # Without waiting for a reader, should it be a FIFO.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY, 0o640)


def describe_session(session: Session, mode: str, certificate: str = "") -> bytes:
    """Without TLS there is neither version nor cipher. ``certificate``: `ClientVerdict.word`; ""
    if the client was not asked for one."""
    cert = f" cert={certificate}" if certificate else ""
    return f"{session.version or '-'} {session.cipher or '-'} {mode}{cert}".encode()
