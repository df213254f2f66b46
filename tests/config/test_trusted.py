"""kssl.config.trusted: who may change a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kssl.config import trusted
from kssl.config.errors import ConfigError

Foreign = Callable[[Path], None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir(0o755)
    path = folder / "kssl.toml"
    path.write_bytes(b"content")
    path.chmod(0o644)
    return path


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Foreign:
    """Gives a file or folder to another user, really or as it seems."""

    def give(path: Path) -> None:
        if os.geteuid() == 0:
            os.lchown(path, 4242, -1)
            return
        given = os.lstat(path)
        real_fstat = os.fstat

        def seen(found: os.stat_result) -> os.stat_result:
            same = (found.st_dev, found.st_ino) == (given.st_dev, given.st_ino)
            fields = list(found[:10])  # mode, ino, dev, nlink, uid, gid, size and times
            fields[4] = 4242 if same else found.st_uid
            return os.stat_result(fields)

        def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
            return seen(os.stat(path, follow_symlinks=follow_symlinks))

        monkeypatch.setattr(os, "fstat", lambda descriptor: seen(real_fstat(descriptor)))
        monkeypatch.setattr(Path, "stat", stat)
        monkeypatch.setattr(Path, "lstat", lambda path: stat(path, follow_symlinks=False))

    return give


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        trusted.read_trusted(path, "configuration file")
    return str(caught.value)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o644, 0o755])
def test_read(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert trusted.read_trusted(file, "configuration file") == b"content"
    trusted.check_trusted_file(file, "configuration file")


@pytest.mark.parametrize(
    ("mode", "who"), [(0o664, "group"), (0o646, "everybody"), (0o666, "every")]
)
def test_writable_by_others(file: Path, mode: int, who: str) -> None:
    file.chmod(mode)
    said = refusal(file)
    assert f"configuration file {file} may be changed by {who}" in said
    assert f"(mode {mode:04o})" in said
    assert said.endswith(f"run: chmod go-w {file}")


def test_the_command_quotes_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a b"
    path.touch()
    path.chmod(0o666)
    assert refusal(path).endswith(f"run: chmod go-w '{path}'")


def test_folder_writable_by_others(file: Path) -> None:
    file.parent.chmod(0o775)
    said = refusal(file)
    assert f"folder of the configuration file, {file.parent}, may be changed by group" in said
    assert said.endswith(f"run: chmod go-w {file.parent}")
    file.parent.chmod(0o777)
    assert "everybody (mode 0777)" in refusal(file)


def test_sticky_folder(file: Path) -> None:
    file.parent.chmod(0o1777)
    assert trusted.read_trusted(file, "configuration file") == b"content"


def test_file_of_another_user(file: Path, foreign: Foreign) -> None:
    foreign(file)
    said = refusal(file)
    assert "belongs to another user (uid 4242), who could change it" in said
    assert said.endswith(f"run: chown {os.geteuid()} {file}")


def test_folder_of_another_user(file: Path, foreign: Foreign) -> None:
    foreign(file.parent)
    assert f"{file.parent}, belongs to another user (uid 4242)" in refusal(file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root owns what root owns")
def test_what_root_owns_is_trusted_by_others(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    assert trusted.read_trusted(file, "configuration file") == b"content"


def test_links_are_followed_and_judged_by_their_target(tmp_path: Path, file: Path) -> None:
    live = tmp_path / "live"
    live.mkdir(0o755)
    link = live / "cert.pem"
    link.symlink_to("../etc/kssl.toml")
    assert trusted.read_trusted(link, "certificate file") == b"content"
    file.chmod(0o666)
    assert "may be changed by everybody" in refusal(link)


def test_each_folder_on_the_way_counts(tmp_path: Path, file: Path) -> None:
    """Whoever can write there could let the link lead elsewhere."""
    between = tmp_path / "between"
    between.mkdir()
    (between / "middle").symlink_to(file)
    first = tmp_path / "first"
    first.symlink_to(between / "middle")
    assert trusted.read_trusted(first, "configuration file") == b"content"
    between.chmod(0o777)
    assert f"{between}, may be changed by everybody" in refusal(first)
    between.chmod(0o755)
    file.parent.chmod(0o777)
    assert f"{file.parent}, may be changed by everybody" in refusal(first)


def test_link_of_another_user(tmp_path: Path, file: Path, foreign: Foreign) -> None:
    tmp_path.chmod(0o1777)
    link = tmp_path / "link"
    link.symlink_to(file)
    foreign(link)
    assert "is a link of another user (uid 4242)" in refusal(link)


def test_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert "cannot be read: Too many levels of symbolic links" in refusal(tmp_path / "a")


def test_missing(tmp_path: Path) -> None:
    path = tmp_path / "none"
    assert refusal(path) == f"configuration file {path} does not exist; check the name"
    with pytest.raises(ConfigError, match="No such file or directory; check the name"):
        trusted.check_trusted_folder(path, "folder of the log")


def test_folder_fifo_and_odd_names(tmp_path: Path, file: Path) -> None:
    assert refusal(tmp_path).endswith("is a folder; name the file in it")
    os.mkfifo(tmp_path / "fifo")
    assert refusal(tmp_path / "fifo").endswith("is not a regular file")
    assert refusal(Path("/dev/null")).endswith("is not a regular file")
    assert refusal(Path("a\0b")).endswith("cannot be read: not a file name")
    assert refusal(file / "x").endswith("cannot be read: Not a directory")
    with pytest.raises(ConfigError, match="is not a folder"):
        trusted.check_trusted_folder(file, "folder of the log")
    with pytest.raises(ConfigError, match="not a file name"):
        trusted.check_trusted_folder(Path("a\0b"), "folder of the log")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable(file: Path) -> None:
    file.chmod(0)
    assert "cannot be read by this user" in refusal(file)


def test_limit(file: Path) -> None:
    assert trusted.read_trusted(file, "configuration file", limit=7) == b"content"
    with pytest.raises(ConfigError, match="is larger than 6 bytes"):
        trusted.read_trusted(file, "configuration file", limit=6)


def test_a_refusal_leaves_no_descriptor_open(file: Path) -> None:
    file.chmod(0o666)
    before = len(os.listdir("/proc/self/fd"))
    refusal(file)
    assert len(os.listdir("/proc/self/fd")) <= before  # those of earlier tests may go


def content_refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        trusted.check_trusted_content(path, "folder of CAs")
    return str(caught.value)


def test_content_of_a_folder(tmp_path: Path, file: Path, foreign: Foreign) -> None:
    folder = tmp_path / "cas"
    folder.mkdir()
    trusted.check_trusted_content(folder, "folder of CAs")
    folder.chmod(0o1777)  # others may add a file, though they can take none away
    assert content_refusal(folder).startswith("others may add files to folder of CAs")
    folder.chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to(folder)
    trusted.check_trusted_content(link, "folder of CAs")
    tmp_path.chmod(0o777)
    assert f"folder above the folder of CAs, {tmp_path}, may" in content_refusal(folder)
    tmp_path.chmod(0o1777)
    trusted.check_trusted_content(link, "folder of CAs")
    foreign(link)
    assert f"folder of CAs {link} is a link of another user (uid 4242)" in content_refusal(link)
    assert "is not a folder" in content_refusal(file)
