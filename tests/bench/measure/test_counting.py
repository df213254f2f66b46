"""Counters of kssl's front end, as figures for each request."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kssl.bench.errors import BenchError
from kssl.bench.measure.counting import Counted, per_unit
from kssl.proxy.service.spawn import ProxyProcess

TOTALS = {
    "client_sends": 10, "client_recvs": 20, "client_bytes_in": 1000, "client_bytes_out": 2000,
    "link_sends": 15, "link_recvs": 5, "link_frames_in": 20, "link_frames_out": 20,
    "link_bytes_in": 300, "link_bytes_out": 700,
    "upstream_sends": 10, "upstream_recvs": 10, "upstream_bytes_in": 500, "upstream_bytes_out": 100,
}  # fmt: skip


def test_for_each_unit() -> None:
    counts = per_unit(TOTALS, 10, hops=1)
    assert (counts.frames, counts.sends, counts.bytes) == (4.0, 2.0, 100.0)
    assert counts.copied_bytes == (3600 + 2 * 1000) / 10
    assert counts.system_calls == 7.0


def test_two_hops_copy_twice() -> None:
    assert per_unit(TOTALS, 10, hops=2).copied_bytes == (3600 + 4 * 1000) / 10


# Writes its totals when it gets SIGUSR1, as `kssl.proxy.trace.counting` does, twice. It waits for
# the signal itself: a handler does not run while a read goes on that began in the same moment.
_COUNTING = """
import json, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("ready", flush=True)
for number in (1, 2):
    signal.sigwait({signal.SIGUSR1})
    with open(sys.argv[1] + ".new", "w") as file:
        json.dump({"told": number}, file)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
sys.stdin.read()
"""


def _counted(process: subprocess.Popen[bytes], file: Path) -> Counted:
    return Counted(ProxyProcess(process, "", 1, None, "aead", process.pid, [], []), file, 1)


def test_totals_are_asked_for_by_signal(tmp_path: Path) -> None:
    file = tmp_path / "counts.json"
    with subprocess.Popen(
        [sys.executable, "-c", _COUNTING, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        counted = _counted(process, file)
        counted.begin()
        assert json.loads(file.read_text()) == {"told": 1}
        counted.end()
        assert json.loads(file.read_text()) == {"told": 2}
        process.communicate()


def test_a_proxy_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kssl.bench.measure.counting._ANSWER_SECONDS", 0.05)
    command = "trap '' USR1; echo ready; cat"
    with subprocess.Popen(
        ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(BenchError, match="does not tell"):
            _counted(process, tmp_path / "counts.json").begin()
        process.communicate()
