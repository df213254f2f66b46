"""The clients against the app's own TLS: an honest end, and one forged at any byte."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from kssl.proxy.demo.truncation import clients, play
from kssl.proxy.demo.truncation.app import FIRST, WHOLE
from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.clients import CLIENTS, Client, Outcome
from kssl.proxy.demo.truncation.cut import Cut, How
from kssl.proxy.demo.truncation.records import Direction
from kssl.proxy.demo.truncation.wire import wire_of
from tests.needs import need
from tests.proxy.demo.truncation.conftest import TlsApp
from tests.strict_tls import python_notices

BY_NAME = {client.name: client for client in CLIENTS}
STRICT, NAIVE = BY_NAME["python strict"], BY_NAME["naive"]


@pytest.fixture(scope="module")
def attacker(tls_app: TlsApp) -> Iterator[Attacker]:
    with Attacker(tls_app.app.port) as running:
        yield running


def named(client: Client) -> str:
    return client.name


@pytest.mark.parametrize("client", CLIENTS, ids=named)
def test_an_honest_reply(client: Client, attacker: Attacker, tls_app: TlsApp) -> None:
    if client.program:
        need(client.program)
    attacker.cut = None
    assert client.ask(attacker.port, tls_app.ca) == Outcome(WHOLE)


@pytest.mark.parametrize("client", CLIENTS, ids=named)
def test_another_ca(client: Client, attacker: Attacker, tls_app: TlsApp) -> None:
    """A refusal for another reason is told as such, and is no reply."""
    if client.program:
        need(client.program)
    attacker.cut = None
    outcome = client.ask(attacker.port, tls_app.other_ca)
    assert outcome.body == ""
    assert "certif" in outcome.error.lower()


def places(tls_app: TlsApp, attacker: Attacker) -> list[int]:
    """Of the reply: around the ends of all records, and a few in between."""
    attacker.cut = None
    wire = wire_of(play.watched(attacker, lambda: STRICT.ask(attacker.port, tls_app.ca)))
    found, end = {0}, 0
    for size in wire.to_client:
        found |= {end + 1, end + 5, end + size // 2, end + size - 1, end + size}
        end += size
    return sorted(found - {end})  # behind all of it there is nothing to cut


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_who_checks_is_never_fooled(tls_app: TlsApp, attacker: Attacker, how: How) -> None:
    for after in places(tls_app, attacker):
        attacker.cut = Cut(Direction.TO_CLIENT, after=after, how=how)
        number = len(attacker.links)
        outcome = STRICT.ask(attacker.port, tls_app.ca)
        assert attacker.wait(number).cut_at is not None
        if how == "RST" or python_notices():
            assert outcome.error, f"fooled by {how} after {after} bytes"
        else:  # strict in name only: what it has of a reply is a reply
            assert outcome.error in ("", "no reply")
        assert WHOLE.startswith(outcome.body)


def test_who_takes_fin_for_the_end_is_fooled(tls_app: TlsApp, attacker: Attacker) -> None:
    attacker.cut = None
    wire = wire_of(play.watched(attacker, lambda: NAIVE.ask(attacker.port, tls_app.ca)))
    for byte in (0, 4, 5, 20):  # what stands of a cut record cannot be opened
        attacker.cut = Cut(Direction.TO_CLIENT, record=wire.rest, byte=byte)
        assert NAIVE.ask(attacker.port, tls_app.ca) == Outcome(FIRST)


def test_a_reset_is_noticed_by_the_naive_one_too(tls_app: TlsApp, attacker: Attacker) -> None:
    attacker.cut = Cut(Direction.TO_CLIENT, after=0, how="RST")
    assert "ConnectionReset" in NAIVE.ask(attacker.port, tls_app.ca).error


def test_an_error_page_is_no_reply() -> None:
    assert clients._reply(b"HTTP/1.1 502 Bad Gateway\r\n\r\npage").error
    assert clients._reply(b"").error == "no reply"
    assert clients._reply(b"HTTP/1.0 200\r\n\r\nfine") == Outcome("fine")


def test_a_time_limit(tls_app: TlsApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers: each client gives up. The kernel connects it, unless it is too slow even for
    that."""
    monkeypatch.setattr(clients, "_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for client in CLIENTS:
            if client.installed:
                assert client.ask(port, tls_app.ca).error


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "40D744F34A7F0000:error:0A000126:SSL routines:ssl3_read_n:unexpected eof while "
            "reading:../ssl/record/rec_layer_s3.c:318:",
            "unexpected eof while reading",
        ),
        ("curl: (18) transfer closed", "transfer closed"),
        (
            "curl: (56) OpenSSL SSL_read: OpenSSL/3.0.22: error:0A000438:SSL routines::tlsv1 alert "
            "internal error, errno 0",
            "tlsv1 alert internal error",
        ),
        ("read:errno=104", "read:errno=104"),
        ("", ""),
    ],
)
def test_what_programs_say(line: str, told: str) -> None:
    assert clients._told(line) == told
