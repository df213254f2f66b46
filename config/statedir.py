"""The state folder: made private, checked before use, written atomically, locked.

The folder holds private keys, so what matters is who could put something into it or read from
it. Ownership and mode are checked on the folder that a symlink leads to, and the resolved path
is what callers go on with.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shlex
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from kssl.config.errors import ConfigError, reason

PRIVATE_FOLDER_MODE = 0o700
PRIVATE_FILE_MODE = 0o600
PUBLIC_FILE_MODE = 0o644
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO

LOCK_NAME = "lock"
# Seconds. The lock is held while one P-256 key is made and two small files are synced:
# milliseconds. Waiting this long means that the holder hangs.
LOCK_TIMEOUT = 10.0
_LOCK_POLL = 0.02

# Bytes. No file that we keep comes near this; it bounds what a wrong file can make us read.
_MAX_FILE = 1 << 20


def default_state_dir() -> Path:
    """``$XDG_STATE_HOME/kssl``, or ``~/.local/state/kssl`` (XDG Base Directory 0.8).

    The specification says to ignore a relative XDG_STATE_HOME.

    Raises:
        ConfigError: there is no home folder either.
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "kssl"
    try:
        return Path.home() / ".local" / "state" / "kssl"
    except RuntimeError:
        raise ConfigError(
            "no home folder to keep state in; name a folder with --state-dir"
        ) from None


def ensure_state_dir(path: Path) -> Path:
    """Make `path` (and its parents) if need be, check it, and return it resolved.

    Raises:
        ConfigError: it cannot be made, is not a folder, belongs to another user (or is a
            symlink that does or that leads to such a folder), or others may write to it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(PRIVATE_FOLDER_MODE)
        link = path.lstat()
        resolved = path.resolve(strict=True)
        found = resolved.lstat()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symlinks, before 3.13
        why = reason(error) if isinstance(error, OSError) else "a loop of symlinks"
        raise ConfigError(
            f"cannot use the state folder {path}: {why}; name another with --state-dir"
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"the state folder {path} is not a folder; name another with --state-dir")
    me = os.geteuid()
    # Root may place links for its users; anyone else's link could be pointed elsewhere later.
    if found.st_uid != me or link.st_uid not in (me, 0):
        raise ConfigError(
            f"the state folder {path} belongs to another user (uid {found.st_uid}, "
            f"kssl runs as {me}); name one of your own with --state-dir"
        )
    if found.st_mode & WRITABLE_BY_OTHERS:
        raise ConfigError(
            f"others may write to the state folder {path} "
            f"(mode {stat.S_IMODE(found.st_mode):04o}), so its keys could be replaced; "
            f"run: chmod 700 {shlex.quote(str(resolved))}"
        )
    return resolved


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` by `data` atomically, mode 0600. Raises ConfigError."""
    _write(path, data, PRIVATE_FILE_MODE)


def write_public(path: Path, data: bytes) -> None:
    """Replace `path` by `data` atomically, mode 0644. Raises ConfigError."""
    _write(path, data, PUBLIC_FILE_MODE)


def replace(path: Path, data: bytes) -> None:
    """Replace `path` by `data` atomically; mode and owner stay. A new file's mode is 0600.

    Raises:
        ConfigError: it cannot be written, or its owner cannot be kept.
    """
    try:
        found = path.stat()
    except OSError:  # there is none; any other reason comes up again
        _write(path, data, PRIVATE_FILE_MODE)
    else:
        _write(path, data, stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid))


def _write(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """`owner` is user and group; None: those of any new file."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        # O_EXCL: never through a file or link that somebody else has put there. The mode is
        # right from the first byte; fchmod then undoes what the umask took away.
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE_MODE
        )
        try:
            with open(descriptor, "wb") as file:
                made = os.fstat(file.fileno())
                if owner is not None and owner != (made.st_uid, made.st_gid):
                    os.fchown(file.fileno(), *owner)
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {reason(error)}") from None


def remove(path: Path) -> None:
    """Delete `path` if it exists. Raises ConfigError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot delete {path}: {reason(error)}") from None


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_public(path: Path) -> bytes | None:
    """The content of a file of ours, None if it does not exist. Raises ConfigError."""
    return _read(path, private=False)


def read_private(path: Path) -> bytes | None:
    """As `read_public`, for a key: it must belong to us and be closed to everybody else."""
    return _read(path, private=True)


def _read(path: Path, *, private: bool) -> bytes | None:
    # O_NOFOLLOW: we never make links in the state folder. O_NONBLOCK: a FIFO must not hang us.
    # Checks are on the open file, so that nobody can swap it between check and use.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {reason(error)}") from None
    try:
        _check_file(path, os.fstat(descriptor), private=private)
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {reason(error)}") from None
    finally:
        os.close(descriptor)
    if len(data) > _MAX_FILE:
        raise ConfigError(f"{path} is larger than {_MAX_FILE} bytes; that is not kssl's file")
    return data


def _check_file(path: Path, found: os.stat_result, *, private: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path} is not a regular file; remove it")
    if private and found.st_uid != os.geteuid():
        raise ConfigError(f"{path} belongs to another user (uid {found.st_uid}); remove it")
    if private and found.st_mode & OPEN_TO_OTHERS:
        raise ConfigError(
            f"others may use the private key {path} (mode {stat.S_IMODE(found.st_mode):04o}); "
            f"run: chmod 600 {shlex.quote(str(path))}"
        )


@contextlib.contextmanager
def locked(state_dir: Path, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Hold the state folder's lock: one process (and one thread) at a time.

    The kernel drops it when a process dies, so there is never a stale lock; the file stays.
    Not re-entrant.

    Raises:
        ConfigError: no lock within `timeout` seconds, or the lock file cannot be used.
    """
    path = state_dir / LOCK_NAME
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, PRIVATE_FILE_MODE)
    except OSError as error:
        raise ConfigError(f"cannot open the lock {path}: {reason(error)}") from None
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ConfigError(
                        f"another kssl process has held {path} for {timeout:g} seconds; "
                        "stop it, or name another folder with --state-dir"
                    ) from None
                time.sleep(_LOCK_POLL)
            except OSError as error:
                raise ConfigError(f"cannot lock {path}: {reason(error)}") from None
        yield
    finally:
        os.close(descriptor)
