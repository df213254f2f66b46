"""Every kind of certificate with every setting, by Python's ssl. The same by curl and openssl is in
tests/acceptance/clientcerts."""

from __future__ import annotations

import re

import pytest

from tests.proxy.frontend.certificates.seen import certificates
from tests.proxy.frontend.certificates.served import AskingRig, every_site, fields_of, get
from tests.proxy.frontend.certificates.table import (
    FAILURES,
    FLAGS,
    Case,
    Result,
    cases,
    expected,
)
from tests.proxy.frontend.certificates.wallet import Wallet
from tests.proxy.frontend.clients import Answer, CutError
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import Upstream

_TITLE = re.compile(rb"<title>(.*?)</title>")


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("flags", FLAGS)
def test_every_case(
    asking: AskingRig, wallet: Wallet, telling: Upstream, flags: str, failure: str
) -> None:
    asking.serve(*every_site(telling.port, wallet))
    for case in cases():
        if (case.flags, case.failure) == (flags, failure):
            assert observed(asking, wallet, case) == expected(case), case


def observed(rig: AskingRig, wallet: Wallet, case: Case) -> Result:
    card = wallet.cards.get(case.presents)
    target = f"/{case.version}/{case.presents.replace(' ', '-')}"
    answer: Answer | str
    rig.errors.lines.clear()  # an earlier client may have had the same port
    with rig.visitor(case.host, case.version, card) as client:
        port = client.sock.getsockname()[1]
        try:
            client.send(get(case.host, target))
            answer = client.read_answer()
            client.close_notify()
            client.read_to_end()
        except CutError as cut:
            answer = str(cut)
    wait_for(lambda: not rig.front.connections, "its end")
    rig.call(lambda: rig.front.journal.access_log.flush())
    access, error = access_of(rig, target), error_of(rig, port, case.host)
    if isinstance(answer, str):
        words = answer.partition("_ALERT_")[2].replace("_", " ").lower()
        return Result(f"alert {words}", access=access, error=error)
    line = answer.head.partition(b"\r\n")[0].decode()
    if answer.status != 200:
        title = _TITLE.search(answer.body)
        return Result(line, title[1].decode() if title else "", access=access, error=error)
    fields = fields_of(answer)
    own, between = certificates(fields, card.der if card is not None else None)
    verdict = fields.get("x-client-cert-verdict")
    return Result(line, "", verdict, own, between, access, error)


def access_of(rig: AskingRig, target: str) -> tuple[str, str] | None:
    """Status and cert= of the access log's line about a request."""
    found = [line.decode() for line in rig.log_lines if f'"GET {target} '.encode() in line]
    assert len(found) <= 1, found
    for line in found:
        _, cert, word = line.rpartition(" cert=")
        return line.split('"')[2].split()[0], word if cert else ""
    return None


def error_of(rig: AskingRig, port: int, host: str) -> tuple[str, str] | None:
    """Status and reason of the HTTPERR log's line about the client at ``port``; it names the site,
    also where the connection has ended without a request."""
    found = [line for line in rig.errors.lines if line["client"][1] == port]
    assert len(found) <= 1, found
    for line in found:
        assert line["queue"] == host
        return str(line["status"] or "-"), line["reason"]
    return None
