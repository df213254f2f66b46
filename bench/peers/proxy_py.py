"""proxy.py with its reverse proxy plugin. As kssl, it is in Python."""

from __future__ import annotations

from string import Template

from kssl.bench.peers.base import Place, Program, Setup, in_venv
from kssl.bench.process import open_files, output_of

# proxy.py takes its routes from a class.
_PLUGIN = Template('''\
"""Written by `kssl bench`. proxy.py takes its routes from a class.

What cannot be made equal: proxy.py opens an upstream connection for each request, keeps an upload
in memory until it is complete, and reads its certificate anew for each connection, so that it
resumes no session. It runs with a thread for each connection (--threaded), because its event loop,
the default, ends at the second request of a connection: it loses track of the first one's upstream.
"""

from proxy.http.server import ReverseProxyBasePlugin
from proxy.http.url import Url


class ToTheApp(ReverseProxyBasePlugin):
    def routes(self):
        return [r"/"]

    def before_routing(self, request):
        # kssl also writes Forwarded, Via and four fields of its own.
        host = request.header(b"host") if request.has_header(b"host") else b""
        address = self.client.addr[0].encode()
        request.add_headers(
            [
                (b"X-Forwarded-For", address),
                (b"X-Forwarded-Proto", b"https"),
                (b"X-Forwarded-Host", host),
                (b"X-Forwarded-Port", b"$port"),
                (b"X-Real-IP", address),
            ]
        )
        return request

    def handle_route(self, request, pattern):
        return Url.from_bytes(b"http://127.0.0.1:$upstream" + request.path)
''')


def _version(program: str) -> str:
    return output_of(program, "--version").split()[-1]


def _setup(program: str, place: Place) -> Setup:
    text = _PLUGIN.substitute(port=place.port, upstream=place.upstream)
    command = [
        program, "--hostname", "127.0.0.1", "--port", str(place.port),
        "--cert-file", str(place.certificate), "--key-file", str(place.key),
        "--disable-http-proxy", "--enable-reverse-proxy", "--plugins", "to_the_app.ToTheApp",
        "--num-acceptors", "1", "--threaded",
        "--backlog", "4096", "--open-file-limit", str(open_files()),
        "--timeout", "600", "--log-level", "ERROR",
        "--data-dir", str(place.folder / "data"),
    ]  # fmt: skip
    return Setup(
        files={"to_the_app.py": text},
        command=command,
        environment={"PYTHONPATH": str(place.folder), "HOME": str(place.folder)},
    )


PROXY_PY = Program(
    name="proxy.py",
    find=in_venv("proxy"),
    version=_version,
    setup=_setup,
    install=(
        "proxy.py is not in the peers' virtual environment: python3 -m venv V && "
        "V/bin/pip install mitmproxy proxy.py, then --peer-venv V"
    ),
    processes=2,
    note=("a new upstream connection for each request, uploads kept in memory, no session resumed"),
)
