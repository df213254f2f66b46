"""What happens to a service with many sites; of any size, for the suite and for acceptance."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kssl.config.parameter import Profile
from kssl.config.running import RunningService, running_services
from kssl.proxy.service.control import stop
from kssl.proxy.service.spawn import spawn_proxy
from tests.proxy.frontend.rig import wait_for
from tests.proxy.sites.load import Load, Visit
from tests.proxy.sites.many import Apps, Sites


class Many:
    """A running service with its sites, and its successors.

    started_in: seconds from the start of the process until it was ready.
    """

    def __init__(self, sites: Sites, state: Path, port: int, started_in: float) -> None:
        self.sites = sites
        self.port = port
        self.started_in = started_in
        self._state = state

    @property
    def service(self) -> RunningService:
        return running_services(self._state)[-1]

    @property
    def stderr(self) -> str:
        return (self._state / "stderr").read_text()

    def served(self, site: int) -> int:
        """Which of its certificates the site has now; an answer comes with it."""
        visit = Visit(self.sites, self.port, site)
        visit.ask()
        visit.close()
        return self.sites.certificates[site].index(visit.certificate)

    def served_everywhere(self) -> list[int]:
        return [self.served(site) for site in range(len(self.sites.names))]

    def reload(self) -> None:
        os.kill(self.service.pid, signal.SIGHUP)

    def restart(self) -> None:
        """`kssl restart`"""
        before = self.service.pid
        command = [sys.executable, "-m", "kssl.proxy", "restart", "--state-dir", str(self._state)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert self.service.pid != before

    def load(self, **options: int) -> Load:
        return Load(self.sites, self.port, **options)


@contextmanager
def many_sites(
    folder: Path, count: int, *, mode: str, profile: Profile = Profile.NATIVE
) -> Iterator[Many]:
    state = folder / "state"
    state.mkdir(0o700)
    with Apps(count) as apps, (state / "stderr").open("wb") as stderr:
        sites = Sites(folder / "sites", apps.ports, mode=mode, profile=profile)
        began = time.monotonic()
        with spawn_proxy(
            None, "--config", str(sites.file), state_dir=state, listen=None, stderr=stderr
        ) as process:
            many = Many(sites, state, process.port, time.monotonic() - began)
            wait_for(lambda: running_services(state), "the service's record")
            try:
                yield many
            finally:
                for service in running_services(state):
                    stop(service)


def renewed_under_load(many: Many, *, times: int, beyond: int = 500) -> Load:
    """A site's certificate is renewed and the service told so, again and again, each
    time after `beyond` answers more."""
    count = len(many.sites.names)
    with many.load() as load:
        for turn in range(times):
            site = (turn // 2 * 7) % count  # each of them twice
            _go_on(load, beyond)
            many.sites.renew(site)
            newest = len(many.sites.certificates[site]) - 1
            many.reload()
            wait_for(lambda: many.served(site) == newest, "the new certificate")  # noqa: B023
        _go_on(load, beyond)
    load.check()
    assert many.served_everywhere() == [len(each) - 1 for each in many.sites.certificates]
    return load


def restarted_under_load(many: Many, *, times: int, beyond: int = 500) -> Load:
    """The same with `kssl restart`, after which the new certificate is there at once."""
    with many.load() as load:
        for _ in range(times):
            many.sites.renew(0)
            many.restart()
            assert many.served(0) == len(many.sites.certificates[0]) - 1
            _go_on(load, beyond)
    load.check()
    return load


def _go_on(load: Load, answers: int) -> None:
    enough = load.answers + answers
    wait_for(lambda: load.answers >= enough or load.failures, "answers", 60)
