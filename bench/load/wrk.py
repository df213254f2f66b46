"""wrk as the load.

What one has to know of it (4.1):

* it verifies no certificate;
* over TLS a reply that is cut short is a read error, in plain HTTP it is not;
* when the server closes a connection, wrk opens another and resumes the TLS session of the one
  before. So it cannot measure full handshakes, and does not tell when it resumes;
* it sends a large body in one SSL_write, and starts the clock of a request anew whenever that has
  to wait. Our own client does large uploads instead;
* its latencies are corrected for coordinated omission: where a reply took more than twice the
  mean, it adds those that a steady client would have seen meanwhile;
* its latencies include the time before the measured time. With many connections that is the
  time of all their handshakes, so there are none beyond `_MOST_WITH_LATENCY`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kssl.bench.errors import BenchError
from kssl.bench.load.job import Hook, Job, LoadResult
from kssl.bench.load.process import running

_SCRIPT = Path(__file__).with_name("window.lua")

# Time for all connections to come up, and for a reply: proxies that are slow are measured too.
_UP_SECONDS = 60.0
_TIMEOUT_SECONDS = 20

_MOST_WITH_LATENCY = 64

_MARK = re.compile(r"(?:begin|end) (\d+) ([\d.]+)")
_DONE = re.compile(r"^done (connect=\d+ read=\d+ write=\d+ status=\d+ timeout=\d+) latency=(\S*)$",
                   re.MULTILINE)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wrk:
    """wrk at ``program``."""

    program: str
    version: str
    name: str = "wrk"

    def command(self, job: Job) -> list[str]:
        """One thread, as there is one core for it."""
        scenario = job.scenario
        # Only a limit: it is told to end when the measured time is over.
        most = round(_UP_SECONDS + job.seconds + _TIMEOUT_SECONDS)
        return [
            self.program, "-t1", f"-c{scenario.connections}", f"-d{most}s",
            "--timeout", f"{_TIMEOUT_SECONDS}s", "-s", str(_SCRIPT), job.url, "--",
            f"{job.warm_seconds:.3f}", f"{job.seconds:.3f}", str(scenario.connections),
            "POST" if scenario.uploads else "GET", scenario.content_type,
            str(job.body_file()) if scenario.uploads else "-",
            "1" if scenario.varied else "0",
        ]  # fmt: skip

    def run(self, job: Job, on_begin: Hook, on_end: Hook) -> LoadResult:
        """Raises BenchError for anything that was not a complete good reply."""
        with running(self.command(job), self.name) as process:
            begin = process.wait_for("begin ", _UP_SECONDS)
            on_begin()
            end = process.wait_for("end ", job.seconds + _TIMEOUT_SECONDS)
            on_end()
            process.interrupt()
            return parse(begin, end, process.rest(), job.scenario.connections)


def parse(begin: str, end: str, text: str, connections: int) -> LoadResult:
    """What window.lua has said. Raises BenchError if it tells of any failure."""
    marks = _MARK.fullmatch(begin), _MARK.fullmatch(end)
    done = _DONE.search(text)
    if marks[0] is None or marks[1] is None or done is None:
        raise BenchError(f"wrk said nothing of use: {(begin, end, text.strip()[-300:])!r}")
    if re.search(r"=[1-9]", done[1]):
        raise BenchError(f"wrk saw failures: {done[1]}")
    percentiles = None
    if connections <= _MOST_WITH_LATENCY:
        pairs = (pair.split(":") for pair in done[2].split(",") if pair)
        percentiles = tuple((float(percentile), float(value)) for percentile, value in pairs)
    return LoadResult(
        int(marks[1][1]) - int(marks[0][1]), float(marks[1][2]) - float(marks[0][2]), percentiles
    )


def find() -> Wrk | None:
    """wrk as it is installed, or None."""
    if (program := shutil.which("wrk")) is None:
        return None
    # Prints its version and a copyright, and then ends with 1.
    done = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    found = re.match(r"wrk (\S+)", done.stdout + done.stderr)
    return Wrk(program, found[1] if found else "unknown")
