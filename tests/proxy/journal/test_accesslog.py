"""The access log: its format, one line for each request, and nothing that forges another."""

from __future__ import annotations

import asyncio
import io
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kssl.config.errors import ConfigError
from kssl.config.model import Logs
from kssl.fastpath.engines.contract import Session
from kssl.proxy.journal.accesslog import (
    MAX_REQUEST_LINE,
    AccessLog,
    describe_session,
    escape,
    open_access_log,
)

LINE = re.compile(
    rb"127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "
    rb'"[^"\n]*" \d{3} \d+ "[^"\n]+" "[^"\n]+" TLSv1\.3 TLS_AES_128_GCM_SHA256 user\n'
)
SESSION = describe_session(
    Session("TLSv1.3", "TLS_AES_128_GCM_SHA256", server_name="", alpn="", group=""), "user"
)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def turn(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(asyncio.sleep(0))


def write(
    log: AccessLog, line: bytes = b"GET / HTTP/1.1", referer: bytes = b"", agent: bytes = b""
) -> None:
    log.write(b"127.0.0.1", line, 200, 12, referer, agent, SESSION)


def test_the_format(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1795245965.9)
    out = io.BytesIO()
    log = AccessLog(loop, out)
    write(log, referer=b"https://a/", agent=b"curl/7.88.1")
    turn(loop)
    assert out.getvalue() == (
        b'127.0.0.1 - - [21/Nov/2026:07:26:05 +0000] "GET / HTTP/1.1" 200 12 "https://a/" '
        b'"curl/7.88.1" TLSv1.3 TLS_AES_128_GCM_SHA256 user\n'
    )


def test_one_write_for_the_lines_of_a_turn(loop: asyncio.AbstractEventLoop) -> None:
    out = io.BytesIO()
    log = AccessLog(loop, out)
    for _ in range(3):
        write(log)
    assert out.getvalue() == b""
    turn(loop)
    assert len(LINE.findall(out.getvalue())) == 3
    write(log)
    log.flush()
    turn(loop)
    assert len(LINE.findall(out.getvalue())) == 4


@pytest.mark.parametrize("byte", range(256))
def test_no_byte_forges_anything(loop: asyncio.AbstractEventLoop, byte: int) -> None:
    evil = b"a" + bytes([byte]) + b'b" 200 0 "-" "-"\r\n127.0.0.1 - - ['
    out = io.BytesIO()
    log = AccessLog(loop, out)
    write(log, line=evil, referer=evil, agent=evil)
    turn(loop)
    assert LINE.fullmatch(out.getvalue())
    assert out.getvalue()[:-1].isascii()
    assert out.getvalue()[:-1].decode().isprintable()


def test_escapes() -> None:
    assert escape(b'a"\\\r\n\x1b\xff') == rb"a\x22\x5c\x0d\x0a\x1b\xff"
    assert escape(b"plain [text]") == b"plain [text]"


def test_a_long_request_line_is_cut(loop: asyncio.AbstractEventLoop) -> None:
    out = io.BytesIO()
    log = AccessLog(loop, out)
    write(log, line=b"\n" * (MAX_REQUEST_LINE + 100))
    turn(loop)
    assert out.getvalue().count(rb"\x0a") == MAX_REQUEST_LINE


def test_turned_off(loop: asyncio.AbstractEventLoop) -> None:
    log = AccessLog(loop, None)
    write(log)
    log.flush()


@pytest.mark.parametrize("word", ["ok", "none", "403.16"])
def test_the_verdict_on_a_certificate(word: str, loop: asyncio.AbstractEventLoop) -> None:
    session = Session("TLSv1.3", "TLS_AES_128_GCM_SHA256", server_name="", alpn="", group="")
    assert describe_session(session, "user", "") == SESSION
    out = io.BytesIO()
    log = AccessLog(loop, out)
    text = describe_session(session, "user", word)
    log.write(b"127.0.0.1", b"GET / HTTP/1.1", 200, 12, b"", b"", text)
    turn(loop)
    assert out.getvalue().endswith(
        b'"-" "-" TLSv1.3 TLS_AES_128_GCM_SHA256 user cert=%b\n' % word.encode()
    )


# -- the file ----------------------------------------------------------------------------------


def test_a_new_file_is_not_for_everybody(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    stream = open_access_log(Logs(path), None)
    assert stream is not None
    stream.close()
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0


@pytest.mark.parametrize("mode", [0o660, 0o602])
def test_a_file_that_others_may_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "access.log"
    path.touch()
    path.chmod(mode)
    with pytest.raises(ConfigError, match=r"access log .*may be changed by .*chmod go-w"):
        open_access_log(Logs(path), None)


def test_what_is_no_file_is_taken_as_it_is() -> None:
    stream = open_access_log(Logs(Path(os.devnull)), None)
    assert stream is not None
    stream.close()
