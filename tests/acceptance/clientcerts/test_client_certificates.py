"""Every kind of certificate with every setting, by clients that others wrote."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.clientcerts.clients import CLIENTS, Reply, Visit
from tests.acceptance.clientcerts.conftest import Serve
from tests.acceptance.clientcerts.serving import Logged, Serving
from tests.acceptance.conftest import Figure
from tests.acceptance.support import MODES
from tests.proxy.frontend.certificates.seen import certificates
from tests.proxy.frontend.certificates.table import (
    FAILURES,
    FLAGS,
    Case,
    Result,
    cases,
    expected,
)
from tests.proxy.frontend.certificates.wallet import Wallet

pytestmark = pytest.mark.acceptance

_AT_A_TIME = 6
_TITLE = re.compile(r"<title>(.*?)</title>")

# A network of its own for each client and mode, an address of its own for each request.
_NETWORK = {
    (mode, client): 16 * (1 + number)
    for number, (mode, client) in enumerate(itertools.product(MODES, CLIENTS))
}


def addresses(mode: str, client: str) -> Iterator[str]:
    for number in itertools.count():
        yield f"127.{_NETWORK[mode, client]}.{number // 200}.{1 + number % 200}"


def visit(server: Serving, wallet: Wallet, case: Case, source: str) -> Visit:
    card = wallet.cards.get(case.presents)
    return Visit(server.port, server.ca, case.host, case.version, source, card)


def result(reply: Reply, logged: Logged, leaf: bytes | None) -> Result:
    title, verdict, own, between = "", None, False, 0
    if reply.answer.endswith(" 200 OK"):
        fields = {name.lower(): value for name, value in json.loads(reply.body)["headers"]}
        verdict = fields.get("x-client-cert-verdict")
        own, between = certificates(fields, leaf)
    elif (found := _TITLE.search(reply.body.decode())) is not None:
        title = found[1]
    return Result(reply.answer, title, verdict, own, between, logged.access, logged.error)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("mode", MODES)
def test_every_case(serve: Serve, wallet: Wallet, figure: Figure, mode: str, client: str) -> None:
    server = serve(mode)
    visits = {
        case: visit(server, wallet, case, source)
        for case, source in zip(cases(), addresses(mode, client), strict=False)
    }
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        replies = dict(zip(visits, pool.map(CLIENTS[client], visits.values()), strict=True))
    logged = server.logged_of([each.source for each in visits.values()])
    same, differences = Counter[tuple[str, str]](), []
    for case, reply in replies.items():
        card = visits[case].card
        lines = logged.get(visits[case].source, Logged())
        observed = result(reply, lines, card.der if card is not None else None)
        if observed == expected(case):
            same[case.flags, case.failure] += 1
        else:
            differences.append(f"{case}\n  expected {expected(case)}\n  observed {observed}")
    every = Counter((case.flags, case.failure) for case in replies)
    for flags in FLAGS:
        counts = [f"{x} {same[flags, x]:2} of {every[flags, x]}" for x in FAILURES]
        figure(f"{flags:9} expected = observed: {', '.join(counts)}")
    assert not differences, f"{len(differences)} of {len(replies)}\n" + "\n".join(differences)
