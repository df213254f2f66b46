"""h2load as the load, for requests at a fixed rate over HTTP/1.1.

What one has to know of it (1.52):

* it verifies no certificate, and prefers AES-128-GCM unless told otherwise;
* a client of it that is behind its rate sends its next request only after the reply. So below the
  rate that was asked for its latencies hide the time that requests waited; whoever asks must
  look at the rate that came out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kssl.bench.errors import BenchError
from kssl.bench.load.job import Hook, Job, LoadResult
from kssl.bench.load.percentiles import percentiles
from kssl.bench.load.process import running

_UP_SECONDS = 60.0
_END_SECONDS = 20.0

# OpenSSL's own order, which all other loads have.
_CIPHERS = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"

_REQUESTS = re.compile(
    r"^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, "
    r"(\d+) failed, (\d+) errored, (\d+) timeout$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class H2load:
    """h2load at ``program``."""

    program: str
    version: str
    name: str = "h2load"

    def command(self, job: Job) -> list[str]:
        """One thread, as there is one core for it."""
        scenario = job.scenario
        assert scenario.rate is not None
        return [
            self.program, "--h1", "-t1", f"-c{scenario.connections}",
            f"-D{job.seconds * 1000:.0f}ms", f"--warm-up-time={job.warm_seconds * 1000:.0f}ms",
            f"--rps={scenario.rate / scenario.connections:g}",
            f"--tls13-ciphers={_CIPHERS}", f"--log-file={_log(job)}", job.url,
        ]  # fmt: skip

    def run(self, job: Job, on_begin: Hook, on_end: Hook) -> LoadResult:
        """Raises BenchError for anything that was not a complete good reply."""
        log = _log(job)
        log.unlink(missing_ok=True)  # h2load appends
        with running(self.command(job), self.name) as process:
            process.wait_for("Main benchmark duration is started", _UP_SECONDS)
            on_begin()
            process.wait_for("Main benchmark duration is over", job.seconds + _END_SECONDS)
            on_end()
            units = parse(process.rest())
        with log.open() as lines:
            return LoadResult(units, job.seconds, percentiles(parse_log(lines)))


def _log(job: Job) -> Path:
    return job.folder / "h2load.log"


def parse(text: str) -> int:
    """The number of good replies that h2load tells at its end. Raises BenchError."""
    found = _REQUESTS.search(text)
    if found is None:
        raise BenchError(f"h2load said nothing of use: {text.strip()[-300:]!r}")
    done, succeeded, *bad = map(int, found.groups())
    if any(bad) or done != succeeded:
        raise BenchError(f"h2load saw failures: {found[0]}")
    return succeeded


def parse_log(lines: Iterable[str]) -> list[float]:
    """Latencies in microseconds out of its log file. Raises BenchError for bad replies."""
    latencies = []
    for line in lines:
        _, status, microseconds = line.split("\t")[:3]
        if not status.startswith("2"):
            raise BenchError(f"h2load saw failures: a reply with status {status}")
        latencies.append(float(microseconds))
    return latencies


def find() -> H2load | None:
    """h2load as it is installed, or None."""
    if (program := shutil.which("h2load")) is None:
        return None
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return H2load(program, done.stdout.strip().rpartition("/")[2] or "unknown")
