"""nginx beside kssl: once before the app in plain HTTP, once before the app with TLS."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from string import Template

from kssl.proxy.demo.truncation.play import Front, StagingError
from kssl.proxy.demo.truncation.rows import OWN

HOST = "127.0.0.1"
_START_SECONDS = 5.0
_STOP_SECONDS = 5.0
_TRIES = 3
# Debian has daemons in folders that are not on everybody's PATH.
_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin")

# The upstream's certificate is verified. Whether its session ended with close_notify is not, and
# there is nothing to set for that.
_CONFIGURATION = Template("""\
$user
daemon off;
master_process off;
pid $folder/nginx.pid;
error_log stderr crit;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    ssl_certificate $certificate;
    ssl_certificate_key $key;
    ssl_protocols TLSv1.2 TLSv1.3;     # both are the default of newer versions only
    ssl_session_cache shared:sessions:1m;
    proxy_buffering off;               # what comes from the app goes out at once
    proxy_request_buffering off;
    server {
        listen 127.0.0.1:$http ssl;
        location / { proxy_pass http://127.0.0.1:$app; }
    }
    server {
        listen 127.0.0.1:$https ssl;
        location / {
            proxy_pass https://127.0.0.1:$relay;
            proxy_ssl_protocols TLSv1.2 TLSv1.3;
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate $ca;
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
        }
    }
}
""")


def find() -> str | None:
    """The program, or None where there is none."""
    return shutil.which("nginx") or shutil.which("nginx", path=os.pathsep.join(_FOLDERS))


@contextlib.contextmanager
def running(
    program: str, app: int, relay: int, files: tuple[Path, Path, Path]
) -> Iterator[tuple[Front, Front]]:
    """Before the app on port ``app``, and before what speaks TLS on port ``relay``.

    ``files``: certificate, key, and the CA of both. Raises StagingError.
    """
    for attempt in range(1, _TRIES + 1):
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kssl-nginx-")))
            ports = _free_ports()
            text = _configuration(folder, ports, app, relay, files)
            (folder / "nginx.conf").write_text(text)
            try:
                stack.enter_context(_process(program, folder, ports))
            except StagingError:
                if attempt == _TRIES:
                    raise
                continue  # somebody may have taken a port meanwhile
            ca = str(files[2])
            yield Front("nginx", "", OWN, ports[0], ca), Front("nginx", "", OWN, ports[1], ca)
            return


def _configuration(
    folder: Path, ports: tuple[int, int], app: int, relay: int, files: tuple[Path, Path, Path]
) -> str:
    return _CONFIGURATION.substitute(
        user=f"user {pwd.getpwuid(os.geteuid()).pw_name};" if os.geteuid() == 0 else "",
        folder=folder,
        certificate=files[0],
        key=files[1],
        ca=files[2],
        http=ports[0],
        https=ports[1],
        app=app,
        relay=relay,
    )


def _free_ports() -> tuple[int, int]:
    """Two that nobody listened on a moment ago: nginx knows no port 0."""
    with socket.create_server((HOST, 0)) as first, socket.create_server((HOST, 0)) as second:
        return first.getsockname()[1], second.getsockname()[1]


@contextlib.contextmanager
def _process(program: str, folder: Path, ports: tuple[int, int]) -> Iterator[None]:
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    said = folder / "said.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not all(_accepts(port) for port in ports):
            if process.poll() is not None or time.monotonic() > deadline:
                text = said.read_text(errors="replace").strip()
                raise StagingError(f"nginx does not accept: {text or 'it says nothing'}")
            time.sleep(0.01)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 1.0).close()
    except OSError:
        return False
    return True
