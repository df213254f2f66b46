"""kssl.config.statedir: ownership, modes, atomic writing, the lock."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kssl.config import statedir
from kssl.config.errors import ConfigError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_default_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_STATE_HOME", "/var/mine")
    assert statedir.default_state_dir() == Path("/var/mine/kssl")
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    assert statedir.default_state_dir() == Path("/home/me/.local/state/kssl")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert statedir.default_state_dir() == Path("/home/me/.local/state/kssl")


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_made_private_with_its_parents(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        made = statedir.ensure_state_dir(tmp_path / "a" / "b")
    finally:
        os.umask(old)
    assert mode(made) == 0o700
    assert statedir.ensure_state_dir(made) == made


@pytest.mark.parametrize("bits", [0o770, 0o702, 0o777])
def test_writable_by_others_is_refused(tmp_path: Path, bits: int) -> None:
    folder = tmp_path / "it's"
    folder.mkdir()
    folder.chmod(bits)
    with pytest.raises(ConfigError, match="chmod 700") as caught:
        statedir.ensure_state_dir(folder)
    assert f"{bits:04o}" in str(caught.value)
    folder.chmod(0o755)
    statedir.ensure_state_dir(folder)


def test_own_symlink_is_resolved_and_its_end_is_checked(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir(mode=0o700)
    link.symlink_to(real)
    assert statedir.ensure_state_dir(link) == real.resolve()
    real.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write"):
        statedir.ensure_state_dir(link)


def test_folder_or_link_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another user is whoever we are not: the owner stays, we change.
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigError, match=r"belongs to another user.*--state-dir"):
        statedir.ensure_state_dir(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_link_planted_by_another_user_is_refused(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir(mode=0o700)
    link.symlink_to(real)
    os.lchown(link, 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to another user"):
        statedir.ensure_state_dir(link)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    os.chown(elsewhere, 12345, 12345)
    mine = tmp_path / "mine"
    mine.symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="uid 12345"):
        statedir.ensure_state_dir(mine)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    dangling, loop = tmp_path / "dangling", tmp_path / "loop"
    dangling.symlink_to(tmp_path / "nowhere")
    loop.symlink_to(loop)
    for path in (file, file / "below", dangling, loop):
        with pytest.raises(ConfigError, match="state folder"):
            statedir.ensure_state_dir(path)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_written_modes_and_content(tmp_path: Path, umask: int) -> None:
    private, public = tmp_path / "private", tmp_path / "public"
    private.write_bytes(b"old")
    private.chmod(0o666)
    old = os.umask(umask)
    try:
        statedir.write_private(private, b"secret")
        statedir.write_public(public, b"open")
    finally:
        os.umask(old)
    assert (mode(private), private.read_bytes()) == (0o600, b"secret")
    assert (mode(public), public.read_bytes()) == (0o644, b"open")
    assert sorted(tmp_path.iterdir()) == [private, public]


def test_write_replaces_a_link_and_leaves_its_end_alone(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_bytes(b"theirs")
    link.symlink_to(victim)
    statedir.write_private(link, b"ours")
    assert victim.read_bytes() == b"theirs"
    assert not link.is_symlink()


def test_failed_write_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        statedir.write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_replace_keeps_the_mode_and_a_new_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    statedir.replace(path, b"1")
    assert (path.read_bytes(), path.stat().st_mode & 0o7777) == (b"1", 0o600)
    path.chmod(0o640)
    statedir.replace(path, b"2")
    assert (path.read_bytes(), path.stat().st_mode & 0o7777) == (b"2", 0o640)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_replace_keeps_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    os.chown(path, 12345, 12346)
    statedir.replace(path, b"2")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert statedir.read_private(path) is None
    statedir.write_private(path, b"x")
    assert statedir.read_private(path) == statedir.read_public(path) == b"x"
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=r"0640.*chmod 600"):
        statedir.read_private(path)
    link = tmp_path / "link"
    link.symlink_to(path)
    os.mkfifo(tmp_path / "fifo")
    for refused in (link, tmp_path, tmp_path / "fifo"):
        with pytest.raises(ConfigError):
            statedir.read_public(refused)
    (tmp_path / "large").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(ConfigError, match="larger than"):
        statedir.read_public(tmp_path / "large")


def test_remove(tmp_path: Path) -> None:
    statedir.write_public(tmp_path / "a", b"")
    statedir.remove(tmp_path / "a")
    statedir.remove(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    with pytest.raises(ConfigError, match="cannot delete"):
        statedir.remove(tmp_path)


def test_lock_excludes_and_is_released_on_error(tmp_path: Path) -> None:
    def fail_inside() -> None:
        with statedir.locked(tmp_path):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_inside()
    with statedir.locked(tmp_path):
        assert mode(tmp_path / "lock") == 0o600
        with (
            pytest.raises(ConfigError, match=r"another kssl process.*0.05 seconds"),
            statedir.locked(tmp_path, timeout=0.05),
        ):
            pytest.fail("two holders")


def test_lock_waits_for_its_turn(tmp_path: Path) -> None:
    order: list[str] = []
    entered = threading.Event()

    def first() -> None:
        with statedir.locked(tmp_path):
            entered.set()
            # Long enough that `second` has to poll, if it does not wait it appends first.
            threading.Event().wait(0.06)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait()
    with statedir.locked(tmp_path):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys; from config import statedir\n"
        "with statedir.locked(pathlib.Path(sys.argv[1])): os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, timeout=60)
    with statedir.locked(tmp_path, timeout=0):
        pass
