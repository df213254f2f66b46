"""The HTTPERR log: one line for each request or connection that the proxy refused or lost itself.

    #Software: kssl
    #Version: 1.0
    #Date: 2026-11-21 13:44:23
    #Fields: date time c-ip c-port s-ip s-port cs-version cs-method cs-uri sc-status s-siteid …
    2026-11-21 13:44:23 192.0.2.7 50122 192.0.2.1 443 HTTP/1.1 GET /%00 400 1 URL app

Times are UTC. As in http.sys, fields are separated by one space, what could end a field is written
as "+", and an empty field as "-". docs/errors.md says what each reason means here.

    <folder>/HTTPERR/httperr1.log, httperr2.log, … : a new one at each start and when one is full.

Lines are collected during a turn of the event loop and written at its end, by a thread
(`kssl.fastpath.logs`). Who logs never gets an exception: what cannot be written is counted, told
once, and told again when writing works again.

Of lines that belong to no request, and of those with BadRequest, at most `MOST` with the same
reason are written within `SECONDS`. How many more there were is said in one line. Connections that
end before a request, as the probes of a load balancer do, are one line an hour together.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

from kssl.config.errors import ConfigError, printable, reason
from kssl.config.model import Site
from kssl.fastpath.logs.allowance import Allowance
from kssl.fastpath.logs.messages import limited
from kssl.fastpath.logs.writer import LineWriter
from kssl.proxy.journal.httperr_files import Files
from kssl.proxy.journal.record import PROBE, ConnectionEvent, ConnectionInfo, RequestRecord

log = logging.getLogger("kssl")

# The words of http.sys.
_WINDOWS = (
    "AppOffline AppPoolTimer AppShutdown BadRequest Client_Reset Connection_Abandoned_By_AppPool "
    "Connection_Abandoned_By_ReqQueue Connection_Dropped Connection_Dropped_List_Full ConnLimit "
    "Connections_Refused Disabled EntityTooLarge FieldLength Forbidden Header Hostname Internal "
    "Invalid_CR/LF LengthRequired N/A N/I Number Precondition QueueFull RequestLength "
    "Timer_AppPool Timer_ConnectionIdle Timer_EntityBody Timer_HeaderWait "
    "Timer_MinBytesPerSecond Timer_ReqQueue Timer_Response Timer_SslRenegotiation URL URL_Length "
    "Verb Version_N/S"
)
# Ours, for what http.sys does not log there.
_OWN = (
    "Ssl2_Hello Pct1_Hello Ssl2_Format_Hello Rc2_Suite Handshake Misdirected Upstream "
    "Upstream_Truncated Unclean_Close Cert_Required Cert_Denied Cert_Revoked Cert_Untrusted "
    "Cert_Expired Cert_Rejected Cert_Unchecked Memory_Full"
)

REASONS = frozenset(f"{_WINDOWS} {_OWN}".split())
"""What s-reason, and so HttpError.reason, may say."""

FIELDS = (
    "date", "time", "c-ip", "c-port", "s-ip", "s-port", "cs-version", "cs-method", "cs-uri",
    "sc-status", "s-siteid", "s-reason", "s-queuename",
)  # fmt: skip

# Bytes, of http.sys.
MAX_METHOD = 255
MAX_URI = 4096

MOST = 100
SECONDS = 10.0
_BAD_REQUEST = "BadRequest"  # also of what is no HTTP at all

# Seconds for which connections without a request are counted before the log has a line of them.
PROBE_SECONDS = 3600.0

# Bytes that wait for the disk.
_LIMIT = 1 << 20

_SUBFOLDER = "HTTPERR"

# Every byte of a request that is not a visible ASCII character, so that nothing ends a field.
_UNSAFE = re.compile(rb"[^!-~]")


_REMARK = b"#Remark: %d lines before this one were lost\n"


class ErrorLog:
    """Writes to files below `folder`, which is made if need be.

    truncate_size: bytes at which the log goes on in its next file.
    now: seconds since 1970. call_soon: calls a function at the end of the event loop's turn.
    in_background: files are written by a thread, so that nobody waits for the disk.
    allowance: for each reason, where there is no request.

    Raises ConfigError when somebody else could read, forge or redirect what is written: the folder
    or a log in it is a symlink, belongs to another user, or others may write to it.
    """

    enabled = True
    every = False
    """See `kssl.proxy.journal.journal.Sink`: it has lines of failures alone."""
    _probes = 0  # connections without a request that no line has told of
    _probes_since = 0.0  # 0: the next `sweep` begins to count the time
    _appender: _Appender | None = None
    _writer: LineWriter | None = None
    _allowance: Allowance | None = None

    def __init__(
        self,
        folder: Path,
        truncate_size: int,
        now: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], object],
        *,
        in_background: bool = False,
        allowance: Allowance | None = None,
    ) -> None:
        files = Files(folder / _SUBFOLDER, truncate_size, FIELDS)
        self._appender = _Appender(files, now)
        self._now = now
        self._call_soon = call_soon
        self._allowance = allowance or Allowance(MOST, SECONDS)
        self._lines: list[bytes] = []
        self._second = -1
        self._date = b""
        files.check()
        if in_background:
            self._writer = LineWriter(
                _Background(self._appender),
                name=f"the HTTPERR log in {printable(str(files.folder))}",
                limit=_LIMIT,
                remark=_REMARK,
                tell=_tell,
            )

    @classmethod
    def off(cls) -> ErrorLog:
        """One that writes nothing, for EnableErrorLogging=0."""
        return _Off()

    def finished(self, record: RequestRecord) -> None:
        """Write the line of a request that has failed."""
        self._line(record.connection, record.reason, record.site, record.line, record.status)

    def happened(self, event: ConnectionEvent) -> None:
        """Write the line of an event, or count a connection that had no request."""
        if event.reason == PROBE:
            self.without_request()
        elif not event.quiet:
            self._line(event.connection, event.reason, event.site, event.line, event.status)

    def _line(
        self, connection: ConnectionInfo, reason: str, site: Site | None, line: bytes, status: int
    ) -> None:
        method, _, rest = line.partition(b" ")
        uri, _, version = rest.rpartition(b" ")
        if not version.startswith(b"HTTP/"):  # cut off, or never there
            uri, version = rest, b""
        self.write(
            client=connection.client,
            server=connection.local,
            version=version,
            method=method,
            uri=uri,
            status=status,
            site=site.number if site is not None else 0,
            reason=reason,
            queue=site.name if site is not None else "",
        )

    def write(
        self,
        *,
        client: tuple[str, int] | None = None,
        server: tuple[str, int] | None = None,
        version: bytes = b"",
        method: bytes = b"",
        uri: bytes = b"",
        status: int = 0,
        site: int = 0,
        reason: str,
        queue: str = "",
    ) -> None:
        """One event. All but the reason, one of `REASONS`, may be missing: empty, None or 0.

        client, server: address and port. version: ``1.1`` or ``HTTP/1.1``. uri: the target as
        received. site, queue: number and name of the site.
        """
        if (
            self._allowance is not None
            and (not method or reason == _BAD_REQUEST)
            and not self._allowance.allows(reason)
        ):
            return
        second = int(self._now())
        if second != self._second:
            self._second = second
            self._date = _date(second)
        if version[:1].isdigit():
            version = b"HTTP/" + version
        self._add(
            b"%b %b %b %b %b %b %b %b %b %b %b %b\n"
            % (
                self._date,
                *_address(client),
                *_address(server),
                _octets(version),
                _octets(method[:MAX_METHOD]),
                _octets(uri[:MAX_URI]),
                _number(status),
                _number(site),
                _text(reason),
                _text(queue),
            )
        )

    def without_request(self) -> None:
        """Count a client's connection that has ended before its first request."""
        self._probes += 1

    def sweep(self) -> None:
        """Say what was left out, and how many connections had no request, when it is time. To be
        called from time to time."""
        if self._allowance is None:
            return
        self._say(self._allowance.over(), self._allowance.seconds)
        if self._probes:
            now = self._now()
            if not self._probes_since:
                self._probes_since = now
            elif abs(now - self._probes_since) >= PROBE_SECONDS:
                self._say_probes()

    @property
    def lost(self) -> int:
        """Lines that could not be written since the start."""
        appender, writer = self._appender, self._writer
        return (appender.lost if appender else 0) + (writer.lost if writer else 0)

    @property
    def left_out(self) -> dict[str, int]:
        """Lines above the limit since the start, by reason."""
        return dict(self._allowance.left_out) if self._allowance is not None else {}

    def _say(self, left_out: list[tuple[str, int]], seconds: float) -> None:
        for word, number in left_out:
            text = f"#Remark: {number} more lines with {word} were left out within {seconds:.0f} s"
            self._add(text.encode() + b"\n")

    def _say_probes(self) -> None:
        probes, self._probes, self._probes_since = self._probes, 0, 0.0
        self._add(b"#Remark: %d connections ended before a request\n" % probes)

    def _add(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) == 1:
            self._call_soon(self.flush)

    def flush(self) -> None:
        """Hand over what was collected. Never raises."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        if self._writer is not None:
            self._writer.write(b"".join(lines))
        elif self._appender is not None:
            self._appender.append(lines)

    def close(self) -> None:
        """Write what was collected and close the file; the next line would open another, unless a
        thread writes. Waits for the disk, but not for long."""
        if self._allowance is not None:
            self._say(self._allowance.rest(), self._allowance.seconds)
        if self._probes:
            self._say_probes()
        self.flush()
        if self._appender is not None and (self._writer is None or self._writer.close()):
            self._appender.close()


def _tell(text: str) -> None:
    log.warning("%s", text, extra=limited("the HTTPERR log"))


class _Appender:
    """The files, and the count of what could not be written to them.

    It does not know the `ErrorLog`: the thread that writes would keep both in a cycle.
    """

    def __init__(self, files: Files, now: Callable[[], float]) -> None:
        self.lost = 0
        """Lines since the start."""
        self._untold = 0  # lines lost that the log has no word of yet
        self._files = files
        self._now = now

    def append(self, lines: list[bytes]) -> None:
        """Write them. May block, and never raises."""
        remark = _REMARK % self._untold
        if self._untold:
            lines.insert(0, remark)
        try:
            self._files.append(lines, _date(int(self._now())))
        except (ConfigError, OSError) as error:
            # What was written before the error is no longer in `lines`.
            if self._untold and lines[0] is remark:
                lost = len(lines) - 1
            else:
                lost, self._untold = len(lines), 0
            if not self._untold:
                why = reason(error) if isinstance(error, OSError) else str(error)
                log.warning(
                    "the HTTPERR log in %s cannot be written: %s; lines are lost until it can",
                    printable(str(self._files.folder)),
                    why,
                )
            self._untold += lost
            self.lost += lost
            return
        if self._untold:
            log.warning("the HTTPERR log is written again; %d lines were lost", self._untold)
            self._untold = 0

    def close(self) -> None:
        """Close the file; the next line would open another."""
        self._files.close()


class _Background:
    """What the thread calls."""

    def __init__(self, appender: _Appender) -> None:
        self._appender = appender

    def write(self, data: bytes, start: int) -> int:
        self._appender.append(data[start:].splitlines(keepends=True))
        return len(data)

    def wait(self, seconds: float) -> bool:
        return True

    def close(self) -> None:
        """The owner closes the file."""


class _Off(ErrorLog):
    enabled = False

    def __init__(self) -> None:
        pass

    def write(self, **_: object) -> None:
        pass

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def _date(second: int) -> bytes:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second)).encode()


def _address(address: tuple[str, int] | None) -> tuple[bytes, bytes]:
    return (b"-", b"-") if address is None else (_text(address[0]), _number(address[1]))


def _number(number: int) -> bytes:
    return b"%d" % number if number > 0 else b"-"


def _octets(value: bytes) -> bytes:
    return _UNSAFE.sub(b"+", value) or b"-"


def _text(value: str) -> bytes:
    """As UTF-8; `isprintable` is false for control characters, surrogates and all white space but
    the space."""
    return "".join("+" if c == " " or not c.isprintable() else c for c in value).encode() or b"-"


HANDSHAKE = "Handshake"
_IN_FRONT = frozenset(("Rc2_Suite",))
"""Words that the worker puts in front of a reason, with a colon."""


def handshake_reason(text: str) -> str:
    """Return the word for a handshake that failed with ``text``."""
    word = text.partition(":")[0]
    return word if word in _IN_FRONT else HANDSHAKE
