"""Files as certbot, Kubernetes, Docker and umask 0002 leave them, with groups and mounts told."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

import pytest

from kssl.config import ownership, trusted
from kssl.config.errors import ConfigError
from kssl.config.pemfile import SourceFile
from kssl.config.trusted import check_trusted_content, read_trusted

ME = os.geteuid()
GID = os.getegid()


class System:
    """The users and groups of a system on which this one is called `me`, with a group alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.group = "me"
        self.members: list[str] = []
        self.users = [("me", ME, GID)]
        self.read_only = False
        self.acl: list[str] = []
        monkeypatch.setattr(grp, "getgrgid", self._group)
        monkeypatch.setattr(pwd, "getpwnam", self._user)
        monkeypatch.setattr(pwd, "getpwall", lambda: [self._user(each[0]) for each in self.users])
        monkeypatch.setattr(os, "listxattr", lambda _file: self.acl)
        monkeypatch.setattr(trusted, "group_is_private", ownership.group_is_private)
        monkeypatch.setattr(trusted, "is_read_only", lambda _file: self.read_only)

    def _group(self, gid: int) -> grp.struct_group:
        if gid != GID or not self.group:
            raise KeyError(gid)
        return grp.struct_group((self.group, "x", gid, self.members))

    def _user(self, name: str) -> pwd.struct_passwd:
        for known, uid, gid in self.users:
            if known == name:
                return pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/sh"))
        raise KeyError(name)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    return System(monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    folder.chmod(0o2775)
    path = folder / "app.pem"
    path.write_bytes(b"content")
    path.chmod(0o664)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_trusted(path, "certificate file")
    return str(caught.value)


def test_a_group_of_ones_own(system: System, file: Path) -> None:
    assert read_trusted(file, "certificate file") == b"content"
    check_trusted_content(file.parent, "folder")
    system.members = ["me"]
    assert read_trusted(file, "certificate file") == b"content"


def test_groups_with_others(system: System, file: Path) -> None:
    system.members = ["bob"]
    assert f"may be changed by group {GID} (mode 0664)" in refused(file)
    system.members = []
    system.users.append(("bob", ME + 1, GID))
    refused(file)
    system.users.pop()
    system.group = "users"  # a directory service may not tell who else is in it
    refused(file)
    system.group = ""
    refused(file)
    system.group, system.users = "me", [("me", ME + 1, GID)]
    refused(file)


def test_an_access_list_may_name_others(system: System, file: Path) -> None:
    system.acl = ["system.posix_acl_access"]
    refused(file)


def test_everybody(system: System, file: Path) -> None:
    file.chmod(0o666)
    assert "may be changed by everybody" in refused(file)
    file.chmod(0o664)
    file.parent.chmod(0o777)
    assert "may be changed by everybody" in refused(file)


def test_a_secret_of_kubernetes(system: System, tmp_path: Path) -> None:
    """The files are links to ..data, and that is one to a folder of the group."""
    system.group = ""
    mount = tmp_path / "secret"
    version = mount / "..2026_01_01"
    version.mkdir(parents=True)
    (version / "tls.key").write_bytes(b"content")
    (version / "tls.key").chmod(0o440)
    (mount / "..data").symlink_to(version.name)
    (mount / "tls.key").symlink_to("..data/tls.key")
    version.chmod(0o2775)
    mount.chmod(0o3777)
    refused(mount / "tls.key")
    system.read_only = True
    assert read_trusted(mount / "tls.key", "key file") == b"content"
    check_trusted_content(mount, "folder")


@pytest.mark.skipif(ME != 0, reason="gives files away")
def test_another_owner_on_a_read_only_mount(system: System, file: Path) -> None:
    os.chown(file, 12345, 12345)
    assert "belongs to another user (uid 12345)" in refused(file)
    system.read_only = True
    assert read_trusted(file, "certificate file") == b"content"


def test_read_only_as_the_system_tells_it(tmp_path: Path) -> None:
    assert not ownership.is_read_only(tmp_path)
    flags = os.statvfs("/sys").f_flag if Path("/sys").exists() else 0
    assert ownership.is_read_only(Path("/sys")) is bool(flags & os.ST_RDONLY)


def test_a_root_file_is_not_this_users_to_change(
    system: System, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ME != 0:
        pytest.skip("needs a file of root")
    system.group = ""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "it is root's; as root run: chmod go-w" in refused(file)
    os.chown(file, 12345, 12345)
    assert "as root run: chown 1000" in refused(file)


@pytest.mark.parametrize("mode", [0o640, 0o440])
def test_a_key_for_a_group(mode: int) -> None:
    """As certbot and fsGroup leave it."""
    [note] = SourceFile(Path("a.key"), stat.S_IMODE(mode), b"x").notes_on_mode()
    assert "its group may read" in note
    assert "chmod" not in note
