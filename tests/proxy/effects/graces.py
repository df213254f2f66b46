"""What a service that ends, or has a successor, waits for."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from kssl.config.running import State, all_services
from tests.proxy.effects.service import Services
from tests.proxy.frontend.clients import request
from tests.proxy.frontend.rig import wait_for


def pids(state: Path) -> list[int]:
    return [each.pid for each in all_services(state)]


def stop_grace(services: Services) -> None:
    """The service does not wait for ever for an answer that never comes."""
    with services.start(StopGrace=1) as service, service.client() as client:
        client.send(request(b"GET", b"/stall"))
        client.take_until(b"abc")
        service.process.process.terminate()
        assert client.read_to_end() == (b"", "cut")
        assert service.process.process.wait(60) == 0
    assert "requests in progress: 1, which have 1 s (StopGrace)" in service.stderr
    assert "stopping with requests in progress: 1" in service.stderr


def restart_grace(services: Services) -> None:
    """It is shown as draining meanwhile, and ends."""
    with services.start(RestartGrace=1, StopGrace=1) as service, service.client() as client:
        client.send(request(b"GET", b"/stall"))
        client.take_until(b"abc")
        os.kill(service.process.pid, signal.SIGUSR2)
        try:
            assert client.read_to_end() == (b"", "cut")
            gone = service.process.pid
            wait_for(lambda: gone not in pids(service.state), "the end of the old one")
        finally:
            for each in all_services(service.state):
                if each.pid != service.process.pid:
                    assert (each.state, each.predecessor) == (State.SERVING, service.process.pid)
                    os.kill(each.pid, signal.SIGTERM)
                    wait_for(lambda: len(all_services(service.state)) == 0, "no successor")
