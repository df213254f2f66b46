"""Finding the running service, and what `kssl stop` and `kssl restart` do to it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

from kssl.config.errors import ConfigError
from kssl.config.running import RunningService, State, all_services, running_services

# Seconds beyond the service's StopGrace: for last bytes, workers, logs, and some more.
STOP_LIMIT = 15.0

# Seconds: `launch.START_LIMIT`, and some more.
RESTART_LIMIT = 60.0

_POLL = 0.02


class NotRunningError(ConfigError):
    """There is no such service."""


def find_service(state_dir: Path, pid: int | None) -> RunningService:
    """The one that accepts on `state_dir`, or the one of several that `pid` names.

    Raises NotRunningError, or ConfigError when several do and none is named.
    """
    services = _named(running_services(state_dir), state_dir, pid)
    _only_one(services, state_dir)
    return services[0]


def find_services(state_dir: Path, pid: int | None) -> list[RunningService]:
    """Those that run on `state_dir`, oldest first, also those that only finish what they have;
    with `pid` only that one.

    Raises NotRunningError when there is none.
    """
    return _named(all_services(state_dir), state_dir, pid)


def find_to_stop(state_dir: Path, pid: int | None) -> list[RunningService]:
    """The one that `pid` names; without it the one that accepts and all that only finish what they
    have.

    Raises NotRunningError, or ConfigError when several accept and none is named.
    """
    services = find_services(state_dir, pid)
    _only_one([each for each in services if each.state == State.SERVING], state_dir)
    return services


def _named(
    services: list[RunningService], state_dir: Path, pid: int | None
) -> list[RunningService]:
    if pid is not None:
        services = [service for service in services if service.pid == pid]
    if not services:
        which = f" with process id {pid}" if pid is not None else ""
        why = (
            ""
            if os.path.exists(state_dir)
            else ", which does not exist (one that runs without it is not found)"
        )
        raise NotRunningError(f"no service{which} runs on {state_dir}{why}; start one: kssl start")
    return services


def _only_one(services: list[RunningService], state_dir: Path) -> None:
    if len(services) > 1:
        listed = "; ".join(f"--pid {service.pid} ({service.where})" for service in services)
        raise ConfigError(f"{len(services)} services run on {state_dir}; say which: {listed}")


def stop(*services: RunningService) -> None:
    """Ends them, and returns when they are gone. Raises ConfigError when one does not go."""
    with contextlib.ExitStack() as stack:
        processes = []
        for service in services:  # all are told before one is waited for
            process = _open(service)
            if process is not None:
                stack.callback(os.close, process)
                _signal(process, service, signal.SIGTERM)
                processes.append((process, service))
        for process, service in processes:
            limit = STOP_LIMIT + _number(service.parameters.get("StopGrace"))
            if not _ended(process, limit):
                raise ConfigError(
                    f"the service (process {service.pid}) has not ended after {limit:.0f} s; "
                    f"if it must: kill -9 {service.pid}"
                )


def _number(value: object) -> float:
    """0 for a service of a version that does not know the parameter."""
    return float(value) if isinstance(value, int) else 0.0


def restart(state_dir: Path, service: RunningService) -> RunningService:
    """Its successor, once it alone accepts; the old one may still finish what it has.

    Raises ConfigError when the successor did not come up; then the old one goes on as it was.
    """
    before = {each.pid for each in running_services(state_dir)}
    process = _open(service)
    if process is None:
        raise NotRunningError(f"the service (process {service.pid}) has just ended")
    try:
        _signal(process, service, signal.SIGUSR2)
    finally:
        os.close(process)

    def outcome() -> RunningService | None:
        found, accepts = None, False
        for each in running_services(state_dir):
            if each.pid == service.pid:
                accepts = True  # its record goes when it has left the sockets to the successor
                if each.failure and each.failure != service.failure:
                    raise ConfigError(f"not restarted, the old one goes on: {_words(each.failure)}")
            if each.pid not in before and each.predecessor == service.pid:
                found = each
        return None if accepts else found

    successor = _poll(outcome, RESTART_LIMIT)
    if successor is None:
        raise ConfigError(f"no successor of process {service.pid} after {RESTART_LIMIT:.0f} s")
    return successor


def _words(failure: str) -> str:
    """Without the number that tells two failures with the same words apart."""
    return failure.partition(" ")[2]


def _poll(condition: Callable[[], RunningService | None], seconds: float) -> RunningService | None:
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found is not None or time.monotonic() > end:
            return found
        time.sleep(_POLL)


def _open(service: RunningService) -> int | None:
    """A descriptor for the process, so that a signal cannot meet another with its number.

    None: it has ended.
    """
    try:
        descriptor = os.pidfd_open(service.pid)
    except ProcessLookupError:
        return None
    if service.runs():
        return descriptor
    os.close(descriptor)
    return None


def _signal(descriptor: int, service: RunningService, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return  # it has ended by itself
    except PermissionError:
        raise ConfigError(
            f"the service (process {service.pid}) belongs to another user; use sudo"
        ) from None


def _ended(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
