"""What `logging` and ``sys.stderr`` get: all of it, in order, and without waiting."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kssl.fastpath.logs.allowance import Allowance
from kssl.fastpath.logs.messages import Messages, limited
from tests.fastpath.logs.programs import SECONDS, start

_BEGIN = """
import logging, sys, threading, warnings
from kssl.fastpath.logs import messages
messages.take_over("kssl")
log = logging.getLogger("kssl")
"""


def said(program: str) -> tuple[int, str]:
    """Exit code and standard error of a program that begins with `_BEGIN`."""
    process = start(_BEGIN + program, stderr=subprocess.PIPE)
    _, stderr = process.communicate(timeout=SECONDS)
    return process.returncode, stderr.decode()


def test_everything_in_order() -> None:
    code, text = said("""
log.warning("one")
print("two", file=sys.stderr)
print("thr", end="", file=sys.stderr)
print("ee", file=sys.stderr, flush=True)
warnings.warn("four")
log.error("five \\u2192 \\udcff")
""")
    assert code == 0
    lines = text.splitlines()
    assert lines[:3] == ["kssl: one", "two", "three"]
    assert "UserWarning: four" in lines[3]
    assert lines[-1] == "kssl: five \u2192 \\udcff"


def test_tracebacks_at_the_end_and_in_threads() -> None:
    code, text = said("""
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise LookupError("the last one")
""")
    assert code == 1
    assert text.index("ZeroDivisionError") < text.index("LookupError: the last one")


def test_the_loops_own_messages() -> None:
    code, text = said("""
import asyncio, uvloop
async def main():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)
uvloop.run(main())
""")
    assert code == 0
    assert "kssl: Exception in callback" in text
    assert "ZeroDivisionError" in text


_FLOOD = """
for number in range(2000):
    log.warning("%d %s", number, "x" * 100)
    print("y" * 100, file=sys.stderr)
"""


@pytest.mark.parametrize("ending", ["", "raise LookupError", "sys.exit(3)", "messages.finish()"])
def test_nobody_reads(ending: str) -> None:
    """Far more than a pipe holds, and the process ends all the same."""
    reading, writing = os.pipe()
    try:
        process = start(_BEGIN + _FLOOD + ending, stderr=writing)
        os.close(writing)
        code = process.wait(SECONDS)
        assert code == {"raise LookupError": 1, "sys.exit(3)": 3}.get(ending, 0)
        assert os.read(reading, 1 << 16).startswith(b"kssl: 0 xxx")
    finally:
        os.close(reading)


def test_the_fault_handler_does_not_wait_either() -> None:
    program = """
import os, faulthandler
faulthandler._sigabrt()
"""
    reading, writing = os.pipe()
    try:
        environment = os.environ | {"PYTHONFAULTHANDLER": "1"}
        process = start(_BEGIN + _FLOOD + program, stderr=writing, env=environment)
        os.close(writing)
        assert process.wait(SECONDS) == -6
    finally:
        os.close(reading)


def test_a_reader_that_is_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start(_BEGIN + _FLOOD, stderr=writing)
    os.close(writing)
    assert process.wait(SECONDS) == 0


# -- limits ----------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock) -> Iterator[tuple[logging.Logger, Messages]]:
    logger = logging.Logger("test")
    handler = Messages("kssl", Allowance(2, 10.0, clock))
    logger.addHandler(handler)
    yield logger, handler
    logger.removeHandler(handler)
    handler.close()


def test_one_kind_is_limited_and_the_others_are_not(
    log: tuple[logging.Logger, Messages], clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    logger, handler = log
    for number in range(5):
        logger.warning("%d: a bad hello", number, extra=limited("Handshake"))
        logger.warning("%d: of ours", number)
    logger.warning("another", extra=limited("BadRequest"))
    handler.sweep()
    assert capsys.readouterr().err.splitlines() == [
        "kssl: 0: a bad hello", "kssl: 0: of ours", "kssl: 1: a bad hello", "kssl: 1: of ours",
        "kssl: 2: of ours", "kssl: 3: of ours", "kssl: 4: of ours", "kssl: another",
    ]  # fmt: skip
    clock.now += 10
    handler.sweep()
    handler.sweep()
    assert capsys.readouterr().err == (
        "kssl: Handshake: 3 more like these were left out within 10 s\n"
    )
    logger.warning("again", extra=limited("Handshake"))
    assert capsys.readouterr().err == "kssl: again\n"
    assert handler.left_out == {"Handshake": 3}


def test_the_end_tells_too(
    log: tuple[logging.Logger, Messages], capsys: pytest.CaptureFixture[str]
) -> None:
    logger, handler = log
    for _ in range(3):
        logger.warning("a line", extra=limited("Handshake"))
    handler.flush()
    handler.flush()
    assert capsys.readouterr().err.splitlines()[2:] == [
        "kssl: Handshake: 1 more like these were left out within 10 s"
    ]


def test_who_has_replaced_stderr_keeps_it() -> None:
    code, text = said("""
messages._taken = None
import io
sys.stderr = io.StringIO()
messages.take_over("kssl")
print("kept", file=sys.stderr)
assert sys.stderr.getvalue() == "kept\\n"
""")
    assert (code, text) == (0, "")
    assert sys.stderr is not None
