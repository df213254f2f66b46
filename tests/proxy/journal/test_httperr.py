"""The HTTPERR log: its format, its files, who may not touch them, and what a full disk does."""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kssl.config.errors import ConfigError
from kssl.proxy.journal.httperr import FIELDS, MAX_METHOD, MAX_URI, REASONS, ErrorLog
from tests.examples import examples

NOW = 1795268663.9  # 2026-11-21 13:44:23 UTC
MEBIBYTE = 1 << 20


class Turn:
    """Stands for the event loop: `end` runs what was asked for."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def end(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


@pytest.fixture
def turn() -> Turn:
    return Turn()


def open_log(folder: Path, turn: Turn, size: int = MEBIBYTE) -> ErrorLog:
    return ErrorLog(folder, size, lambda: NOW, turn.call_soon)


def logs(folder: Path) -> dict[str, bytes]:
    found = (folder / "HTTPERR").iterdir()
    return {path.name: path.read_bytes() for path in found}


def events(data: bytes) -> list[list[bytes]]:
    """The fields of each line that is no directive."""
    assert data.endswith(b"\n")
    rows = [line for line in data[:-1].split(b"\n") if not line.startswith(b"#")]
    return [row.split(b" ") for row in rows]


def test_the_format(tmp_path: Path, turn: Turn) -> None:
    log = open_log(tmp_path, turn)
    assert log.enabled
    log.write(
        client=("192.0.2.7", 50122),
        server=("2001:db8::1", 443),
        version=b"1.1",
        method=b"GET",
        uri=b"/a b\t\x00?x",
        status=400,
        site=1,
        reason="URL",
        queue="my app",
    )
    log.write(reason="Connections_Refused")
    turn.end()
    log.close()
    assert logs(tmp_path) == {
        "httperr1.log": b"#Software: kssl\n#Version: 1.0\n#Date: 2026-11-21 13:44:23\n"
        b"#Fields: date time c-ip c-port s-ip s-port cs-version cs-method cs-uri sc-status "
        b"s-siteid s-reason s-queuename\n"
        b"2026-11-21 13:44:23 192.0.2.7 50122 2001:db8::1 443 HTTP/1.1 GET /a+b++?x 400 1 URL "
        b"my+app\n"
        b"2026-11-21 13:44:23 - - - - - - - - - Connections_Refused -\n"
    }


def test_long_fields_are_cut(tmp_path: Path, turn: Turn) -> None:
    log = open_log(tmp_path, turn)
    log.write(method=b"M" * 300, uri=b"/" * 5000, reason="Verb")
    log.close()
    [row] = events(logs(tmp_path)["httperr1.log"])
    assert (len(row[7]), len(row[8])) == (MAX_METHOD, MAX_URI) == (255, 4096)


ADDRESSES = st.none() | st.tuples(st.text(), st.integers(-1, 70000))


@settings(
    max_examples=examples(300),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    client=ADDRESSES,
    server=ADDRESSES,
    version=st.binary(max_size=12),
    method=st.binary(max_size=300),
    uri=st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")),
    status=st.integers(0, 999),
    site=st.integers(0, 1 << 40),
    reason=st.sampled_from(sorted(REASONS)) | st.text(),
    queue=st.text(),
)
def test_whatever_comes_is_thirteen_fields(
    client: tuple[str, int] | None,
    server: tuple[str, int] | None,
    version: bytes,
    method: bytes,
    uri: bytes,
    status: int,
    site: int,
    reason: str,
    queue: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = open_log(folder, Turn())
    log.write(
        client=client, server=server, version=version, method=method, uri=uri, status=status,
        site=site, reason=reason, queue=queue,
    )  # fmt: skip
    log.close()
    data = logs(folder)["httperr1.log"]
    [row] = events(data)
    assert len(row) == len(FIELDS) == 13
    assert all(row)
    for field in row:
        text = field.decode()
        assert text.isprintable()
        assert not re.search(r"\s", text)
    assert row[9] == (b"%d" % status if status else b"-")
    if reason in REASONS:
        assert row[11] == reason.encode()


def test_one_write_at_the_end_of_a_turn(tmp_path: Path, turn: Turn) -> None:
    log = open_log(tmp_path, turn)
    assert logs(tmp_path) == {}  # none without a line
    for _ in range(3):
        log.write(reason="URL")
    assert len(turn.calls) == 1
    assert logs(tmp_path) == {}
    turn.end()
    assert len(events(logs(tmp_path)["httperr1.log"])) == 3
    log.write(reason="URL")
    log.close()  # also what no turn has written
    turn.end()
    assert len(events(logs(tmp_path)["httperr1.log"])) == 4


def test_modes(tmp_path: Path, turn: Turn) -> None:
    folder = tmp_path / "a" / "LogFiles"
    before = os.umask(0)
    try:
        log = open_log(folder, turn)
        log.write(reason="URL")
        log.close()
    finally:
        os.umask(before)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (folder, folder / "HTTPERR", folder / "HTTPERR" / "httperr1.log")
    }
    assert modes == {"LogFiles": 0o700, "HTTPERR": 0o700, "httperr1.log": 0o600}


def test_numbers_go_on(tmp_path: Path, turn: Turn) -> None:
    log = open_log(tmp_path, turn)
    (tmp_path / "HTTPERR" / "httperr9.log").write_bytes(b"old")
    (tmp_path / "HTTPERR" / "httperr10.log").write_bytes(b"old")
    (tmp_path / "HTTPERR" / "httperr11.log.gz").write_bytes(b"old")
    (tmp_path / "HTTPERR" / "httperr.log").write_bytes(b"old")
    for expected in ("httperr11.log", "httperr12.log"):
        log.write(reason="URL")
        log.close()
        assert len(events(logs(tmp_path)[expected])) == 1
    assert logs(tmp_path)["httperr10.log"] == b"old"


def test_a_full_file_is_followed_by_the_next(tmp_path: Path, turn: Turn) -> None:
    log = open_log(tmp_path, turn, size=1000)
    for number in range(50):
        log.write(uri=b"/%d" % number, reason="URL")
        if number % 7 == 0:
            turn.end()
    log.close()
    files = logs(tmp_path)
    assert set(files) == {f"httperr{number}.log" for number in range(1, len(files) + 1)}
    assert len(files) == 3
    seen = []
    for number in range(1, len(files) + 1):
        data = files[f"httperr{number}.log"]
        assert data.startswith(b"#Software: ")
        assert len(data) <= 1000
        assert len(data) > 940 or number == len(files)
        seen += [row[8] for row in events(data)]
    assert seen == [b"/%d" % number for number in range(50)]


def test_a_line_that_no_file_is_long_enough_for(tmp_path: Path, turn: Turn) -> None:
    log = open_log(tmp_path, turn, size=10)
    for _ in range(2):
        log.write(reason="URL")
    log.close()
    assert [len(events(data)) for data in logs(tmp_path).values()] == [1, 1]


def test_off(tmp_path: Path) -> None:
    log = ErrorLog.off()
    assert not log.enabled
    log.write(reason="URL", status=400)
    log.flush()
    log.close()
    assert list(tmp_path.iterdir()) == []


# -- whose files ---------------------------------------------------------------------------


def spoil_folder(folder: Path) -> None:
    (folder / "HTTPERR").mkdir(parents=True)
    folder.chmod(0o770)


def spoil_subfolder(folder: Path) -> None:
    (folder / "HTTPERR").mkdir(parents=True)
    (folder / "HTTPERR").chmod(0o702)


def spoil_file(folder: Path) -> None:
    (folder / "HTTPERR").mkdir(parents=True)
    path = folder / "HTTPERR" / "httperr3.log"
    path.write_bytes(b"")
    path.chmod(0o620)


def link_folder(folder: Path) -> None:
    other = folder.with_name("other")
    other.mkdir()
    folder.symlink_to(other)


def link_subfolder(folder: Path) -> None:
    folder.mkdir()
    other = folder.with_name("other")
    other.mkdir()
    (folder / "HTTPERR").symlink_to(other)


def link_file(folder: Path) -> None:
    (folder / "HTTPERR").mkdir(parents=True)
    (folder / "HTTPERR" / "httperr1.log").symlink_to(folder.with_name("other"))


def file_for_folder(folder: Path) -> None:
    folder.write_bytes(b"")


def file_for_subfolder(folder: Path) -> None:
    folder.mkdir()
    (folder / "HTTPERR").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_folder, "others may write to .*LogFiles .mode 0770.*chmod 700 "),
        (spoil_subfolder, "others may write to .*HTTPERR .mode 0702.*chmod 700 "),
        (spoil_file, "others may write to .*httperr3.log .mode 0620.*chmod 600 "),
        (link_folder, "LogFiles.* is not a folder"),
        (link_subfolder, "HTTPERR.* is not a folder"),
        (link_file, "httperr1.log.* is not a regular file"),
        (file_for_folder, "LogFiles.*ErrorLoggingDir"),
        (file_for_subfolder, "HTTPERR.* is not a folder"),
    ],
)
def test_what_somebody_else_could_change_is_refused(
    tmp_path: Path, turn: Turn, spoil: Callable[[Path], None], says: str
) -> None:
    folder = tmp_path / "LogFiles"
    spoil(folder)
    with pytest.raises(ConfigError, match=says):
        open_log(folder, turn)
    assert not (tmp_path / "other").is_dir() or not list((tmp_path / "other").iterdir())


@pytest.mark.parametrize("name", ["", "HTTPERR", "HTTPERR/httperr1.log"])
def test_what_belongs_to_somebody_else_is_refused(
    tmp_path: Path, turn: Turn, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path / "LogFiles", turn)
    log.write(reason="URL")
    log.close()
    if os.geteuid() == 0:
        os.chown(tmp_path / "LogFiles" / name, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ConfigError, match="belongs to another user"):
        open_log(tmp_path / "LogFiles", turn)


def test_a_folder_that_cannot_be_made(tmp_path: Path, turn: Turn) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="set ErrorLoggingDir to another"):
        open_log(tmp_path / "file" / "LogFiles", turn)


# -- when it cannot be written -------------------------------------------------------------


def test_a_full_disk(
    tmp_path: Path, turn: Turn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = open_log(tmp_path, turn)
    log.write(uri=b"/before", reason="URL")
    turn.end()
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 10:
            return real(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "kssl"):
        patch.setattr(os, "write", full)
        for _ in range(3):
            log.write(uri=b"/lost", reason="URL")
            log.write(uri=b"/lost", reason="URL")
            turn.end()
    assert len(caplog.messages) == 1
    assert "No space left on device" in caplog.messages[0]
    assert str(tmp_path) in caplog.messages[0]
    caplog.clear()
    with caplog.at_level(logging.WARNING, "kssl"):
        for uri in (b"/after", b"/later"):
            log.write(uri=uri, reason="URL")
            turn.end()
    assert len(caplog.messages) == 1
    assert "6 lines were lost" in caplog.messages[0]
    log.close()
    data = logs(tmp_path)["httperr1.log"]
    assert [row[8] for row in events(data)] == [b"/before", b"/after", b"/later"]
    assert data.count(b"#Remark: 6 lines before this one were lost\n") == 1


def test_no_file_without_its_header(
    tmp_path: Path, turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path, turn)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for _ in range(3):
            log.write(reason="URL")
            turn.end()
    assert logs(tmp_path) == {}
    log.write(reason="URL")
    log.close()
    [data] = logs(tmp_path).values()
    assert data.startswith(b"#Software: ")
    assert b"#Remark: 3 lines" in data


def test_a_disk_that_is_full_again_at_once(
    tmp_path: Path, turn: Turn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Lines that were told as lost are not counted again."""
    log = open_log(tmp_path, turn, size=400)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for _ in range(5):
            log.write(reason="URL")
        turn.end()
    log.write(uri=b"/" + b"a" * 100, reason="URL")
    log.write(uri=b"/" + b"b" * 300, reason="URL")
    real = os.open

    def once(path: str, *arguments: int, **options: int) -> int:
        if path == "httperr2.log":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, *arguments, **options)

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "kssl"):
        patch.setattr(os, "open", once)
        turn.end()
    log.write(reason="URL")
    log.close()
    files = logs(tmp_path)
    assert b"#Remark: 5 lines" in files["httperr1.log"]
    assert b"#Remark: 1 lines" in files["httperr1.log"] + files.get("httperr2.log", b"")
    assert "6 lines" not in caplog.text


@pytest.mark.parametrize("name", ["HTTPERR/httperr1.log", "HTTPERR", "."])
def test_what_was_removed_is_made_again(
    tmp_path: Path, turn: Turn, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "LogFiles"
    log = open_log(folder, turn)
    log.write(uri=b"/before", reason="URL")
    turn.end()
    (folder / "HTTPERR" / "httperr1.log").unlink()
    if name != "HTTPERR/httperr1.log":
        (folder / "HTTPERR").rmdir()
    if name == ".":
        folder.rmdir()
    log.write(uri=b"/after", reason="URL")
    log.close()
    assert [row[8] for row in events(logs(folder)["httperr1.log"])] == [b"/after"]
    assert caplog.messages == []


def test_a_removed_folder_that_cannot_be_made_again(
    tmp_path: Path, turn: Turn, caplog: pytest.LogCaptureFixture
) -> None:
    log = open_log(tmp_path / "LogFiles", turn)
    (tmp_path / "LogFiles" / "HTTPERR").rmdir()
    (tmp_path / "LogFiles" / "HTTPERR").symlink_to(tmp_path)
    for _ in range(2):
        log.write(reason="URL")
        turn.end()
    assert len(caplog.messages) == 1
    assert "is not a folder" in caplog.messages[0]
    assert not list(tmp_path.glob("httperr*"))
    (tmp_path / "LogFiles" / "HTTPERR").unlink()
    log.close()
    log.write(reason="URL")
    log.close()
    assert b"#Remark: 2 lines" in logs(tmp_path / "LogFiles")["httperr1.log"]
