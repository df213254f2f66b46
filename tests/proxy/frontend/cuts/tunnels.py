"""A tunnel that is cut, in one of four places: either direction, on either side of the proxy.

    client ⇄ attacker ⇄ proxy ⇄ attacker ⇄ app

Both ends say their pieces in turn, so that all records are the same each time:

    client  ASK      FIRST         REST  close_notify
    app          101        HELLO                      BYE  close_notify
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.records import Direction
from tests.proxy.frontend.clients import Client, request
from tests.proxy.frontend.cuts.ends import CLOSE_NOTIFY, FIN, receive
from tests.proxy.frontend.cuts.replies import CUT, WHOLE
from tests.proxy.frontend.cuts.stage import Stage, cut_at, however_it_ends, sizes_of
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import EndedError, UpstreamSide
from tests.strict_tls import StrictSocket

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n"
FIRST, REST = b"pay Bob 100", (b"00", b"0.00")
HELLO, BYE = b"Bob, really?", b"paid"


@dataclass(eq=False)
class Talk:
    """What came of one tunnel: what each end got of the other's, and how that ended. Its `number`
    is in the request."""

    number: int = 0
    asked: bool = False  # the app has got the request
    finished: bool = False  # the client has said close_notify
    app_got: bytes = b""
    app_ended: str = ""
    client_got: bytes = b""
    client_ended: str = CUT

    @property
    def ask(self) -> bytes:
        """The request; all have the same size."""
        return request(b"GET", b"/%06d" % self.number, b"Upgrade: raw", b"Connection: Upgrade")


class Bank:
    """The app. It notes each tunnel in the talk whose number was asked for: where the client was
    cut early, the proxy's connection may come when the next talk has begun."""

    def __init__(self) -> None:
        self._talks: list[Talk] = []

    def begin(self) -> Talk:
        """Return a new one, for the next client."""
        self._talks.append(Talk(len(self._talks)))
        return self._talks[-1]

    def __call__(self, side: UpstreamSide) -> None:
        side.sock.settimeout(60)
        talk = self._talks[int(side.read_head().split(b" ")[1][1:])]
        talk.asked = True
        try:
            side.send(SWITCH)
            self._until(side, talk, len(FIRST))
            side.send(HELLO)
            self._until(side, talk, None)
        except OSError as error:
            talk.app_ended = talk.app_ended or type(error).__name__
            return
        except EndedError:
            return
        if talk.app_ended in (CLOSE_NOTIFY, FIN):
            with contextlib.suppress(OSError):
                side.send(BYE)
                if isinstance(side.sock, StrictSocket):
                    side.sock.unwrap()

    def _until(self, side: UpstreamSide, talk: Talk, size: int | None) -> None:
        """Until so much is here; None: until the end. Raises EndedError at an early one."""
        talk.app_got += bytes(side.unread)
        side.unread.clear()
        while size is None or len(talk.app_got) < size:
            data, ended = receive(side)
            talk.app_got += data
            if ended:
                talk.app_ended = ended
                if size is not None:
                    raise EndedError
                return


@dataclass(frozen=True)
class Place:
    """Where to cut: in front of the app or of the client, and which way."""

    at_app: bool
    direction: Direction

    def __str__(self) -> str:
        return f"{self.direction.value} at the {'app' if self.at_app else 'client'}"


PLACES = tuple(Place(at_app, direction) for at_app in (False, True) for direction in Direction)


@dataclass(frozen=True)
class Scene:
    """`front` stands before the proxy of `stage`, `back` between it and the bank."""

    stage: Stage
    front: Attacker
    back: Attacker
    bank: Bank

    def play(self, version: str, place: Place, offset: int | None, how: str) -> Talk:
        talk = self.bank.begin()
        self.front.cut = self.back.cut = None
        before = len(self.back.links)
        wait = cut_at(self._attacker(place), place.direction, offset, how)
        with however_it_ends():
            self._talk(version, talk)
        if len(self.back.links) > before:
            self.back.wait()
            wait_for(lambda: not talk.asked or talk.app_ended, "the end at the app")
        if not place.at_app or len(self.back.links) > before:
            wait()
        return talk

    def _attacker(self, place: Place) -> Attacker:
        return self.back if place.at_app else self.front

    def _talk(self, version: str, talk: Talk) -> None:
        with Client(self.front.port, self.stage.context(version)) as client:
            client.send(talk.ask)
            if client.read_answer().status != 101:
                return  # the request or its answer was cut
            client.send(FIRST)
            talk.client_got += client.take(len(HELLO))
            client.send(*REST)
            talk.finished = True
            client.close_notify()
            got, talk.client_ended = client.read_to_end()
            talk.client_got += got

    def sizes(self, version: str, place: Place) -> list[int]:
        """The records of a talk that nobody cuts, which must come out well."""
        talk = self.play(version, place, None, "FIN")
        assert talk.app_got == FIRST + b"".join(REST)
        assert talk.app_ended in (CLOSE_NOTIFY, FIN)
        assert (talk.client_got, talk.client_ended) == (HELLO + BYE, WHOLE), talk
        return sizes_of(self._attacker(place).wait(), place.direction)

    def attack(
        self,
        version: str,
        place: Place,
        plays: Iterable[tuple[str, int]],
        *,
        sizes: Sequence[int],
        secure: bool,
    ) -> list[str]:
        """Cuts, each by (how, offset). ``secure``: the app speaks TLS. Returns what went wrong."""
        failures = []
        for how, offset in plays:
            talk = self.play(version, place, offset, how)
            cut = offset < sum(sizes)
            wrong = _judge(talk, place, how, cut=cut, secure=secure)
            if wrong:
                failures.append(f"{how} {place} behind byte {offset} of {sum(sizes)}: {wrong}")
        return failures


def _judge(talk: Talk, place: Place, how: str, *, cut: bool, secure: bool) -> str:
    """What is wrong, or nothing."""
    app_clean = talk.app_ended == (CLOSE_NOTIFY if secure else FIN)
    client_clean = talk.client_ended == WHOLE
    to_app = place.direction is Direction.TO_SERVER
    if app_clean and not talk.finished:
        return f"a clean end for the app, and the client had not finished: {talk}"
    if app_clean and talk.app_got != FIRST + b"".join(REST):
        return f"a part passes for the whole at the app: {talk}"
    if app_clean and cut and to_app:
        return f"a clean end for the app: {talk}"
    if client_clean and talk.client_got != HELLO + BYE:
        return f"a part passes for the whole at the client: {talk}"
    if client_clean and cut and not to_app:
        return f"a clean end for the client: {talk}"
    if not cut and how == "FIN" and not (app_clean and client_clean):
        return f"all had arrived before the FIN: {talk}"
    return ""
