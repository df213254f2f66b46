"""What several acceptance tests need: curl, mebibytes in words, and ways to wait for quiet."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kssl.bench.proc import cpu_time_of, peak_rss

MODES = ("user", "kernel")
MIB = 2**20

# One GiB is what the promise says; a developer may want to see it pass with less first.
SIZE = int(os.environ.get("KSSL_ACCEPTANCE_BYTES", 2**30))

# For anything that hangs. No test comes near it.
TIMEOUT = 300.0


def mib(size: int) -> str:
    return f"{size / MIB:,.0f} MiB"


def curl(url: str, ca: str | None, *options: str) -> list[str]:
    """The command."""
    assert ca is not None
    return ["curl", "--silent", "--show-error", "--fail", "--cacert", ca, *options, url]


def fetch(url: str, ca: str | None, *options: str) -> bytes:
    """A small reply by curl."""
    done = subprocess.run(
        curl(url, ca, *options), capture_output=True, check=False, timeout=TIMEOUT
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclass(frozen=True, slots=True)
class Hashed:
    """A reply of which only the hash was kept."""

    size: int
    sha256: str
    seconds: float

    @property
    def speed(self) -> str:
        return f"{self.size / self.seconds / 1e6:,.0f} MB/s"


def fetch_hashed(url: str, ca: str | None, *options: str) -> Hashed:
    """A large reply by curl."""
    digest, size, began = hashlib.sha256(), 0, time.perf_counter()
    with subprocess.Popen(curl(url, ca, *options), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while piece := process.stdout.read(MIB):
            digest.update(piece)
            size += len(piece)
    assert process.returncode == 0
    return Hashed(size, digest.hexdigest(), time.perf_counter() - began)


def wait_until_idle(pids: Sequence[int]) -> None:
    """Returns once the processes have used no CPU time worth mentioning for half a second:
    everything that can be buffered is, and everybody waits for everybody else."""
    deadline = time.monotonic() + TIMEOUT
    before = cpu_time_of(pids).total
    while time.monotonic() < deadline:
        time.sleep(0.5)
        now = cpu_time_of(pids).total
        if now - before < 5_000_000:
            return
        before = now
    raise AssertionError("the proxy does not come to rest")


def peaks(pids: Iterable[int]) -> list[int]:
    """The most memory of each process so far, in bytes."""
    return [peak_rss(pid) for pid in pids]
