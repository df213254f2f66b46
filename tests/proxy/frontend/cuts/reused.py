"""A connection to an app with TLS that is kept and cut while it is used again, or idle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.records import Direction
from tests.proxy.frontend.clients import Client, CutError, request
from tests.proxy.frontend.cuts.stage import Stage, cut_at, sizes_of, whole_records
from tests.proxy.frontend.cuts.upstreams import ABORTED, BAD_GATEWAY, BODY, COMPLETE
from tests.proxy.frontend.upstreams import EndedError, UpstreamSide, response
from tests.strict_tls import StrictSocket

END = b"/end"


@dataclass
class Keeper:
    """An app that keeps its connections, and notes the targets of requests that it has acted on.
    `pieces`: one record of an answer each, two of the head, the second with the body's beginning.
    """

    acted: list[bytes] = field(default_factory=list)

    @property
    def pieces(self) -> tuple[bytes, ...]:
        said = response(BODY)
        return said[:20], said[20:-40], said[-40:]

    def __call__(self, side: UpstreamSide) -> None:
        while True:
            head, _ = side.read_request()
            target = head.split(b" ")[1]
            self.acted.append(target)
            if target == END:
                side.send(response(b"", b"Connection: close"))
                assert isinstance(side.sock, StrictSocket)
                side.sock.unwrap()
                raise EndedError
            side.send(*self.pieces)


@dataclass(frozen=True)
class Scene:
    """`attacker` stands between the proxy of the stage and the app."""

    stage: Stage
    attacker: Attacker
    keeper: Keeper

    def _client(self) -> Client:
        return Client(self.stage.port, self.stage.context("TLSv1_3"))

    def sizes(self) -> list[int]:
        """Of the records of one answer, when nobody cuts; all answers are alike."""
        wait = cut_at(self.attacker, Direction.TO_CLIENT, None, "FIN")
        with self._client() as client:
            for target in (b"/one", b"/two", END):
                client.ask(b"GET", target)
        sizes = sizes_of(wait(), Direction.TO_CLIENT)
        count = len(self.keeper.pieces)
        assert sizes[:count] == sizes[count : 2 * count]
        return sizes[:count]

    def attack(
        self, sizes: Sequence[int], plays: Iterable[tuple[bytes, str, int, int | None]]
    ) -> list[str]:
        """The connection of a first request is cut so many bytes behind its answer, when it is
        used again. ``plays``: method, how, offset, and where the next connection is cut if there
        is one (None: nowhere). Returns what went wrong."""
        failures = []
        for method, how, offset, again in plays:
            due = _due(method, offset, sizes, again=again is not None)
            found = self._play(method, how, sum(sizes) + offset, again, idle=not offset)
            # In user mode a reset may overtake records that are at the worker.
            less = how == "RST" and found in ((BAD_GATEWAY, 1), (ABORTED, 1))
            if found != due and not less:
                failures.append(
                    f"{method!r}, {how} behind byte {offset}, {again}: {found}, not {due}"
                )
        return failures

    def _play(
        self, method: bytes, how: str, after: int, again: int | None, *, idle: bool
    ) -> tuple[str, int]:
        """What becomes of the second request, and how often the app has acted on it."""
        target = b"/again-%d" % len(self.keeper.acted)
        wait = cut_at(self.attacker, Direction.TO_CLIENT, after, how)
        with self._client() as client:
            assert client.ask(b"GET", b"/first").body == BODY
            if idle:
                wait()  # the proxy has noticed
            cut_at(self.attacker, Direction.TO_CLIENT, again, "FIN")
            if method == b"GET":
                client.send(request(b"GET", target))
            else:
                client.send(request(method, target, b"Content-Length: 1") + b"x")
            got = _outcome(client)
        cut_at(self.attacker, Direction.TO_CLIENT, None, how)
        with self._client() as client:
            client.ask(b"GET", END)  # nothing is left for the next play
        return got, self.keeper.acted.count(target)


def _due(method: bytes, offset: int, sizes: Sequence[int], *, again: bool) -> tuple[str, int]:
    """What must become of the second request, and how often the app must get it. Only while
    nothing of its answer is here, and it is idempotent, it may be sent again, and once."""
    records = whole_records(sizes, offset)
    if not offset:
        return COMPLETE, 1  # on another connection, for this one was known to be over
    if not records and method == b"GET":
        return (BAD_GATEWAY if again else COMPLETE), 2
    return (BAD_GATEWAY, BAD_GATEWAY, ABORTED, COMPLETE)[records], 1


def _outcome(client: Client) -> str:
    try:
        answer = client.read_answer()
    except CutError:
        return ABORTED
    if answer.status == 502:
        return BAD_GATEWAY
    assert answer.body == BODY
    return COMPLETE
