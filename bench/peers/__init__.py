"""Peers: other people's proxies, started with configurations that make their work equal to ours.

One worker process or thread each, the same certificate, TLS 1.2 and 1.3, TLS_AES_256_GCM_SHA384,
connections kept on both sides, bodies streamed, no access log, no compression, and the same
X-Forwarded-* fields: as far as a program can. Where one cannot, its configuration and its note
say so.

base.py   what a peer is made of
others    one module per program, with its configuration
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kssl.bench.contract import Peer, Surroundings
from kssl.bench.errors import BenchError
from kssl.bench.peers.base import Place, Program
from kssl.bench.peers.caddy import CADDY
from kssl.bench.peers.haproxy import HAPROXY
from kssl.bench.peers.hitch import HITCH
from kssl.bench.peers.mitmproxy import MITMPROXY
from kssl.bench.peers.nginx import NGINX, NGINX_LARGE, NGINX_PLAIN
from kssl.bench.peers.proxy_py import PROXY_PY
from kssl.bench.peers.stunnel import STUNNEL

_PROGRAMS: dict[str, Program] = {
    program.name: program
    for program in (
        NGINX,
        NGINX_LARGE,
        HAPROXY,
        HITCH,
        STUNNEL,
        CADDY,
        MITMPROXY,
        PROXY_PY,
        NGINX_PLAIN,
    )
}

PEERS: dict[str, Peer] = {name: program.peer() for name, program in _PROGRAMS.items()}

# Stands for what only a run knows.
_EXAMPLE = Surroundings(
    folder=Path("/tmp/kssl-bench"),  # noqa: S108 - nothing is written there
    upstream=8000,
    certificate=Path("/tmp/kssl-bench/certificate.pem"),  # noqa: S108
    key=Path("/tmp/kssl-bench/key.pem"),  # noqa: S108
)
_EXAMPLE_PORT = 8443


def configurations(names: Iterable[str], around: Surroundings) -> str:
    """What peers are started with: commands and files, one peer after the other.

    The peers' own ports and folders are examples. Raises BenchError for a name of nobody.
    """
    return "\n".join(f"##### {name}\n{_configuration(name, around)}" for name in names)


def print_configs(names: Iterable[str]) -> str:
    """As `configurations`, with examples for everything that only a run knows."""
    return configurations(names, _EXAMPLE)


def _configuration(name: str, around: Surroundings) -> str:
    if name not in _PROGRAMS:
        raise BenchError(f"no peer {name!r}; there are {', '.join(_PROGRAMS)}")
    place = Place(
        around.folder / name, _EXAMPLE_PORT, around.upstream, around.certificate, around.key
    )
    return _PROGRAMS[name].configuration(place, around.venv)
