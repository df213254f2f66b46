"""nginx, the peer that most people know: with its default buffers, with large ones, and without
TLS as the floor."""

from __future__ import annotations

from string import Template

from kssl.bench import nginx
from kssl.bench.peers.base import Place, Program, Setup

_PROXY = Template("""\
    # "upgrade" for a WebSocket; for all others nothing, so that upstream connections are kept.
    map $$http_upgrade $$upstream_connection { default upgrade; "" ""; }

    upstream backend {
        server 127.0.0.1:$upstream;
        keepalive 256;                 # idle connections kept, as many as kssl keeps
        keepalive_requests 1000000000;
    }
    server {
$listen
        location / {
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection $$upstream_connection;
            proxy_set_header Upgrade $$http_upgrade;
            proxy_set_header Host $$http_host;
            # kssl also writes Forwarded, Via and four fields of its own.
            proxy_set_header X-Forwarded-For $$remote_addr;
            proxy_set_header X-Forwarded-Proto $$scheme;
            proxy_set_header X-Forwarded-Host $$http_host;
            proxy_set_header X-Forwarded-Port $$server_port;
            proxy_set_header X-Real-IP $$remote_addr;
            # An upload is passed on as it comes. The default, on, would write all of it to a
            # file before the backend sees any.
            proxy_request_buffering off;
            proxy_read_timeout 600s;   # WebSockets that are silent for a while
            proxy_send_timeout 600s;
$buffers
        }
    }
""")

_TLS = Template("""\
        listen 127.0.0.1:$port ssl backlog=4096;
        server_name localhost;
        ssl_certificate $certificate;
        ssl_certificate_key $key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:sessions:10m;   # TLS 1.2 without tickets; tickets are on""")

_PLAIN = Template("""\
        listen 127.0.0.1:$port backlog=4096;
        server_name localhost;""")

# proxy_buffering is on in all.
_DEFAULT_BUFFERS = """\
            # proxy_buffers has its default, 8 of 4k, and proxy_max_temp_file_size too, 1024m"""
_LARGE_BUFFERS = """\
            client_body_buffer_size 64k;
            proxy_buffer_size 64k;
            proxy_buffers 16 64k;          # the default, 8 of 4k, costs many system calls
            proxy_busy_buffers_size 256k;
            proxy_max_temp_file_size 0;    # never spill to a file when the client is slower"""


def _program(
    name: str,
    note: str,
    listen: Template = _TLS,
    buffers: str = _DEFAULT_BUFFERS,
    kind: str = "peer",
    scheme: str = "https",
) -> Program:
    def setup(program: str, place: Place) -> Setup:
        listens = listen.substitute(port=place.port, certificate=place.certificate, key=place.key)
        servers = _PROXY.substitute(upstream=place.upstream, listen=listens, buffers=buffers)
        return Setup(
            files={"nginx.conf": nginx.configuration(place.folder, servers)},
            command=nginx.command(program, place.folder),
        )

    return Program(
        name=name,
        find=lambda _venv: nginx.find(),
        version=nginx.version,
        setup=setup,
        install="nginx is not installed (Debian: apt install nginx-light)",
        processes=2,
        kind=kind,
        scheme=scheme,
        note=note,
    )


NGINX = _program("nginx", "default buffers: 8 of 4 KiB, then a temporary file")
NGINX_LARGE = _program(
    "nginx-large", "buffers of 64 KiB, no temporary files", buffers=_LARGE_BUFFERS
)
NGINX_PLAIN = _program(
    "nginx-plain", "as nginx, without TLS", listen=_PLAIN, kind="floor", scheme="http"
)
