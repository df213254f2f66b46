"""nginx: as a peer that is measured, and as the backend behind all that are measured."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

from bench.errors import BenchError
from bench.proc import children

_START_SECONDS = 10.0
_STOP_SECONDS = 5.0

# Debian has it in /usr/sbin, which is not on everybody's PATH.
_PLACES = ("/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx")

_COMMON = Template("""\
# Written by `kssl bench`. Everything that is not named here has nginx's default.
$user
daemon off;
worker_processes 1;
pid $folder/nginx.pid;
error_log $folder/error.log crit;
worker_rlimit_nofile 16384;

events { worker_connections 4096; }

http {
    access_log off;                    # none in kssl either
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    keepalive_requests 1000000000;     # the default (1,000) would add handshakes
    keepalive_timeout 600s;
    server_tokens off;

$servers
}
""")

_BACKEND = Template("""\
    sendfile on;
    tcp_nopush on;
    open_file_cache max=100;
    server {
        listen 127.0.0.1:$port backlog=4096;
        location / { root $root; default_type application/octet-stream; }
        location /varied/ { alias $root/; add_header X-Request-Id $$request_id; }
    }
""")

_PROXY = Template("""\
    upstream backend {
        server 127.0.0.1:$upstream;
        keepalive 64;                  # idle connections kept, more than the load's
        keepalive_requests 1000000000;
    }
    server {
        listen 127.0.0.1:$port ssl backlog=4096;
        server_name localhost;
        ssl_certificate $certificate;
        ssl_certificate_key $key;
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $$host;
            proxy_set_header X-Forwarded-For $$proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto https;
$more
        }
    }
""")


# proxy_buffering is on in both.
DEFAULT_BUFFERS = """\
            # proxy_buffers has its default, 8 of 4k, and proxy_max_temp_file_size too, 1024m"""
LARGE_BUFFERS = """\
            proxy_buffer_size 64k;
            proxy_buffers 16 64k;          # the default, 8 of 4k, costs many system calls
            proxy_busy_buffers_size 256k;
            proxy_max_temp_file_size 0;    # never spill to a file when the client is slower"""


@dataclass(frozen=True, slots=True)
class NginxProcess:
    """A running nginx."""

    port: int
    master: int
    workers: list[int]
    config: str


def find() -> str | None:
    """The program, or None where there is none."""
    if (found := shutil.which("nginx")) is not None:
        return found
    return next((place for place in _PLACES if os.access(place, os.X_OK)), None)


def version(program: str) -> str:
    """Such as ``1.22.1``."""
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    return told.strip().rpartition("/")[2]


def backend(
    program: str, folder: Path, root: Path
) -> contextlib.AbstractContextManager[NginxProcess]:
    """Static files over plain HTTP."""
    return _run(program, folder, _BACKEND, {"root": str(root)})


def proxy(
    program: str, folder: Path, *, upstream: int, certificate: Path, key: Path, more: str
) -> contextlib.AbstractContextManager[NginxProcess]:
    """TLS in front of an app. ``more`` is a part of the configuration."""
    values = {
        "upstream": str(upstream),
        "certificate": str(certificate),
        "key": str(key),
        "more": more,
    }
    return _run(program, folder, _PROXY, values)


@contextlib.contextmanager
def _run(
    program: str, folder: Path, servers: Template, values: dict[str, str]
) -> Iterator[NginxProcess]:
    folder.mkdir(parents=True)
    port = _free_port()
    text = _COMMON.substitute(
        user=f"user {pwd.getpwuid(os.geteuid()).pw_name};" if os.geteuid() == 0 else "",
        folder=folder,
        servers=servers.substitute(values, port=port),
    )
    config = folder / "nginx.conf"
    config.write_text(text)
    command = [program, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        _wait_until_it_accepts(process, port, folder)
        yield NginxProcess(port, process.pid, children(process.pid), text)
    finally:
        _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_accepts(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    # The master listens first and starts its worker then.
    while not children(process.pid) or not _accepts(port):
        if process.poll() is not None:
            log = folder / "error.log"
            said = log.read_text().strip() if log.exists() else ""
            raise BenchError(f"nginx ended with exit code {process.returncode}: {said}")
        if time.monotonic() > deadline:
            raise BenchError(f"nginx does not accept after {_START_SECONDS:.0f} s")
        time.sleep(0.01)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    workers = children(process.pid)
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        # A killed master leaves its workers; it was theirs to the end, so these are its pids.
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
