"""The HTTPERR log: one line for each request or connection that the proxy refused or lost itself.

    #Software: kssl
    #Version: 1.0
    #Date: 2026-11-21 13:44:23
    #Fields: date time c-ip c-port s-ip s-port cs-version cs-method cs-uri sc-status s-siteid …
    2026-11-21 13:44:23 192.0.2.7 50122 192.0.2.1 443 HTTP/1.1 GET /%00 400 1 URL app

Times are UTC. As in http.sys, fields are separated by one space, what could end a field is written
as "+", and an empty field as "-". docs/errors.md says what each reason means here.

    <folder>/HTTPERR/httperr1.log, httperr2.log, … : a new one at each start and when one is full.

Lines are collected during a turn of the event loop and written at its end. Who logs never gets an
exception: what cannot be written is counted, told once, and told again when writing works again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import stat
import time
from collections.abc import Callable
from pathlib import Path

from config.errors import ConfigError, printable, reason

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

_SUBFOLDER = "HTTPERR"
_NAME = re.compile(r"httperr([1-9][0-9]*)\.log")
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

# Every byte of a request that is not a visible ASCII character, so that nothing ends a field.
_UNSAFE = re.compile(rb"[^!-~]")


class ErrorLog:
    """Writes to files below `folder`, which is made if need be.

    truncate_size: bytes at which the log goes on in its next file.
    now: seconds since 1970. call_soon: calls a function at the end of the event loop's turn.

    Raises ConfigError when somebody else could read, forge or redirect what is written: the folder
    or a log in it is a symlink, belongs to another user, or others may write to it.
    """

    enabled = True

    def __init__(
        self,
        folder: Path,
        truncate_size: int,
        now: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self._files = _Files(folder / _SUBFOLDER, truncate_size)
        self._now = now
        self._call_soon = call_soon
        self._lines: list[bytes] = []
        self._lost = 0
        self._second = -1
        self._date = b""
        self._files.check()

    @classmethod
    def off(cls) -> ErrorLog:
        """One that writes nothing, for EnableErrorLogging=0."""
        return _Off()

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
        second = int(self._now())
        if second != self._second:
            self._second = second
            self._date = _date(second)
        if version[:1].isdigit():
            version = b"HTTP/" + version
        self._lines.append(
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
        if len(self._lines) == 1:
            self._call_soon(self.flush)

    def flush(self) -> None:
        """Writes what was collected. Never raises."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        remark = b"#Remark: %d lines before this one were lost\n" % self._lost
        if self._lost:
            lines.insert(0, remark)
        try:
            self._files.append(lines, _date(int(self._now())))
        except (ConfigError, OSError) as error:
            # What was written before the error is no longer in `lines`.
            if self._lost and lines[0] is remark:
                lost = len(lines) - 1
            else:
                lost, self._lost = len(lines), 0
            if not self._lost:
                why = reason(error) if isinstance(error, OSError) else str(error)
                log.warning(
                    "the HTTPERR log in %s cannot be written: %s; lines are lost until it can",
                    printable(str(self._files.folder)),
                    why,
                )
            self._lost += lost
            return
        if self._lost:
            log.warning("the HTTPERR log is written again; %d lines were lost", self._lost)
            self._lost = 0

    def close(self) -> None:
        """Writes what was collected and closes the file; the next line would open another."""
        self.flush()
        self._files.close()


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


class _Files:
    """The numbered files of one folder. Errors are raised: ConfigError, OSError."""

    def __init__(self, folder: Path, truncate_size: int) -> None:
        self.folder = folder
        self._truncate_size = truncate_size
        self._descriptor = -1
        self._size = 0
        self._empty = True  # but for its header

    def check(self) -> None:
        """The folder is there and fit. Raises ConfigError."""
        os.close(self._open_folder())

    def append(self, lines: list[bytes], date: bytes) -> None:
        """Takes `lines` out of the list as they are written, whole ones only."""
        while lines:
            if self._descriptor < 0 or os.fstat(self._descriptor).st_nlink == 0:
                self._next_file(date)  # the first, or somebody has deleted the last
            fitting, size = _fitting(lines, self._truncate_size - self._size)
            if not fitting and not self._empty:
                self._next_file(date)
                continue
            if not fitting:  # a line longer than a whole file
                fitting, size = 1, len(lines[0])
            self._write(b"".join(lines[:fitting]))
            self._size += size
            self._empty = False
            del lines[:fitting]

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, data: bytes) -> None:
        """All of it or nothing."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            # A full disk takes a part. Nobody else writes to this file, so that can be cut off.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise

    def _next_file(self, date: bytes) -> None:
        self.close()
        header = b"#Software: kssl\n#Version: 1.0\n#Date: %b\n#Fields: %b\n" % (
            date,
            " ".join(FIELDS).encode(),
        )
        folder = self._open_folder()
        try:
            name, self._descriptor = _create(folder)
            self._size = 0
            try:
                self._write(header)
            except OSError:
                # No file goes on without its header, and a full disk gets no empty file each time.
                self.close()
                os.unlink(name, dir_fd=folder)
                raise
        finally:
            os.close(folder)
        self._size, self._empty = len(header), True

    def _open_folder(self) -> int:
        """A descriptor of the folder, so that what was checked is what is used."""
        folder, parent = self.folder, self.folder.parent
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check(parent, parent.lstat(), folder=True, owners={os.geteuid(), 0})
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            _check(folder, folder.lstat(), folder=True, owners={os.geteuid()})
            descriptor = os.open(folder, _FOLDER_FLAGS)
        except OSError as error:
            raise ConfigError(
                f"cannot use the folder {folder} for the HTTPERR log: {reason(error)}; "
                "set ErrorLoggingDir to another"
            ) from None
        try:
            _check(folder, os.fstat(descriptor), folder=True, owners={os.geteuid()})
            for name in filter(_NAME.fullmatch, os.listdir(descriptor)):
                with contextlib.suppress(FileNotFoundError):
                    found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    _check(folder / name, found, folder=False, owners={os.geteuid()})
        except OSError as error:
            os.close(descriptor)
            raise ConfigError(f"cannot read the folder {folder}: {reason(error)}") from None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _fitting(lines: list[bytes], room: int) -> tuple[int, int]:
    """How many of the first lines fit into `room` bytes, and how many bytes they are."""
    size = 0
    for count, line in enumerate(lines):
        if size + len(line) > room:
            return count, size
        size += len(line)
    return len(lines), size


def _create(folder: int) -> tuple[str, int]:
    """A new file of ours behind the highest: its name, and a descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_APPEND | os.O_CLOEXEC
    while True:
        numbers = [int(match[1]) for match in map(_NAME.fullmatch, os.listdir(folder)) if match]
        with contextlib.suppress(FileExistsError):  # another process was faster
            name = f"httperr{max(numbers, default=0) + 1}.log"
            return name, os.open(name, flags, 0o600, dir_fd=folder)


def _check(path: Path, found: os.stat_result, *, folder: bool, owners: set[int]) -> None:
    """Raises ConfigError unless it is a folder or a file of ours that nobody else may write to."""
    is_right = stat.S_ISDIR if folder else stat.S_ISREG
    if not is_right(found.st_mode):
        what = "folder" if folder else "regular file"
        raise ConfigError(
            f"{path}, for the HTTPERR log, is not a {what} (a link is not followed); "
            "remove it, or set ErrorLoggingDir to another folder"
        )
    if found.st_uid not in owners:
        raise ConfigError(
            f"{path}, for the HTTPERR log, belongs to another user (uid {found.st_uid}, "
            f"kssl runs as {os.geteuid()}); set ErrorLoggingDir to a folder of your own"
        )
    if found.st_mode & _WRITABLE_BY_OTHERS:
        mode = "700" if folder else "600"
        raise ConfigError(
            f"others may write to {path} (mode {stat.S_IMODE(found.st_mode):04o}), where the "
            f"HTTPERR log goes; run: chmod {mode} {shlex.quote(str(path))}"
        )
