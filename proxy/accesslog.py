"""The access log: combined format, then TLS version, cipher and mode.

    127.0.0.1 - - [21/Nov/2026:07:26:05 +0000] "GET / HTTP/1.1" 200 512 "-" "curl/7.88.1"
        TLSv1.3 TLS_AES_256_GCM_SHA384 kernel

(on one line). Lines are collected during a turn of the event loop and written at its end.
"""

from __future__ import annotations

import re
import time
from asyncio import AbstractEventLoop
from typing import BinaryIO

from fastpath.engines.contract import Session

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
        if self._lines and self._stream is not None:
            lines, self._lines = self._lines, []
            self._stream.write(b"".join(lines))
            self._stream.flush()


def describe_session(session: Session, mode: str) -> bytes:
    return f"{session.version} {session.cipher} {mode}".encode()
