"""The proxies, each with two sites: one whose app is as usual, and one whose app is hostile."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

from kssl.bench import nginx
from kssl.bench.attacks.kinds import HOSTILE_NAME
from kssl.bench.process import free_port, running
from kssl.proxy.service.spawn import spawn_proxy

_SITE = """\
[[site]]
hostnames = [{names}]
upstreams = ["http://127.0.0.1:{port}"]
certificate = {certificate}
key = {key}
"""

_SERVERS = Template("""\
    upstream backend { server 127.0.0.1:$backend; keepalive 256; }
    ssl_certificate $certificate;
    ssl_certificate_key $key;
    proxy_http_version 1.1;
    proxy_set_header Host $$http_host;
    proxy_request_buffering off;
    server {
        listen 127.0.0.1:$port ssl backlog=4096;
        server_name localhost;
        location / { proxy_pass http://backend; proxy_set_header Connection ""; }
    }
    server {
        listen 127.0.0.1:$port ssl;
        server_name $hostile_name;
        location / { proxy_pass http://127.0.0.1:$hostile; proxy_buffering off; }
    }
""")


@dataclass(frozen=True, slots=True)
class Around:
    """What all of them share; ports of 127.0.0.1."""

    folder: Path
    backend: int
    hostile: int
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Attacked:
    """A proxy that runs."""

    name: str
    port: int


@contextlib.contextmanager
def kssl(mode: str, around: Around, arguments: list[str]) -> Iterator[Attacked]:
    """Raises ProxyStartError."""
    site = {"certificate": json.dumps(str(around.certificate)), "key": json.dumps(str(around.key))}
    with (
        tempfile.TemporaryDirectory(prefix="state-", dir=around.folder) as state,
        tempfile.TemporaryFile() as said,
    ):
        file = Path(state) / "kssl.toml"
        file.write_text(
            _SITE.format(names='"localhost"', port=around.backend, **site)
            + _SITE.format(names=f'"{HOSTILE_NAME}"', port=around.hostile, **site)
        )
        file.chmod(0o600)
        options = ["--config", str(file), "--mode", mode, *arguments]
        with spawn_proxy(None, *options, state_dir=Path(state), stderr=said) as process:
            yield Attacked(f"kssl {mode}", process.port)


@contextlib.contextmanager
def beside(around: Around) -> Iterator[Attacked | None]:
    """nginx, or None where it is not installed. Raises BenchError."""
    program = nginx.find()
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="nginx-", dir=around.folder) as name:
        folder, port = Path(name), free_port()
        servers = _SERVERS.substitute(
            backend=around.backend,
            hostile=around.hostile,
            hostile_name=HOSTILE_NAME,
            certificate=around.certificate,
            key=around.key,
            port=port,
        )
        (folder / "nginx.conf").write_text(nginx.configuration(folder, servers))
        command = nginx.command(program, folder)
        with running("nginx", command, folder, port, tls=True, processes=2):
            yield Attacked("nginx", port)
