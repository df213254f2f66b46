"""The app of the story: what it says, and what it acts on."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from kssl.proxy.demo.truncation.app import FIRST, FORM, FORM_FIRST, WHOLE, App
from tests.proxy.demo.truncation.conftest import TlsApp
from tests.proxy.demo.truncation.wires import SECONDS, to_end
from tests.strict_tls import StrictSocket


@pytest.fixture
def app() -> Iterator[App]:
    with App(pause=0.0) as running:
        yield running


def ask(app: App, *pieces: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", app.port), SECONDS) as client:
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        return to_end(client)


def pay(length: int, body: str) -> bytes:
    return f"POST /pay HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}".encode()


def test_the_order_ends_with_its_connection(app: App) -> None:
    head, _, body = ask(app, b"GET /order HTTP/1.1\r\nHost: a\r\n\r\n").partition(b"\r\n\r\n")
    assert body.decode() == WHOLE
    assert b"content-length" not in head.lower()
    assert b"Connection: close" in head
    assert WHOLE.startswith(FIRST + "000")


def test_a_whole_form_is_executed(app: App) -> None:
    answer = ask(app, pay(len(FORM), FORM_FIRST), FORM.removeprefix(FORM_FIRST).encode())
    assert answer.endswith(f"Executed: {FORM}".encode())
    app.settle()
    assert (app.executed, app.refused) == ([FORM], [])


@pytest.mark.parametrize("body", ["", "t", FORM_FIRST, FORM[:-1]])
def test_a_cut_form_is_never_executed(app: App, body: str) -> None:
    assert ask(app, pay(len(FORM), body)) == b""
    app.settle()
    assert (app.executed, app.refused) == ([], [body])


def test_a_form_without_a_length_has_no_end(app: App) -> None:
    ask(app, b"POST /pay HTTP/1.0\r\n\r\n" + FORM_FIRST.encode())
    app.settle()
    assert app.executed == []


def test_a_head_without_end(app: App) -> None:
    assert ask(app, b"GET /order HTT") == b""


def test_with_tls_it_says_close_notify(tls_app: TlsApp) -> None:
    context = ssl.create_default_context(cafile=tls_app.ca)
    with (
        socket.create_connection(("127.0.0.1", tls_app.app.port), SECONDS) as plain,
        StrictSocket(plain, context, server_hostname="localhost") as client,
    ):
        client.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
        assert to_end(client).endswith(b"Hello.")


@pytest.mark.parametrize("how", ["close_notify", "FIN"])
def test_with_tls_a_cut_form_is_never_executed(tls_app: TlsApp, how: str) -> None:
    """By its length alone: it need not know a forged end from a real one."""
    context = ssl.create_default_context(cafile=tls_app.ca)
    executed, refused = len(tls_app.app.executed), len(tls_app.app.refused)
    with (
        socket.create_connection(("127.0.0.1", tls_app.app.port), SECONDS) as plain,
        StrictSocket(plain, context, server_hostname="localhost") as client,
    ):
        client.sendall(pay(len(FORM), FORM_FIRST))
        if how == "close_notify":
            client.unwrap()
        else:
            client.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ssl.SSLError):
                assert to_end(client) == b""  # what it ends with is of no consequence
    tls_app.app.settle()
    assert tls_app.app.executed[executed:] == []
    assert tls_app.app.refused[refused:] == [FORM_FIRST]


def test_stop_leaves_no_thread() -> None:
    before = threading.enumerate()
    app = App()
    ask(app, b"GET /hello HTTP/1.0\r\n\r\n")
    app.stop()
    app.stop()
    assert set(threading.enumerate()) <= set(before)
