"""A reply that is cut on its way: honestly first, to see the sizes, then under attack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.clients import Client, Outcome
from kssl.proxy.demo.truncation.cut import Cut
from kssl.proxy.demo.truncation.link import Link
from kssl.proxy.demo.truncation.records import Direction
from kssl.proxy.demo.truncation.rows import WHOLE_VERDICT, Row, Scene, believes, verdict
from kssl.proxy.demo.truncation.wire import Wire, wire_of

# On a busy machine the app's two writes may become one record after all.
_TRIES = 5


class StagingError(Exception):
    """A scene could not be played as written; str() says why."""


@dataclass(frozen=True, slots=True)
class Front:
    """A proxy that runs. `port` is of 127.0.0.1; `ca` is the file that its clients trust."""

    proxy: str
    mode: str
    setting: str
    port: int
    ca: str


def reply(front: Front, clients: Sequence[Client]) -> Iterator[Row]:
    """The attacker stands between client and proxy. Raises StagingError."""
    with Attacker(front.port) as attacker:
        for client in clients:
            yield _row("reply", front, client, attacker, attacker.port)


def upstream(front: Front, clients: Sequence[Client], attacker: Attacker) -> Iterator[Row]:
    """``attacker`` stands between the proxy and its app; the clients' own way is safe.

    Raises StagingError.
    """
    for client in clients:
        yield _row("upstream", front, client, attacker, front.port)


def watched(attacker: Attacker, act: Callable[[], object]) -> Link:
    """The connection that comes of ``act``, once it is over. Raises StagingError."""
    number = len(attacker.links)
    act()
    try:
        return attacker.wait(number)
    except TimeoutError as error:
        raise StagingError(f"the attacker has seen nothing come to its end: {error}") from None


def _row(scene: Scene, front: Front, client: Client, attacker: Attacker, port: int) -> Row:
    for _ in range(_TRIES):
        attacker.cut = None
        honest, before = _ask(client, attacker, port, front.ca)
        if before.rest < 2:
            continue
        attacker.cut = Cut(Direction.TO_CLIENT, record=before.rest - 1)
        attacked, after = _ask(client, attacker, port, front.ca)
        if after.cut is None or verdict(attacked, attacked=True) == WHOLE_VERDICT:
            continue
        return Row(
            scene=scene,
            proxy=front.proxy,
            mode=front.mode,
            setting=front.setting,
            client=client.name,
            honest=verdict(honest, attacked=False),
            attacked=verdict(attacked, attacked=True),
            believes=believes(attacked),
            told=honest.error,
            wires=(before, after),
        )
    raise StagingError(
        f"{client.name} at {front.proxy}, {front.setting}: no record with the end of the sentence "
        f"alone in {_TRIES} tries; honest: {honest.error or honest.body!r}"
    )


def _ask(client: Client, attacker: Attacker, port: int, ca: str) -> tuple[Outcome, Wire]:
    outcomes: list[Outcome] = []
    link = watched(attacker, lambda: outcomes.append(client.ask(port, ca)))
    return outcomes[0], wire_of(link)
