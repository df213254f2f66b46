"""The access log in FIFOs and full disks, on standard output, and what it says of lost lines."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kssl.config.document.read import Request, read_configuration
from kssl.config.model import Logs
from kssl.fastpath.logs.descriptor import Descriptor
from kssl.fastpath.logs.writer import LineWriter
from kssl.proxy.journal import accesslog
from kssl.proxy.journal.accesslog import AccessLog, open_access_log
from tests.proxy.frontend.rig import wait_for

LINES = 2000
SECONDS = 60.0


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def write(log: AccessLog, number: int) -> None:
    log.write(b"127.0.0.1", b"GET /%d HTTP/1.1" % number, 200, 12, b"", b"", b"-")
    log.flush()


def read_all(reading: int) -> bytes:
    os.set_blocking(reading, True)
    data = b""
    while part := os.read(reading, 1 << 16):
        data += part
    return data


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "fifo"
    os.mkfifo(path, 0o600)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reading
    os.close(reading)


def test_a_fifo_whose_reader_is_slow_loses_nothing(
    loop: asyncio.AbstractEventLoop, fifo: tuple[Path, int]
) -> None:
    path, reading = fifo
    stream = open_access_log(Logs(path), None)
    assert stream is not None
    log = AccessLog(loop, stream)
    for number in range(LINES):
        write(log, number)
    log.reopen(None)  # the thread closes it when all is written
    lines = read_all(reading).splitlines()
    assert [line.split()[6] for line in lines] == [b"/%d" % number for number in range(LINES)]
    assert log.lost == 0


def test_what_a_fifo_s_reader_is_too_slow_for_is_counted_and_told(
    loop: asyncio.AbstractEventLoop, fifo: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accesslog, "_LIMIT", 50_000)
    path, reading = fifo
    stream = open_access_log(Logs(path), None)
    assert stream is not None
    log = AccessLog(loop, stream)
    for number in range(LINES):
        write(log, number)
    assert 0 < log.lost < LINES
    log.reopen(None)
    lines = read_all(reading).splitlines()
    lost = sum(int(line.split()[1]) for line in lines if line.startswith(b"#Remark: "))
    kept = [line for line in lines if line.startswith(b"127.0.0.1 ")]
    assert lost == log.lost
    assert len(kept) + lost == LINES
    assert all(line.startswith((b"127.0.0.1 ", b"#Remark: ")) for line in lines)


def test_a_reader_that_goes_and_comes_back(
    loop: asyncio.AbstractEventLoop,
    fifo: tuple[Path, int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("kssl.fastpath.logs.writer.RETRY", 0.001)
    path, reading = fifo
    again = os.dup(reading)  # so that `fifo` may close its own
    stream = open_access_log(Logs(path), None)
    assert stream is not None
    log = AccessLog(loop, stream)
    os.close(again)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, reading)  # nobody reads
    os.close(null)
    write(log, 0)
    wait_for(lambda: "Broken pipe" in caplog.text, "it is told")
    write(log, 1)
    back = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        log.reopen(None)
        wait_for(lambda: stream.over, "all is written")
        assert [line.split()[6] for line in read_all(back).splitlines()] == [b"/0", b"/1"]
    finally:
        os.close(back)
    assert log.lost == 0


def test_the_file_of_a_service_that_met_a_full_disk(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    """It has left a half line, which ends before the next one begins."""
    path = tmp_path / "access.log"
    path.write_bytes(b"127.0.0.1 - - [half")
    path.chmod(0o640)
    log = AccessLog(loop, open_access_log(Logs(path), None))
    write(log, 7)
    log.close()
    first, second = path.read_bytes().splitlines()
    assert first == b"127.0.0.1 - - [half"
    assert second.split()[6] == b"/7"


def test_close_waits_for_the_file_and_ends_the_log(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(loop, open_access_log(Logs(path), None))
    log.write(b"127.0.0.1", b"GET / HTTP/1.1", 200, 12, b"", b"", b"-")
    log.close()
    assert path.read_bytes().count(b"\n") == 1
    assert not log.enabled
    write(log, 1)
    assert path.read_bytes().count(b"\n") == 1


def test_the_words(tmp_path: Path) -> None:
    stream = LineWriter(
        Descriptor(os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT), own=True),
        name="out", limit=1000, remark=b"%d\n",
    )  # fmt: skip
    try:
        for word in ("stdout", "stderr"):
            assert open_access_log(Logs(word), {word: stream}) is stream
            assert open_access_log(Logs(word), {}) is None
            assert open_access_log(Logs(word), None) is None
        assert open_access_log(Logs("off"), {"off": stream}) is None
    finally:
        stream.close()


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("stdout", "stdout"),
        ("stderr", "stderr"),
        ("off", "off"),
        ("none", "off"),
        ("./stdout", Path("stdout")),
    ],
)
def test_words_in_the_file(tmp_path: Path, word: str, means: str | Path) -> None:
    path = tmp_path / "kssl.toml"
    path.write_text(f'[[site]]\nupstreams = ["http://127.0.0.1:1"]\n[logs]\naccess = "{word}"\n')
    path.chmod(0o600)
    read = read_configuration(Request(path=path, state_dir=tmp_path / "state"))
    assert read.logs == Logs(tmp_path / means if isinstance(means, Path) else means)


def test_lines_of_streams_that_are_not_ours_stay_counted(loop: asyncio.AbstractEventLoop) -> None:
    reading, writing = os.pipe()
    stream = LineWriter(Descriptor(writing, own=True), name="s", limit=10, remark=b"%d\n")
    try:
        log = AccessLog(loop, stream)
        write(log, 1)
        assert log.lost == 1
        log.reopen(io.BytesIO())
        assert log.lost == 1
        assert stream.close(SECONDS)
    finally:
        os.close(reading)
