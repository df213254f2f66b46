"""Sites that ask for certificates, in front of an app that tells what it got; and clients."""

from __future__ import annotations

import hashlib
import io
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

from kssl.config.client_certificates import ClientCertificates, Failure, Headers
from kssl.config.model import Configuration, Site
from kssl.config.target import Target
from kssl.proxy.journal.accesslog import AccessLog
from tests.proxy.frontend.certificates.table import FAILURES, FLAGS, host_of
from tests.proxy.frontend.certificates.wallet import Card, Wallet
from tests.proxy.frontend.clients import Answer, Client
from tests.proxy.frontend.rig import TLS, Errors, Rig
from tests.proxy.frontend.upstreams import UpstreamSide, response

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def tell(side: UpstreamSide) -> None:
    """An app whose answer is the head of the request; X-Sha256 is of its body."""
    while True:
        head, body = side.read_request()
        digest = hashlib.sha256(body).hexdigest().encode()
        side.send(response(head, b"X-Sha256: " + digest))


def fields_of(answer: Answer) -> dict[str, str]:
    """What the app got, names in lower case, each once."""
    fields = {}
    for line in answer.body.decode().split("\r\n")[1:-2]:
        name, _, value = line.partition(":")
        assert name.lower() not in fields, name
        fields[name.lower()] = value.strip(" ")
    return fields


def site(
    host: str, port: int, wallet: Wallet, flags: str, failure: str, *, number: int = 1, **more: Any
) -> Site:
    """One of the table's. ``more``: settings of `ClientCertificates`."""
    asked = ClientCertificates(
        required=flags == "require",
        ca=wallet.ca,
        failure=Failure(failure),
        headers=Headers.RFC9440,
        revocation=True,
        crls=wallet.crls,
    )
    flag = {"ignore": (), "negotiate": ("SslNegotiateCert",), "require": ("SslRequireCert",)}[flags]
    return Site(
        name=host, number=number, hostnames=(host,), bindings=(TLS,),
        upstreams=(Target("http", "127.0.0.1", port),),
        ssl_flags=frozenset(("Ssl", *flag)),
        client_certificates=replace(asked, **more) if flag else None,
    )  # fmt: skip


def every_site(port: int, wallet: Wallet) -> list[Site]:
    pairs = [(flags, failure) for flags in FLAGS for failure in FAILURES]
    return [
        site(host_of(flags, failure), port, wallet, flags, failure, number=number)
        for number, (flags, failure) in enumerate(pairs, 1)
    ]


class AskingRig(Rig):
    """A proxy whose worker and verifier know the sites, too."""

    def __init__(self, mode: str, folder: Path, **started: Any) -> None:
        """``started``: see `Rig`."""
        super().__init__(mode, folder, **started)
        self._contexts: dict[tuple[str, Card | None], ssl.SSLContext] = {}

    def serve(self, *sites: Site, **values: int) -> None:
        """These and no others from now on, with empty logs; ``values``: parameters other than the
        defaults."""
        parameters = replace(self._parameters, **values)  # type: ignore[arg-type]
        self.wait(self.service.reload(Configuration(parameters=parameters, sites=sites)))

        def change() -> None:
            self.front.parameters = parameters  # also those that a reload leaves
            self.log = io.BytesIO()
            self.errors = Errors()
            self.write_into(AccessLog(self.loop, self.log), self.errors)

        self.call(change)

    def context_of(self, version: str, card: Card | None) -> ssl.SSLContext:
        """The same for the same, as sessions need it."""
        if (version, card) not in self._contexts:
            context = ssl.create_default_context(cafile=self.service.ca)
            context.minimum_version = context.maximum_version = _VERSIONS[version]
            if card is not None:
                context.load_cert_chain(card.chain, card.key)
            self._contexts[version, card] = context
        return self._contexts[version, card]

    def visitor(self, host: str, version: str, card: Card | None, **more: Any) -> Client:
        """Connected to ``host``."""
        return Client(self.port, self.context_of(version, card), name=host, **more)


def get(host: str, target: str = "/", *fields: str) -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode()


def post(host: str, body: bytes) -> bytes:
    head = f"POST /upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
