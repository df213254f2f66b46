"""Our own client as the load, where no tool can do it or none is installed.

It runs as `python -m kssl.bench.load.builtin`. It verifies certificates and every reply's length.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace

from kssl.bench.errors import BenchError
from kssl.bench.load.builtin.task import Task
from kssl.bench.load.job import Hook, Job, LoadResult
from kssl.bench.load.process import LoadProcess, running
from kssl.fastpath.ipc.hardening import interpreter

# Time for all connections to come up: with full handshakes, 10,000 take a slow proxy a while.
_UP_SECONDS = 120.0
_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class OwnClient:
    """Our own client."""

    name: str = "kssl's own client"
    version: str = sys.version.split()[0]

    def command(self, job: Job) -> list[str]:
        """The same interpreter, with the task as JSON."""
        return [*interpreter(), "-m", "kssl.bench.load.builtin", _task(job).to_json()]

    def run(self, job: Job, on_begin: Hook, on_end: Hook) -> LoadResult:
        """Raises BenchError for anything that was not a complete good reply."""
        with running(self.command(job), self.name) as process:
            _up(process)
            on_begin()
            process.wait_for("end", job.seconds + _TIMEOUT_SECONDS)
            on_end()
            return parse(process.rest())

    def hold(self, job: Job, connections: int, on_up: Hook, meanwhile: Hook) -> None:
        """Opens idle connections, calls ``on_up``, then ``meanwhile``, and closes them.

        Each has had one reply. Raises BenchError if one was closed before.
        """
        task = replace(_task(job), kind="idle", connections=connections)
        with running(
            [*interpreter(), "-m", "kssl.bench.load.builtin", task.to_json()], self.name
        ) as process:
            _up(process)
            on_up()
            meanwhile()
            process.release()
            process.rest()


def _up(process: LoadProcess) -> None:
    process.wait_for("begin", _UP_SECONDS)


def _task(job: Job) -> Task:
    scenario = job.scenario
    return Task(
        kind="paced" if scenario.rate is not None else scenario.kind,
        url=job.url,
        ca=job.ca,
        connections=scenario.connections,
        warm_seconds=job.warm_seconds,
        seconds=job.seconds,
        size=scenario.size,
        rate=scenario.rate,
        resumed=scenario.resumed,
        varied=scenario.varied,
        content_type=scenario.content_type,
        body=str(job.body_file()) if scenario.uploads else None,
    )


def parse(text: str) -> LoadResult:
    """What the client prints at its end, if all was well. Raises BenchError."""
    for line in text.splitlines():
        if line.startswith("done "):
            told = json.loads(line.removeprefix("done "))
            pairs = told["percentiles"]
            percentiles = None if pairs is None else tuple((one, value) for one, value in pairs)
            return LoadResult(told["units"], told["seconds"], percentiles)
    raise BenchError(f"kssl's own client said nothing of use: {text.strip()[-300:]!r}")
