"""A request that is cut on its way: what the app does, and what becomes of the client's session."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass
from functools import partial

from kssl.proxy.demo.truncation.app import FORM, FORM_FIRST, FORM_REST, App
from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.clients import HOST, NAME
from kssl.proxy.demo.truncation.cut import Cut
from kssl.proxy.demo.truncation.play import Front, StagingError, watched
from kssl.proxy.demo.truncation.records import Direction
from kssl.proxy.demo.truncation.rows import OFF, ON, Row
from kssl.proxy.demo.truncation.wire import Wire, wire_of

EXECUTED, NOT_EXECUTED, CUT_EXECUTED = "executed", "not executed", "CUT ONE EXECUTED"
RESUMES, FULL = "resumes", "full handshake"
CLIENT = "python with a session"

_SECONDS = 5.0
# Before the client comes back after an attack: the proxy sees that a connection is over when all
# others see it, and forgets the session a moment later.
_ABSENCE = 0.25
_READ = 1 << 16  # bytes
# Three records: GET /hello, so that the client gets its ticket; then the head of POST /pay with
# the first half of the form; then the other half.
_CUT = Cut(Direction.TO_SERVER, record=2)
_HELLO = f"GET /hello HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
_PAY = (
    f"POST /pay HTTP/1.1\r\nHost: {NAME}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    f"Content-Length: {len(FORM)}\r\n\r\n{FORM_FIRST}"
).encode()


@dataclass(slots=True)
class _Visit:
    """What the client got."""

    session: ssl.SSLSession | None = None
    answer: str = ""
    error: str = ""


def request(front: Front, app: App) -> Row:
    """The attacker ends what the client says to the proxy. Raises StagingError."""
    context = ssl.create_default_context(cafile=front.ca)
    with Attacker(front.port) as attacker:
        told: list[str] = []
        wires: list[Wire] = []
        for cut in (None, _CUT):
            executed, visit, attacker.cut = len(app.executed), _Visit(), cut
            wires.append(wire_of(watched(attacker, partial(_pay, attacker, context, visit))))
            app.settle()
            forms = app.executed[executed:]
            if cut is None and forms != [FORM]:
                raise StagingError(f"{front.proxy}: an honest form came as {forms}: {visit.error}")
            if cut is not None and wires[-1].cut is None:
                raise StagingError(f"{front.proxy}: the form had gone before it could be cut")
            attacker.cut = None
            if cut is not None:
                time.sleep(_ABSENCE)
            resumed = _resumes(attacker, context, visit.session)
            done = CUT_EXECUTED if cut and forms else EXECUTED if forms else NOT_EXECUTED
            told.append(f"{done}, {RESUMES if resumed else FULL}")
    return Row(
        scene="request",
        proxy=front.proxy,
        mode=front.mode,
        setting=front.setting,
        client=CLIENT,
        honest=told[0],
        attacked=told[1],
        believes=f"the app: {forms[0]!r}" if forms else "the app: nothing",
        told=visit.answer.partition("\r\n")[0] or visit.error,
        fine=_fine(front),
        wires=(wires[0], wires[1]),
    )


def _fine(front: Front) -> tuple[frozenset[str], frozenset[str]] | None:
    if front.proxy != "kssl":
        return None
    after = {OFF: RESUMES, ON: FULL}[front.setting]
    return frozenset([f"{EXECUTED}, {RESUMES}"]), frozenset([f"{NOT_EXECUTED}, {after}"])


def _connect(
    attacker: Attacker, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLSocket:
    plain = socket.create_connection((HOST, attacker.port), _SECONDS)
    try:
        return context.wrap_socket(plain, server_hostname=NAME, session=session)
    except BaseException:
        plain.close()
        raise


def _pay(attacker: Attacker, context: ssl.SSLContext, visit: _Visit) -> None:
    """The visit is told as it goes: under attack it ends somewhere."""
    try:
        with _connect(attacker, context) as tls:
            tls.sendall(_HELLO)
            _read(tls, b"Hello.")
            visit.session = tls.session
            tls.sendall(_PAY)
            tls.sendall(FORM_REST.encode())
            visit.answer = _read(tls, FORM.encode())
            _leave(tls)
    except OSError as error:
        visit.error = str(error)


def _read(tls: ssl.SSLSocket, end: bytes) -> str:
    received = b""
    while not received.endswith(end) and (piece := tls.recv(_READ)):
        received += piece
    return received.decode("latin-1")


def _leave(tls: ssl.SSLSocket) -> None:
    """close_notify: without it EnableSslCloseNotify=1 does not resume. The peer need not answer."""
    with contextlib.suppress(OSError):
        tls.unwrap()


def _resumes(attacker: Attacker, context: ssl.SSLContext, session: ssl.SSLSession | None) -> bool:
    if session is None:
        raise StagingError("the client got no session to resume")
    try:
        with _connect(attacker, context, session) as tls:
            tls.sendall(_HELLO)
            _read(tls, b"Hello.")
            resumed = bool(tls.session_reused)
            _leave(tls)
            return resumed
    except OSError as error:
        raise StagingError(f"the client could not come again: {error}") from None
