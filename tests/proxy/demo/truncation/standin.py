"""Stands in for a proxy before an app with TLS: verifies nothing, and either passes a forged end on
as an end, or as a reset."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator

from tests.proxy.demo.truncation.wires import SECONDS
from tests.strict_tls import StrictSocket

_HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


@contextlib.contextmanager
def proxy(upstream: int, context: ssl.SSLContext, *, guard: bool) -> Iterator[int]:
    """Its port, while it runs."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    threads.append(
                        threading.Thread(target=_serve, args=[peer, upstream, context, guard])
                    )
                    threads[-1].start()

        threads.append(threading.Thread(target=accept))
        threads[0].start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(SECONDS)


def _serve(peer: socket.socket, upstream: int, context: ssl.SSLContext, guard: bool) -> None:
    peer.settimeout(SECONDS)
    with context.wrap_socket(peer, server_side=True) as client:
        request = b""
        while b"\r\n\r\n" not in request:
            request += client.recv(4096)
        chunked = b" HTTP/1.1\r\n" in request
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", upstream), SECONDS) as plain,
            StrictSocket(plain, unverified) as app,
        ):
            app.sendall(request)
            try:
                _relay(app, client, chunked)
            except ssl.SSLEOFError:
                if guard:
                    abort = struct.pack("ii", 1, 0)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abort)
                    return
        if chunked:
            client.sendall(b"0\r\n\r\n")
        with contextlib.suppress(OSError):
            client.unwrap()


def _relay(app: StrictSocket, client: ssl.SSLSocket, chunked: bool) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += app.recv(4096)
    body = head.partition(b"\r\n\r\n")[2]
    client.sendall(_HEAD + (b"Transfer-Encoding: chunked\r\n" if chunked else b"") + b"\r\n")
    while body:
        client.sendall(b"%x\r\n%b\r\n" % (len(body), body) if chunked else body)
        body = app.recv(4096)
