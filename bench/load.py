"""The load: wrk where it is installed, else a client of ours."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.scenarios import VARIED

# Above the time that was asked for: wrk waits for its threads, the client for its sockets.
_GRACE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Complete replies, and how long they took together."""

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """A program that asks for one URL over several connections for some seconds."""

    name: str
    version: str
    command: Callable[[str, int, int], list[str]]
    parse: Callable[[str], LoadResult]

    def run(self, url: str, connections: int, seconds: int) -> LoadResult:
        """Raises BenchError for anything that was not a complete good reply."""
        command = self.command(url, connections, seconds)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds + _GRACE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"{' '.join(command)}: not done after its time") from None
        if done.returncode:
            raise BenchError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
        return self.parse(done.stdout)


# For wrk: a field with another number in each request.
_VARY = Path(__file__).with_name("vary.lua")

_SUMMARY = re.compile(r"(\d+) requests in ([\d.]+)(us|ms|s|m|h),")
_SOCKET_ERRORS = re.compile(r"Socket errors: .*")
_NOT_2XX = re.compile(r"Non-2xx or 3xx responses: \d+")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_wrk(text: str) -> LoadResult:
    """What wrk prints at its end. Raises BenchError if that tells of any failure."""
    for pattern in (_SOCKET_ERRORS, _NOT_2XX):
        if found := pattern.search(text):
            raise BenchError(f"wrk saw failures: {found[0]}")
    summary = _SUMMARY.search(text)
    if summary is None:
        raise BenchError(f"wrk said nothing of use: {text.strip()!r}")
    return _result(int(summary[1]), float(summary[2]) * _UNITS[summary[3]])


def parse_client(text: str) -> LoadResult:
    """What `bench.client` prints."""
    told = json.loads(text)
    if told["errors"]:
        raise BenchError(f"the built-in client saw failures: {'; '.join(told['errors'][:3])}")
    return _result(told["requests"], told["seconds"])


def _result(requests: int, seconds: float) -> LoadResult:
    if requests == 0:
        raise BenchError("not one reply was complete in the time of a round; try more --seconds")
    return LoadResult(requests, seconds)


def choose_load(ca: str) -> Load:
    """wrk (which verifies no certificate) or the client of ours (which does)."""
    if (program := shutil.which("wrk")) is not None:
        return Load(f"wrk ({program})", _wrk_version(program), _wrk_command(program), parse_wrk)

    def command(url: str, connections: int, seconds: int) -> list[str]:
        return [
            sys.executable, "-m", "bench.client", url, "--ca", ca,
            "--connections", str(connections), "--seconds", str(seconds),
        ]  # fmt: skip

    return Load("built-in client", sys.version.split()[0], command, parse_client)


def _wrk_command(program: str) -> Callable[[str, int, int], list[str]]:
    def command(url: str, connections: int, seconds: int) -> list[str]:
        script = ["-s", str(_VARY)] if VARIED in url else []
        return [program, "-t1", f"-c{connections}", f"-d{seconds}s", *script, url]

    return command


def _wrk_version(program: str) -> str:
    # Prints its version and a copyright, and then ends with 1.
    done = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    found = re.match(r"wrk (\S+)", done.stdout + done.stderr)
    return found[1] if found else "unknown"
