"""Which worker has which session, so that a client that comes back is sent to the right one.

Each worker has its own cache of sessions, and drops one by freeing its OpenSSL object; so they
cannot be shared, and a client must come to the worker that has its own. The front end learns from
the workers which ids they have given out. An id that stands here may be gone there: dropped after
an unclean close, timed out. The worker then makes a full handshake, as any other would.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from kssl.fastpath.ipc.frames import MAX_PAYLOAD
from kssl.fastpath.ipc.supervisor import Supervisor

# Sessions that OpenSSL keeps in each worker (SSL_SESSION_CACHE_MAX_SIZE_DEFAULT).
PER_WORKER = 20480

# A worker that leaves so many bytes lying is behind: a full handshake elsewhere is done sooner than
# a short one there. It also keeps clients from heaping their handshakes on one worker by a session
# id. In hellos that is some 2,000, in user mode a few batches of records.
_OVERLOADED = 4 * MAX_PAYLOAD


@dataclass(frozen=True, slots=True, eq=False)
class _Life:
    """The life of a worker, from its start to its death; its sessions end with it."""

    supervisor: Supervisor
    restarts: int

    @property
    def takes_more(self) -> bool:
        """Whether it is still that worker, and not overloaded."""
        supervisor = self.supervisor
        link = supervisor.link
        return (
            link is not None
            and supervisor.restarts == self.restarts
            and link.backlog <= _OVERLOADED
        )


class SessionOwners:
    """A table of session ids and their workers, as large as their caches; the oldest go first.

    160 bytes for each session, 200 while the dict grows (measured with tracemalloc): 3 to 4 MiB
    for each worker when its cache is full. Nothing is freed earlier when a worker dies.

    It outlives a reload (SIGHUP), as the workers and their sessions do. A restart makes new
    workers and with them a new table: every client begins with a full handshake then.
    """

    def __init__(self, workers: int, per_worker: int = PER_WORKER) -> None:
        """Make it for so many workers, each with ``per_worker`` sessions at most."""
        self._limit = workers * per_worker
        self._lives: dict[Supervisor, _Life] = {}
        self._owners: dict[bytes, _Life] = {}
        self._order: deque[bytes] = deque()  # oldest first; a dict is slow in giving its first key

    def __len__(self) -> int:
        return len(self._owners)

    def learn(self, session_id: bytes, supervisor: Supervisor) -> None:
        """Note that the worker has just given that id to a client. b"" stands for none."""
        if not session_id:
            return
        life = self._lives.get(supervisor)
        if life is None or life.restarts != supervisor.restarts:
            life = self._lives[supervisor] = _Life(supervisor, supervisor.restarts)
        if session_id not in self._owners:  # it is there if the client has resumed in TLS 1.2
            if len(self._owners) >= self._limit:
                del self._owners[self._order.popleft()]
            self._order.append(session_id)
        self._owners[session_id] = life

    def owner(self, session_ids: Iterable[bytes]) -> Supervisor | None:
        """Return whose worker has one of these sessions, is there and is not overloaded."""
        for session_id in session_ids:
            life = self._owners.get(session_id)
            if life is not None and life.takes_more:
                return life.supervisor
        return None
