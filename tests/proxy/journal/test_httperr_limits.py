"""The HTTPERR log: limits for what strangers cause, probes in one line, a thread that writes."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from kssl.config.errors import ConfigError
from kssl.fastpath.logs.allowance import Allowance
from kssl.proxy.journal.httperr import PROBE_SECONDS, ErrorLog
from kssl.proxy.journal.httperr_files import Files
from tests.proxy.journal.test_httperr import Turn, events, logs

SECONDS = 60.0


class Clock:
    def __init__(self) -> None:
        self.now = 1795268663.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def turn() -> Turn:
    return Turn()


def remarks(folder: Path) -> list[bytes]:
    return [
        line
        for _, data in sorted(logs(folder).items())
        for line in data.splitlines()
        if line.startswith(b"#Remark")
    ]


def open_log(folder: Path, turn: Turn, clock: Clock, **options: bool) -> ErrorLog:
    allowance = Allowance(3, 10.0, clock)
    return ErrorLog(folder, 1 << 20, clock, turn.call_soon, allowance=allowance, **options)


def test_lines_without_a_request_are_limited_by_reason(
    tmp_path: Path, turn: Turn, clock: Clock
) -> None:
    log = open_log(tmp_path, turn, clock)
    for _ in range(5):
        log.write(reason="Handshake")
        log.write(reason="Unclean_Close")
        log.write(reason="URL", method=b"GET", uri=b"/")  # of requests each
        log.write(reason="BadRequest", method=b"GET", uri=b"/")  # plain HTTP on the TLS port
    turn.end()
    log.sweep()
    turn.end()
    words = [row[11] for row in events(logs(tmp_path)["httperr1.log"])]
    assert {word: words.count(word) for word in words} == {
        b"Handshake": 3, b"Unclean_Close": 3, b"URL": 5, b"BadRequest": 3,
    }  # fmt: skip
    assert remarks(tmp_path) == []
    clock.now += 10
    log.sweep()
    log.sweep()
    log.close()
    assert sorted(remarks(tmp_path)) == [
        b"#Remark: 2 more lines with BadRequest were left out within 10 s",
        b"#Remark: 2 more lines with Handshake were left out within 10 s",
        b"#Remark: 2 more lines with Unclean_Close were left out within 10 s",
    ]
    assert log.left_out == {"Handshake": 2, "Unclean_Close": 2, "BadRequest": 2}


def test_the_end_tells_what_was_left_out(tmp_path: Path, turn: Turn, clock: Clock) -> None:
    log = open_log(tmp_path, turn, clock)
    for _ in range(4):
        log.write(reason="Handshake")
    log.without_request()
    log.close()
    assert remarks(tmp_path) == [
        b"#Remark: 1 more lines with Handshake were left out within 10 s",
        b"#Remark: 1 connections ended before a request",
    ]


def test_probes_are_one_line_an_hour(tmp_path: Path, turn: Turn, clock: Clock) -> None:
    log = open_log(tmp_path, turn, clock)
    for _ in range(2):
        for _ in range(720):
            log.without_request()
            log.sweep()
            clock.now += PROBE_SECONDS / 720
        log.sweep()
        turn.end()
    log.close()
    assert remarks(tmp_path) == [b"#Remark: 720 connections ended before a request"] * 2


def test_off_counts_nothing() -> None:
    log = ErrorLog.off()
    log.without_request()
    log.sweep()
    log.close()
    assert (log.lost, log.left_out) == (0, {})


def test_a_thread_writes_and_the_end_waits_for_it(tmp_path: Path, turn: Turn, clock: Clock) -> None:
    log = open_log(tmp_path, turn, clock, in_background=True)
    for number in range(500):
        log.write(reason="URL", method=b"GET", uri=b"/%d" % number)
        turn.end()
    log.close()
    rows = events(logs(tmp_path)["httperr1.log"])
    assert [row[8] for row in rows] == [b"/%d" % number for number in range(500)]


def test_a_disk_that_hangs_stops_nobody(
    tmp_path: Path, turn: Turn, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, go_on = threading.Event(), threading.Event()
    write = Files.append

    def slow(self: Files, lines: list[bytes], date: bytes) -> None:
        hangs.set()
        assert go_on.wait(SECONDS)
        write(self, lines, date)

    monkeypatch.setattr(Files, "append", slow)
    monkeypatch.setattr("kssl.proxy.journal.httperr._LIMIT", 10_000)
    log = open_log(tmp_path, turn, clock, in_background=True)
    log.write(reason="URL", method=b"GET", uri=b"/first")
    turn.end()
    assert hangs.wait(SECONDS)
    for number in range(1000):
        log.write(reason="URL", method=b"GET", uri=b"/%d" % number)
        turn.end()
    lost = log.lost
    assert 500 < lost < 1000
    go_on.set()
    log.close()
    assert len(events(logs(tmp_path)["httperr1.log"])) + lost == 1001
    assert remarks(tmp_path) == [b"#Remark: %d lines before this one were lost" % lost]


def spoil_mode(folder: Path) -> None:
    folder.chmod(0o777)


def spoil_file(folder: Path) -> None:
    (folder / "httperr9.log").touch()
    (folder / "httperr9.log").chmod(0o666)


@pytest.mark.parametrize("spoil", [spoil_mode, spoil_file])
def test_a_folder_that_is_not_trusted_any_more(
    tmp_path: Path,
    turn: Turn,
    spoil: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log goes on in the file that is open, beyond its size, until that is put right."""
    log = ErrorLog(tmp_path, 1000, Clock(), turn.call_soon)
    folder = tmp_path / "HTTPERR"
    log.write(reason="URL", method=b"GET", uri=b"/0")
    turn.end()
    spoil(folder)
    for number in range(1, 30):
        log.write(reason="URL", method=b"GET", uri=b"/%d" % number)
        turn.end()
    assert log.lost == 0
    assert len(events((folder / "httperr1.log").read_bytes())) == 30
    assert "the HTTPERR log goes on in its last file" in caplog.messages[0]
    assert "chmod" in caplog.messages[0]
    assert len(caplog.messages) < 5
    folder.chmod(0o700)
    (folder / "httperr9.log").unlink(missing_ok=True)
    for number in range(30, 60):
        log.write(reason="URL", method=b"GET", uri=b"/%d" % number)
        turn.end()
    log.close()
    found = sorted(os.listdir(folder))
    assert len(found) > 1
    assert sum(len(events((folder / name).read_bytes())) for name in found) == 60


def test_it_is_checked_at_the_start(tmp_path: Path, turn: Turn) -> None:
    (tmp_path / "HTTPERR").mkdir()
    (tmp_path / "HTTPERR").chmod(0o777)
    with pytest.raises(ConfigError, match="chmod 700"):
        ErrorLog(tmp_path, 1000, Clock(), turn.call_soon)


def test_a_closed_log_leaves_nothing_to_the_cyclic_collector(
    tmp_path: Path, turn: Turn, clock: Clock
) -> None:
    """Its thread would otherwise keep it in a cycle."""
    log = open_log(tmp_path, turn, clock, in_background=True)
    log.write(reason="URL", method=b"GET", uri=b"/")
    log.close()
    gone = weakref.ref(log)
    gc.collect()
    gc.disable()
    try:
        del log
        turn.calls.clear()
        assert gone() is None
    finally:
        gc.enable()
