"""The files of the HTTPERR log: numbered, in a folder of ours, and in nobody else's hands.

What is here may block.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path

from kssl.config.errors import ConfigError, reason

log = logging.getLogger("kssl")

_NAME = re.compile(r"httperr([1-9][0-9]*)\.log")
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class Files:
    """The numbered files of one folder. Errors are raised: ConfigError, OSError.

    truncate_size: bytes at which the log goes on in its next file. fields: for its header.
    """

    def __init__(self, folder: Path, truncate_size: int, fields: Sequence[str]) -> None:
        self.folder = folder
        self._truncate_size = truncate_size
        self._fields = " ".join(fields).encode()
        self._limit = truncate_size
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
            fitting, size = _fitting(lines, self._limit - self._size)
            if not fitting and not self._empty:
                self._follow(date)
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

    def _follow(self, date: bytes) -> None:
        """The file is full."""
        try:
            self._next_file(date)
        except ConfigError as error:
            # Somebody has changed the folder's mode or owner. The file that is open is still ours.
            log.warning("%s; the HTTPERR log goes on in its last file", error)
            self._limit += self._truncate_size

    def _next_file(self, date: bytes) -> None:
        header = b"#Software: kssl\n#Version: 1.0\n#Date: %b\n#Fields: %b\n" % (
            date,
            self._fields,
        )
        folder = self._open_folder()
        self.close()
        try:
            name, self._descriptor = _create(folder)
            self._size, self._limit = 0, self._truncate_size
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
