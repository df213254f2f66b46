"""Who may change a file, beyond its mode: read-only mounts, and groups of one user."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

# Access lists: the group's bits are then a mask for named users and groups (acl(5)).
_ACLS = frozenset({"system.posix_acl_access", "system.nfs4_acl"})


def is_read_only(file: int | Path) -> bool:
    """Return whether the file system is mounted read-only here, as Kubernetes Secrets are."""
    try:
        return bool(os.statvfs(file).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def group_is_private(file: int | Path, gid: int) -> bool:
    """Return whether the group's right to write is that of this user, or root, alone.

    Several distributions give each user a group of the same name, and umask 0002 with it. The
    name is asked for because a directory service may not list all users of a shared group.
    """
    try:
        group = grp.getgrgid(gid)
        user = pwd.getpwnam(group.gr_name)
    except KeyError:
        return False
    if user.pw_uid not in (os.geteuid(), 0) or user.pw_gid != gid:
        return False
    members = {*group.gr_mem, *(each.pw_name for each in pwd.getpwall() if each.pw_gid == gid)}
    return members <= {user.pw_name, "root"} and not _has_acl(file)


def _has_acl(file: int | Path) -> bool:
    try:
        return not _ACLS.isdisjoint(os.listxattr(file))
    except OSError:
        return False
