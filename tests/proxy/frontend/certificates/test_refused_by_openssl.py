"""Certificates that never get to a verdict: the worker's OpenSSL ends the handshake.

By a client that changes its own messages, which TLS 1.2 encrypts from Finished on only.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from tests.proxy.frontend.certificates.served import AskingRig, every_site
from tests.proxy.frontend.certificates.wallet import Wallet
from tests.proxy.frontend.rig import SECONDS, wait_for
from tests.proxy.frontend.upstreams import Upstream

# RFC 5246 sections 7.4, 6.2.1 and 7.2
_CERTIFICATE, _CERTIFICATE_VERIFY = 11, 15
_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE = 20, 21, 22
_FATAL = 2
_UNEXPECTED_MESSAGE, _DECODE_ERROR, _DECRYPT_ERROR = 10, 50, 51

# What becomes of a message of some type; None: it is left out.
Edit = Callable[[int, bytes], bytes | None]


def as_it_is(kind: int, body: bytes) -> bytes:
    return body


def no_der(kind: int, body: bytes) -> bytes:
    """Behind the lengths of the list and of the certificate there is no SEQUENCE."""
    return body[:6] + b"\x31" + body[7:] if kind == _CERTIFICATE else body


def too_long(kind: int, body: bytes) -> bytes:
    """The list says that it is longer than the message."""
    return len(body).to_bytes(3, "big") + body[3:] if kind == _CERTIFICATE else body


def wrong_signature(kind: int, body: bytes) -> bytes:
    return body[:-1] + bytes((body[-1] ^ 1,)) if kind == _CERTIFICATE_VERIFY else body


def unproven(kind: int, body: bytes) -> bytes | None:
    return None if kind == _CERTIFICATE_VERIFY else body


@pytest.mark.parametrize("host", ["require-pass.localhost", "negotiate-page.localhost"])
@pytest.mark.parametrize(
    ("edit", "alert"),
    [
        (no_der, _DECODE_ERROR),
        (too_long, _DECODE_ERROR),
        (wrong_signature, _DECRYPT_ERROR),
        (unproven, _UNEXPECTED_MESSAGE),
    ],
)
def test_alert_of_openssl(
    asking: AskingRig, wallet: Wallet, telling: Upstream, host: str, edit: Edit, alert: int
) -> None:
    asking.serve(*every_site(telling.port, wallet))
    context = asking.context_of("1.2", wallet.cards["good"])
    assert answer_to(asking.port, context, host, edit) == (_ALERT, bytes((_FATAL, alert)))
    wait_for(lambda: asking.errors.of("Handshake"), "its line")
    assert telling.accepted == 0


@pytest.mark.parametrize("host", ["require-pass.localhost", "negotiate-page.localhost"])
def test_a_good_certificate_of_somebody_else(
    asking: AskingRig, wallet: Wallet, telling: Upstream, host: str
) -> None:
    """Certificates are public: without the key they are worth nothing."""
    asking.serve(*every_site(telling.port, wallet))
    stolen = wallet.cards["good"].der
    listed = len(stolen).to_bytes(3, "big") + stolen

    def steal(kind: int, body: bytes) -> bytes:
        return len(listed).to_bytes(3, "big") + listed if kind == _CERTIFICATE else body

    context = asking.context_of("1.2", wallet.cards["self-signed"])
    answer = answer_to(asking.port, context, host, steal)
    assert answer == (_ALERT, bytes((_FATAL, _DECRYPT_ERROR)))
    wait_for(lambda: asking.errors.of("Handshake"), "its line")
    assert telling.accepted == 0


def test_as_it_is_the_handshake_goes_on(
    asking: AskingRig, wallet: Wallet, telling: Upstream
) -> None:
    """Else the others would pass for another reason."""
    asking.serve(*every_site(telling.port, wallet))
    context = asking.context_of("1.2", wallet.cards["good"])
    answer = answer_to(asking.port, context, "require-page.localhost", as_it_is)
    assert answer == (_CHANGE_CIPHER_SPEC, b"\x01")


def answer_to(port: int, context: ssl.SSLContext, host: str, edit: Edit) -> tuple[int, bytes]:
    """Type and content of the record with which the proxy answers a client's second flight."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    with socket.create_connection(("127.0.0.1", port), SECONDS) as sock:
        for change in (None, edit):
            while not outgoing.pending:
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    if not outgoing.pending:
                        incoming.write(sock.recv(1 << 16))
            flight = outgoing.read()
            sock.sendall(flight if change is None else edited(flight, change))
        received = b""
        while len(received) < 5 or len(received) < 5 + int.from_bytes(received[3:5], "big"):
            piece = sock.recv(1 << 16)
            assert piece, received
            received += piece
    return received[0], received[5 : 5 + int.from_bytes(received[3:5], "big")]


def edited(flight: bytes, edit: Edit) -> bytes:
    """A record for each message that is not encrypted yet; the rest follows as it is."""
    plain, rest = b"", flight
    while rest[:1] == bytes((_HANDSHAKE,)):
        end = 5 + int.from_bytes(rest[3:5], "big")
        plain, rest = plain + rest[5:end], rest[end:]
    records = b""
    for kind, body in _messages(plain):
        changed = edit(kind, body)
        if changed is not None:
            message = bytes((kind,)) + len(changed).to_bytes(3, "big") + changed
            header = bytes((_HANDSHAKE, 3, 3)) + len(message).to_bytes(2, "big")
            records += header + message
    return records + rest


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        end = 4 + int.from_bytes(data[1:4], "big")
        yield data[0], data[4:end]
        data = data[end:]
