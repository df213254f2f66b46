"""One listening address and what it serves."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from kssl.config.model import Binding, Site
from kssl.fastpath.engines.contract import Session
from kssl.proxy.frontend.router import Router
from kssl.proxy.frontend.site import first_name
from kssl.proxy.http.forward import ClientInfo

_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104


class Endpoint:
    """An address that is listened on, or those of a name. Connections keep theirs, so a reload
    changes it in place.

    ``index``: which of the worker's endpoints it is; None without TLS, or when it is gone.
    ``open``: False when it is being given up; a connection then ends with its request.
    """

    __slots__ = ("_address", "_one", "binding", "index", "open", "port", "router", "tls")

    def __init__(self, binding: Binding, sockets: Sequence[socket.socket]) -> None:
        """``sockets``: one for each address; all have the same port."""
        self.binding = binding
        self.tls = binding.tls
        self.index: int | None = None
        self.open = True
        address = sockets[0].getsockname()
        self.port: int = address[1]
        self._one = len(sockets) == 1 and address[0] not in _WILDCARDS
        self._address: tuple[str, int] = (address[0], address[1])
        self.router: Router

    def address_of(self, sock: socket.socket) -> tuple[str, int]:
        """The address that a client has connected to, for the HTTPERR log."""
        if not self._one:
            try:
                address = sock.getsockname()
            except OSError:  # it is closed
                return self._address
            return address[0], address[1]
        return self._address

    @property
    def sites(self) -> tuple[Site, ...]:
        return self.router.sites

    @property
    def url(self) -> str:
        """Of the site that clients get who name none."""
        return self.url_of(self.router.fallback.site)

    def url_of(self, site: Site) -> str:
        """With the first host name of ``site``, or the address that is listened on."""
        shown = first_name(site)
        if shown is None:
            host = self.binding.listen.host
            shown = "localhost" if host in (*_WILDCARDS, "127.0.0.1", "::1") else host
        if ":" in shown:
            shown = f"[{shown}]"
        scheme, usual = ("https", 443) if self.tls else ("http", 80)
        return f"{scheme}://{shown}" + ("" if self.port == usual else f":{self.port}")


def client_info(
    endpoint: Endpoint,
    peer: tuple[str, int],
    session: Session,
    *,
    mode: str,
    engine: str,
    certificate_fields: tuple[tuple[str, str], ...] = (),
) -> ClientInfo:
    """What the upstream is told about a client of this endpoint."""
    encrypted = (("X-Kssl-Tls-Version", session.version), ("X-Kssl-Cipher", session.cipher))
    return ClientInfo(
        address=peer[0],
        port=peer[1],
        scheme="https" if endpoint.tls else "http",
        server_port=endpoint.port,
        own_fields=(
            *(encrypted if endpoint.tls else ()),
            ("X-Kssl-Mode", mode),
            ("X-Kssl-Engine", engine),
        ),
        certificate_fields=certificate_fields,
    )
