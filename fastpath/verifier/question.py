"""The front end's part: a question to the verifier, and its answer.

A verifier that dies is asked again, once: what kills one must not go on to kill the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from kssl.fastpath.ipc.frames import FrameType
from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.ipc.supervisor import Supervisor
from kssl.fastpath.verifier.messages import ClientVerdict, pack_judge, unpack_verdict


class Question:
    """``answered`` is called once, never from `__init__`: with None if there will be no verdict."""

    __slots__ = ("_answered", "_asked_again", "_identifier", "_link", "_payload", "_verifier")

    def __init__(
        self,
        verifier: Supervisor,
        policy: str,
        presented: Sequence[bytes],
        answered: Callable[[ClientVerdict | None], None],
    ) -> None:
        """``policy``: `ClientCertificates.policy`. ``presented``: DER, the client's own first."""
        self._verifier = verifier
        self._payload = pack_judge(policy, presented)
        self._answered = answered
        self._asked_again = False
        self._link: WorkerLink | None = None
        self._identifier = 0
        self._ask()

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        self._answered = _nobody
        self._end()

    def _ask(self) -> None:
        link = self._verifier.link
        if link is None and self._verifier.down:
            asyncio.get_running_loop().call_soon(self._tell, None)
            return
        if link is None:
            self._verifier.when_ready(self._ask)
            return
        self._link = link
        self._identifier = link.open(self)
        link.send(FrameType.JUDGE, self._identifier, self._payload)

    def frame_received(self, kind: int, payload: memoryview) -> None:
        """VERDICT, and nothing else."""
        verdict = unpack_verdict(payload)
        self._end()
        self._tell(verdict)

    def worker_lost(self) -> None:
        self._link = None
        if self._asked_again:
            self._tell(None)
        else:
            self._asked_again = True
            self._ask()

    def _tell(self, verdict: ClientVerdict | None) -> None:
        answered, self._answered = self._answered, _nobody
        answered(verdict)

    def _end(self) -> None:
        if self._link is not None:
            self._link.end(self._identifier, resumable=False)
            self._link = None
        else:
            self._verifier.forget(self._ask)


def _nobody(verdict: ClientVerdict | None) -> None:
    """In place of `answered`, whose owner holds the question."""
