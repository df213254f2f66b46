"""A load as a process: its lines as they come, with a time limit for each."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import IO

from kssl.bench.errors import BenchError

_CHUNK = 65536
_END_SECONDS = 30.0


class LoadProcess:
    """A load that runs. Use it through `running`."""

    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes], name: str) -> None:
        self.name = name
        self._process = process
        self._said = said
        assert process.stdout is not None
        self._output = process.stdout.fileno()
        self._text = b""

    def wait_for(self, word: str, seconds: float) -> str:
        """The next line that begins with ``word``; the lines before it are dropped.

        Raises BenchError when the load ends before or does not say it in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            line, end, rest = self._text.partition(b"\n")
            if end:
                self._text = rest
                if line.startswith(word.encode()):
                    return line.decode(errors="replace")
            elif not self._read(deadline - time.monotonic(), word):
                raise BenchError(f"{self.name} ended before its time: {self._complaint()}")

    def interrupt(self) -> None:
        """As Ctrl-C does: loads then end early and say what they have seen."""
        self._process.send_signal(signal.SIGINT)

    def release(self) -> None:
        """Closes its standard input, which tells our own client to let its connections go."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def rest(self) -> str:
        """What it still says until it ends. Raises BenchError if it ends in failure."""
        deadline = time.monotonic() + _END_SECONDS
        while self._read(deadline - time.monotonic(), "its end"):
            pass
        try:
            failed = self._process.wait(_END_SECONDS) != 0
        except subprocess.TimeoutExpired:
            raise BenchError(f"{self.name} closed its output and did not end") from None
        if failed:
            raise BenchError(f"{self.name}: {self._complaint()}")
        return self._text.decode(errors="replace")

    def _read(self, seconds: float, awaited: str) -> bool:
        ready, _, _ = select.select([self._output], [], [], max(0.0, seconds))
        if not ready:
            raise BenchError(f"{self.name} did not come to {awaited!r} in time")
        chunk = os.read(self._output, _CHUNK)
        self._text += chunk
        return bool(chunk)

    def _complaint(self) -> str:
        self._said.seek(0)
        text = self._said.read() or self._text
        return text.decode(errors="replace").strip()[-1000:] or "it did not say why"


@contextlib.contextmanager
def running(command: Sequence[str], name: str) -> Iterator[LoadProcess]:
    """Starts a load; it is gone after the block. Raises BenchError."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            # Ctrl-C in the terminal is for the benchmark, which ends its programs in order.
            process_group=0,
        )
        try:
            with process:
                try:
                    yield LoadProcess(process, said, name)
                finally:
                    process.kill()  # no more than a formality once it has ended
        except BrokenPipeError:
            raise BenchError(f"{name} ended before its time") from None
