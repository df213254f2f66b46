"""nginx: what the peers and the backend have in common, and the backend itself."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

from kssl.bench.process import find_program, free_port, open_files, output_of, running

_COMMON = Template("""\
# Written by `kssl bench`. Everything that is not named here has nginx's default.
$user
daemon off;
worker_processes 1;
pid $folder/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile $open_files;

events { worker_connections $connections; }

http {
    access_log off;                    # none in kssl either
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    keepalive_requests 1000000000;     # the default (1,000) would add handshakes
    keepalive_timeout 600s;
    client_header_timeout 600s;        # connections that wait for their first request may wait
    client_max_body_size 0;            # no limit
    server_tokens off;

$servers
}
""")

_BACKEND = Template("""\
    sendfile on;
    tcp_nopush on;
    open_file_cache max=100;
    upstream itself {
        server 127.0.0.1:$port;
        keepalive 256;
        keepalive_requests 1000000000;
    }
    server {
        listen 127.0.0.1:$port backlog=4096;
        location / { root $root; default_type application/octet-stream; }
        location /varied/ { alias $root/; add_header X-Request-Id $$request_id; }

        # Both take any body and answer when all of it has been read. A mere `return` would answer
        # at once and read afterwards, which confuses loads that still send: nginx reads a whole
        # body before it passes a request on, here to itself and without the body.
        location = /upload {
$take
        }
        location = /form {
$take
        }
        location = /taken { default_type text/plain; return 200 "taken\\n"; }
    }
""")


_TAKE = """\
            client_body_buffer_size 16m;   # in memory; only as much as the request announces
            proxy_pass http://itself/taken;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Connection "";
            proxy_http_version 1.1;"""


@dataclass(frozen=True, slots=True)
class NginxProcess:
    """A running nginx."""

    port: int
    master: int
    workers: list[int]
    config: str


def find() -> str | None:
    """The program, or None where there is none."""
    return find_program("nginx")


def version(program: str) -> str:
    """Such as ``1.22.1``."""
    return output_of(program, "-v").strip().rpartition("/")[2]


def configuration(folder: Path, servers: str) -> str:
    """A whole file. ``servers`` is the content of its http block."""
    return _COMMON.substitute(
        user=f"user {pwd.getpwuid(os.geteuid()).pw_name};" if os.geteuid() == 0 else "",
        folder=folder,
        open_files=open_files(),
        connections=min(30000, open_files()),
        servers=servers,
    )


def command(program: str, folder: Path) -> list[str]:
    """How to start it with the configuration in ``folder``."""
    return [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]


@contextlib.contextmanager
def backend(program: str, folder: Path, root: Path) -> Iterator[NginxProcess]:
    """The files in ``root`` over plain HTTP; takes any body at /upload and /form.

    Its own files are in ``folder``. Raises BenchError.
    """
    folder.mkdir(parents=True)
    port = free_port()
    text = configuration(folder, _BACKEND.substitute(root=root, port=port, take=_TAKE))
    (folder / "nginx.conf").write_text(text)
    with running(
        "nginx (the backend)", command(program, folder), folder, port, tls=False, processes=2
    ) as (master, *workers):
        yield NginxProcess(port, master, workers, text)
