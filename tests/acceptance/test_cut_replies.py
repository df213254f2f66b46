"""Replies cut behind every byte between the proxy and its client. With EnableSslCloseNotify=1 no
client that checks takes a part for the whole; only behind the last byte of close_notify it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.clients import CLIENTS
from kssl.proxy.demo.truncation.link import Link
from kssl.proxy.demo.truncation.records import Direction
from tests.acceptance.conftest import Figure
from tests.acceptance.support import MODES
from tests.needs import need
from tests.proxy.frontend.clients import Client
from tests.proxy.frontend.cuts.replies import (
    BODY,
    CHUNKED,
    CLOSE,
    FRAMINGS,
    LENGTH,
    LENGTH_1_0,
    REWRAPPED,
    Framing,
    answer,
    attack,
    by_python,
    by_records,
    honest,
    name_of,
    tells,
)
from tests.proxy.frontend.cuts.stage import (
    HOWS,
    PIECE,
    VERSIONS,
    Stage,
    cut_at,
    edges,
    no_failures,
    running,
    sizes_of,
    spread,
)
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide
from tests.strict_tls import python_notices

pytestmark = [pytest.mark.acceptance, pytest.mark.parametrize("mode", MODES)]

RECORD = 16384  # bytes of plaintext in a full one
DEFAULT_PIECE = 131072

Get = Callable[[str], Stage]


class _Order:
    """`app`, and what the programs ask for: ``/order``, with the framing that is set."""

    def __init__(self) -> None:
        self.framing = b""

    def __call__(self, side: UpstreamSide) -> None:
        head, _ = side.read_request()
        path = head.split(b" ")[1][1:]
        side.send(answer(self.framing if path == b"order" else path, BODY))


@pytest.fixture(scope="module")
def order() -> _Order:
    return _Order()


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory, order: _Order) -> Iterator[Get]:
    """A proxy for each mode, started when it is asked for, before an app with `BODY`."""
    found: dict[str, Stage] = {}
    folder = tmp_path_factory.mktemp("cut")
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream(order))

        def get(mode: str) -> Stage:
            if mode not in found:
                process = running(folder / mode, mode, f"127.0.0.1:{upstream.port}")
                found[mode] = stack.enter_context(process)
            return found[mode]

        yield get


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("framing", FRAMINGS, ids=name_of)
def test_every_offset(
    stages: Get, mode: str, version: str, framing: Framing, figure: Figure
) -> None:
    stage = stages(mode)
    context = stage.context(version)
    failures = []
    with Attacker(stage.port) as attacker:
        expected = honest(attacker, context, framing, BODY)
        assert len(expected.sizes) >= 4
        ways = [(read, how) for read in (by_records, by_python) for how in HOWS if tells(read, how)]
        for read, how in ways:
            failures += attack(
                attacker, context, framing, expected, BODY,
                read=read, how=how, offsets=range(expected.total + 2),
            )  # fmt: skip
    no_failures(failures)
    asked = ", ".join(f"{read.__name__} {how}" for read, how in ways)
    figure(f"{expected.total} offsets in records of {expected.sizes} bytes, {asked}")


# -- clients that are programs -------------------------------------------------------------

# Each of these checks something: those of HTTP/1.1 the framing, the others close_notify. curl
# with HTTP/1.0 is not among them: curl 7.88 with OpenSSL 3.0 takes FIN for the end of the body. It
# takes FIN for the end of the head too, as http.client does, and without the fields that were cut
# off no body is due: what they show is then empty, but never a part of the body.
_BY_FRAMING = ("curl", "http.client")
_BY_CLOSE_NOTIFY = ("openssl s_client", "python strict")


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("name", "framing"),
    [
        *((name, framing) for name in _BY_FRAMING for framing in (LENGTH, CHUNKED, REWRAPPED)),
        *((name, framing) for name in _BY_CLOSE_NOTIFY for framing in (LENGTH_1_0, CLOSE)),
    ],
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_programs(
    stages: Get, order: _Order, mode: str, name: str, framing: Framing, how: str
) -> None:
    (victim,) = (client for client in CLIENTS if client.name == name)
    if victim.program:
        need(victim.program)
    if name == "python strict" and how == "FIN" and not python_notices():
        pytest.skip("this Python's ssl takes FIN for close_notify, told to be strict too")
    stage = stages(mode)
    order.framing = framing.name.encode()
    with Client(stage.port, stage.context("TLSv1_3")) as client:
        head = client.ask(b"GET", b"/order").head
    failures = []
    with Attacker(stage.port) as attacker:
        wait = cut_at(attacker, Direction.TO_CLIENT, None, how)
        outcome = victim.ask(attacker.port, stage.ca)
        assert (outcome.body, outcome.error) == (BODY.decode(), "")
        sizes = sizes_of(wait(), Direction.TO_CLIENT)
        with_head = sum(sizes[: 1 + -(-len(head) // PIECE)])  # a ticket comes before
        for offset in sorted({*edges(sizes, around=1), *spread(sum(sizes), 10)}):
            cut_at(attacker, Direction.TO_CLIENT, offset, how)
            outcome = victim.ask(attacker.port, stage.ca)
            whole = outcome.body == BODY.decode()
            if name in _BY_CLOSE_NOTIFY:
                right = (whole and not outcome.error) if offset >= sum(sizes) else outcome.error
            elif offset >= sum(sizes):
                right = whole and not outcome.error
            else:
                right = whole or outcome.error or (not outcome.body and offset < with_head)
            if not right:
                failures.append(f"{how} behind byte {offset} of {sum(sizes)}: {outcome}")
    no_failures(failures)


# -- full records --------------------------------------------------------------------------


class _InStep:
    """An app that sends its head and three full records, each when the attacker has seen the one
    before, so that they do not depend on how fast the proxy reads."""

    def __init__(self) -> None:
        self.attacker: Attacker | None = None
        self.body = b"".join(b"%07d," % number for number in range(3 * RECORD // 8))

    def __call__(self, side: UpstreamSide) -> None:
        head, _ = side.read_request()
        assert self.attacker is not None
        link = self.attacker.links[-1]
        said = answer(head.split(b" ")[1][1:], self.body)
        begin = len(said) - len(self.body)
        for start, end in pairwise([0, *range(begin, len(said) + 1, RECORD)]):
            before = len(link.records(Direction.TO_CLIENT))
            side.send(said[start:end])
            wait_for(partial(_has_more, link, before), "the attacker sees the record")


def _has_more(link: Link, before: int) -> bool:
    """Another complete record. Or the link is over: the client has gone."""
    records = link.records(Direction.TO_CLIENT)
    return link.over or (len(records) > before and records[-1].complete)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("framing", [LENGTH, CLOSE], ids=name_of)
def test_three_full_records(
    mode: str, version: str, framing: Framing, tmp_path: Path, figure: Figure
) -> None:
    script = _InStep()
    with (
        Upstream(script) as upstream,
        running(
            tmp_path / "state", mode, f"127.0.0.1:{upstream.port}", piece=DEFAULT_PIECE
        ) as stage,
        Attacker(stage.port) as attacker,
    ):
        script.attacker = attacker
        context = stage.context(version)
        expected = honest(attacker, context, framing, script.body)
        assert sum(size > RECORD for size in expected.sizes) == 3
        offsets = sorted({*edges(expected.sizes), *spread(expected.total, 60)})
        failures = []
        for read, how in ((by_records, "FIN"), (by_python, "FIN"), (by_records, "RST")):
            if not tells(read, how):
                continue
            failures += attack(
                attacker, context, framing, expected, script.body,
                read=read, how=how, offsets=offsets,
            )  # fmt: skip
    no_failures(failures)
    figure(f"{len(offsets)} of {expected.total} offsets in records of {expected.sizes} bytes")
