"""The processes behind the front end: crypto workers, and a verifier if a site asks for client
certificates. They change their settings together, or not at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kssl.config import routing
from kssl.config.errors import ConfigError
from kssl.config.model import Configuration
from kssl.fastpath.ipc.processes import VERIFIER
from kssl.fastpath.ipc.supervisor import Settings, Supervisor, WorkerRefusedError, WorkerSettings
from kssl.fastpath.verifier.messages import VerifierSettings

log = logging.getLogger("kssl")

_UNUSED_HOPS = (
    "UserModeHops=2 has no effect in kernel mode; add --mode user (EnableKernelSSL=0) or drop it"
)


class Helpers:
    """`start` comes first, `stop` last. `verifier` is None while no site asks for certificates."""

    def __init__(
        self, state_dir: Path, started: Configuration, default_names: Sequence[str]
    ) -> None:
        """``started``: what the service is started with; parameters that are not live stay."""
        self._state_dir = state_dir
        self._started = started
        self._default_names = default_names
        self.workers: list[Supervisor] = []
        self.verifier: Supervisor | None = None
        self.ca: str | None = None

    @property
    def pids(self) -> list[int]:
        """Of all processes that run now."""
        behind = [*self.workers, *([self.verifier] if self.verifier is not None else [])]
        found = [pid for each in behind for pid in (each.pid, each.filter_pid)]
        return [pid for pid in found if pid is not None]

    async def start(self, workers: int) -> list[str]:
        """Returns lines for a person. Raises ConfigError; `stop` is due also then."""
        configuration = self._started
        parameters = configuration.parameters
        # In kernel mode nothing crosses after the handshake: no filter.
        hops = 1 if parameters.enable_kernel_ssl else parameters.user_mode_hops
        warnings = [_UNUSED_HOPS] if hops != parameters.user_mode_hops else []
        settings = self._worker_settings(configuration)
        try:
            for _ in range(workers):
                supervisor = Supervisor(settings, hops=hops)
                answer = await supervisor.start()
                self.workers.append(supervisor)
            of_verifier = await self._judge_by(configuration)
        except WorkerRefusedError as error:
            raise ConfigError(str(error)) from None
        return [*warnings, *self._told(answer), *of_verifier]

    async def reconfigure(self, wanted: Configuration, before: Configuration) -> list[str]:
        """All of them, or none: raises ConfigError. Returns lines for a person. `settle` follows
        when the front end has ``wanted`` too."""
        settings = self._worker_settings(wanted)
        accepted: list[Supervisor] = []
        judged = False
        try:
            of_verifier = await self._judge_by(wanted)
            judged = True
            for supervisor in self.workers:
                answer = await supervisor.reconfigure(settings)
                accepted.append(supervisor)
        except WorkerRefusedError as error:
            for supervisor in accepted:
                await self._take_back(supervisor, self._worker_settings(before))
            if judged:
                await self._judge_again(before)
            raise ConfigError(str(error)) from None
        return [*self._told(answer), *of_verifier]

    async def replace_hung(self) -> None:
        """Before `reconfigure`, while handshakes still go on with the others."""
        behind = [*self.workers, *([self.verifier] if self.verifier is not None else [])]
        await asyncio.gather(*(supervisor.replace_if_hung() for supervisor in behind))

    def judges(self, configuration: Configuration) -> bool:
        """Whether ``configuration`` needs a verifier."""
        return self._verifier_settings(configuration) is not None

    async def settle(self, now: Configuration) -> None:
        """A verifier that nobody needs any more is ended."""
        if not self.judges(now) and self.verifier is not None:
            verifier, self.verifier = self.verifier, None
            await verifier.stop()

    async def stop(self) -> None:
        behind = [*self.workers, *([self.verifier] if self.verifier is not None else [])]
        self.verifier = None
        await asyncio.gather(*(supervisor.stop() for supervisor in behind))
        self.workers.clear()

    def _told(self, answer: dict[str, Any]) -> list[str]:
        """What a worker has answered."""
        self.ca = answer["ca"]
        return list(answer["warnings"])

    async def _judge_by(self, configuration: Configuration) -> list[str]:
        """There is a verifier that knows all policies of ``configuration``, if it has any. Raises
        WorkerRefusedError: nothing has changed."""
        settings = self._verifier_settings(configuration)
        if settings is None:
            return []
        if self.verifier is not None:
            answer = await self.verifier.reconfigure(settings)
        else:
            verifier = Supervisor(settings, helper=VERIFIER)
            answer = await verifier.start()
            self.verifier = verifier
        return list(answer["warnings"])

    async def _judge_again(self, before: Configuration) -> None:
        """The verifier back to what it was."""
        settings = self._verifier_settings(before)
        if settings is not None and self.verifier is not None:
            await self._take_back(self.verifier, settings)
        else:
            await self.settle(before)

    async def _take_back(self, supervisor: Supervisor, settings: Settings) -> None:
        """A process must not stay with endpoints and policies that are not the front end's."""
        try:
            await supervisor.reconfigure(settings)
        except WorkerRefusedError as error:
            log.error("process %s cannot go back: %s", supervisor.pid, error)
            supervisor.start_over(settings)

    # What was set when the service started counts where a parameter is not live.

    def _worker_settings(self, configuration: Configuration) -> WorkerSettings:
        parameters = self._started.parameters
        return WorkerSettings(
            state_dir=str(self._state_dir),
            kernel_mode=bool(parameters.enable_kernel_ssl),
            tls=routing.tls_settings(
                replace(configuration, parameters=parameters), self._default_names
            ),
            preset=parameters.tls_preset,
        )

    def _verifier_settings(self, configuration: Configuration) -> VerifierSettings | None:
        told = routing.verifier_settings(
            replace(configuration, parameters=self._started.parameters), self._state_dir
        )
        return VerifierSettings(told) if told is not None else None
