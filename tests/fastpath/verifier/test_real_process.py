"""`python -m kssl.fastpath.verifier`, as the supervisor starts it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.fastpath.verifier.retrieving import aia
from tests.fastpath.verifier.rules.pki import CLIENT, NOW, self_signed
from tests.fastpath.verifier.shop import Shop
from tests.fastpath.verifier.support import SECONDS, Front, site, told, wait_for, write

# Of today: this process has the real clock.
_SINCE, _UNTIL = datetime(2020, 1, 1, tzinfo=UTC) - NOW, datetime(2120, 1, 1, tzinfo=UTC) - NOW
ROOT = self_signed("CN=Root", since=_SINCE, until=_UNTIL)
ALICE = ROOT.issue("CN=alice", (CLIENT, False), since=_SINCE, until=_UNTIL)


@contextmanager
def started() -> Iterator[tuple[Front, subprocess.Popen[bytes]]]:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            descriptor = theirs.fileno()
            process = subprocess.Popen(
                [sys.executable, "-m", "kssl.fastpath.verifier", str(descriptor)],
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        try:
            yield Front(ours), process
        finally:
            ours.close()
            try:
                process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise


def test_from_beginning_to_end(tmp_path: Path) -> None:
    wanted = site(tmp_path, ca=write(tmp_path / "root.pem", ROOT.pem))
    with started() as (front, process):
        assert front.ready(told(tmp_path, wanted)) == []
        assert front.judge(wanted, ALICE).ok
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            process.send_signal(number)
        assert front.judge(wanted).word == "none"
        front.sock.close()
        assert process.communicate(timeout=SECONDS)[1] == b""
        assert process.returncode == 0


def test_refused(tmp_path: Path) -> None:
    with started() as (front, process):
        problems = front.refused(told(tmp_path, site(tmp_path, ca=tmp_path / "none")))
        assert len(problems) == 1
        front.sock.close()
        assert process.wait(SECONDS) == 0


def test_over_the_network(tmp_path: Path, shop: Shop) -> None:
    middle = ROOT.issue("CN=middle", ca=True, since=_SINCE, until=_UNTIL)
    shop.bodies["/middle"] = middle.der
    alice = middle.issue(
        "CN=alice", (CLIENT, False), aia(f"{shop.url}/middle"), since=_SINCE, until=_UNTIL
    )
    wanted = site(tmp_path, ca=write(tmp_path / "root.pem", ROOT.pem))
    with started() as (front, process):
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        assert front.judge(wanted, alice).chain == (middle.der,)
        front.sock.close()
        assert process.wait(SECONDS) == 0


def test_the_end_while_a_search_hangs(tmp_path: Path, shop: Shop) -> None:
    """The supervisor gives it two seconds."""
    shop.held = {"/middle"}
    alice = self_signed("CN=x").issue("CN=alice", (CLIENT, False), aia(f"{shop.url}/middle"))
    wanted = site(tmp_path, ca=write(tmp_path / "root.pem", ROOT.pem))
    with started() as (front, process):
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        front.ask(wanted, alice)
        wait_for(lambda: shop.requests)
        front.sock.close()
        assert process.wait(60) == 0
        assert process.communicate()[1] == b""
