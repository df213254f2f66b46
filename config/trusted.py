"""Files that decide what the service does: nobody but their owner and root may change them.

Whoever can change the configuration or replace a certificate has taken over the service. So a
file must belong to the user that kssl runs as or to root, and neither its group nor others may
write to it; the same holds for the folder that it stands in, because who writes there can put
another file in its place. In a folder with the sticky bit, as /tmp, nobody can (unlink(2)).

A group that has no member but this user or root may write. On a file system that is mounted
read-only neither owner nor mode count: nobody writes there, and who mounted it is root, or the
platform (Kubernetes, Docker), which answers for the content.

Symlinks are followed, because certbot's ``live`` folder is made of them. Each link on the way
must be in good hands too. Mode and owner are those of the open file: nobody can swap it in between.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from kssl.config.errors import ConfigError, reason
from kssl.config.ownership import group_is_private, is_read_only

WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
# As Linux has it for a path (path_resolution(7)).
_MAX_LINKS = 40
# Bytes; a configuration of thousands of sites stays below.
_LIMIT = 1 << 20


def check_trusted(path: Path, what: str) -> int:
    """An open descriptor of the regular file `path`, which the caller closes.

    `what` names it in messages: "configuration file".

    Raises:
        ConfigError: it cannot be opened, is not a regular file, or others may change it.
    """
    try:
        # O_NONBLOCK: a FIFO must not hang us.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        raise unreadable(path, what, error) from None
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise ConfigError(f"{what} {path} is a folder; name the file in it")
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{what} {path} is not a regular file")
        _check(found, path, f"{what} {path}", descriptor)
        for folder in _folders(path, what):
            check_trusted_folder(folder, f"folder of the {what}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def unreadable(path: Path, what: str, error: OSError | ValueError) -> ConfigError:
    """What to say when `path` cannot be opened or read; a ValueError is a NUL in its name."""
    if isinstance(error, FileNotFoundError):
        return ConfigError(f"{what} {path} does not exist; check the name")
    if isinstance(error, PermissionError):
        return ConfigError(
            f"{what} {path} cannot be read by this user (uid {os.geteuid()}); "
            "change its owner or group"
        )
    why = reason(error) if isinstance(error, OSError) else "not a file name"
    return ConfigError(f"{what} {path} cannot be read: {why}")


def check_trusted_file(path: Path, what: str) -> None:
    """As `check_trusted`; nothing of the file is read. Raises ConfigError."""
    os.close(check_trusted(path, what))


def read_trusted(path: Path, what: str, limit: int = _LIMIT) -> bytes:
    """The content, at most `limit` bytes. Raises ConfigError, also when it is longer."""
    with open(check_trusted(path, what), "rb") as file:
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise ConfigError(f"{what} {path} cannot be read: {reason(error)}") from None
    if len(data) > limit:
        raise ConfigError(f"{what} {path} is larger than {limit} bytes; is it the right file?")
    return data


def check_trusted_folder(path: Path, what: str) -> None:
    """Others may not replace what is in the folder `path`. Raises ConfigError."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else "not a file name"
        raise ConfigError(f"{what}, {path}: {why}; check the name") from None
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{what}, {path}, is not a folder")
    _check(found, path, f"{what}, {path},", path, sticky=bool(found.st_mode & stat.S_ISVTX))


def check_trusted_content(path: Path, what: str) -> None:
    """As `check_trusted_folder`, for a folder all of whose files count: nobody else may add one,
    not even where the sticky bit keeps them from replacing others', or put another folder in its
    place. Raises ConfigError."""
    check_trusted_folder(path, what)
    found = path.stat()
    if not _is_harmless(found, path):  # but sticky, or it had been refused
        raise ConfigError(f"others may add files to {what}, {path}; take a folder of its own")
    for folder in _folders(path, what):
        check_trusted_folder(folder, f"folder above the {what}")


def _check(
    found: os.stat_result, path: Path, shown: str, file: int | Path, *, sticky: bool = False
) -> None:
    """`file`: what to ask for more about it, the open descriptor if there is one."""
    me = os.geteuid()
    quoted = shlex.quote(str(path))
    if found.st_uid not in (me, 0):
        if is_read_only(file):
            return
        raise ConfigError(
            f"{shown} belongs to another user (uid {found.st_uid}), who could change it: only the "
            f"user that kssl runs as (uid {me}) and root may; "
            + (f"run: chown {me} {quoted}" if me == 0 else f"as root run: chown {me} {quoted}")
        )
    if not sticky and not _is_harmless(found, file):
        who = "everybody" if found.st_mode & stat.S_IWOTH else f"group {found.st_gid}"
        by = "" if me in (found.st_uid, 0) else "it is root's; as root "
        raise ConfigError(
            f"{shown} may be changed by {who} (mode {stat.S_IMODE(found.st_mode):04o}): only its "
            f"owner and root may; {by}run: chmod go-w {quoted}"
        )


def _is_harmless(found: os.stat_result, file: int | Path) -> bool:
    """Return whether the bits for group and others let nobody write but this user and root."""
    if not found.st_mode & WRITABLE_BY_OTHERS or is_read_only(file):
        return True
    return not found.st_mode & stat.S_IWOTH and group_is_private(file, found.st_gid)


def _folders(path: Path, what: str) -> Iterator[Path]:
    """The folder of `path`, and of each link that leads to the file."""
    for _ in range(_MAX_LINKS):
        yield path.parent
        try:
            found = path.lstat()
            if not stat.S_ISLNK(found.st_mode):
                return
            # In a sticky folder anybody may make a link, and later let it lead elsewhere.
            if found.st_uid not in (os.geteuid(), 0) and not is_read_only(path.parent):
                raise ConfigError(
                    f"{what} {path} is a link of another user (uid {found.st_uid}), who could "
                    "let it lead elsewhere; name the file itself"
                )
            path = path.parent / path.readlink()
        except OSError as error:
            raise ConfigError(f"{what} {path} cannot be read: {reason(error)}") from None
    raise ConfigError(f"{what} {path}: too many links; name the file itself")
