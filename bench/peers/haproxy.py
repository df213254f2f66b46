"""HAProxy, as an HTTP proxy."""

from __future__ import annotations

from string import Template

from kssl.bench.peers.base import Place, Program, Setup, on_path
from kssl.bench.process import open_files, output_of

_CONFIG = Template("""\
# Written by `kssl bench`. Everything that is not named here has HAProxy's default.
global
    nbthread 1
    maxconn $clients
    # By default it wants room for an upstream connection for each client and else does not start.
    ulimit-n $open_files
    no strict-limits
    ssl-default-bind-options ssl-min-ver TLSv1.2 ssl-max-ver TLSv1.3
    # What kssl and nginx agree on with clients of OpenSSL's defaults.
    ssl-default-bind-ciphersuites TLS_AES_256_GCM_SHA384
    tune.pool-high-fd-ratio 90     # the default, 75, ends idle upstream connections too early

defaults
    mode http
    # No log line: nothing is logged, as in kssl without its access log.
    timeout connect 10s
    timeout client 600s            # idle clients stay
    timeout http-request 600s
    timeout http-keep-alive 600s
    timeout server 120s
    timeout tunnel 600s            # WebSockets that are silent for a while
    # An idle upstream connection is for whoever comes next, as in kssl and nginx. The default,
    # safe, gives a client's first request one of its own.
    http-reuse always

frontend clients
    # h1 only: the others are measured with HTTP/1.1 too. Bodies stream both ways by default.
    bind 127.0.0.1:$port ssl crt $both alpn http/1.1 backlog 4096
    # kssl also writes Forwarded, Via and four fields of its own.
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    http-request set-header X-Forwarded-Port %[dst_port]
    http-request set-header X-Real-IP %[src]
    default_backend app

backend app
    server app 127.0.0.1:$upstream pool-max-conn 256   # idle ones kept, as many as kssl keeps
""")

# Above this its tables only cost memory.
_MOST_CLIENTS = 20000


def _version(program: str) -> str:
    # HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/
    return output_of(program, "-v").split()[2]


def _setup(program: str, place: Place) -> Setup:
    text = _CONFIG.substitute(
        # Idle clients have one file each; the rest is for upstream connections and itself.
        clients=min(_MOST_CLIENTS, open_files() * 3 // 4),
        open_files=open_files(),
        port=place.port,
        both=place.both,
        upstream=place.upstream,
    )
    config = place.folder / "haproxy.cfg"
    return Setup(files={config.name: text}, command=[program, "-db", "-f", str(config)])


HAPROXY = Program(
    name="haproxy",
    find=on_path("haproxy"),
    version=_version,
    setup=_setup,
    install="HAProxy is not installed (Debian: apt install haproxy)",
)
