"""mitmproxy: mitmdump in reverse mode. As kssl, it is in Python."""

from __future__ import annotations

from string import Template

from kssl.bench.peers.base import Place, Program, Setup, in_venv
from kssl.bench.process import output_of

_CONFIG = Template("""\
# Written by `kssl bench`. Everything that is not named here has mitmproxy's default.
#
# mitmproxy has one process and one thread. It holds an upstream connection for each client
# instead of a pool.
mode: ["reverse:http://127.0.0.1:$upstream"]
listen_host: 127.0.0.1
listen_port: $port
certs: ["*=$both"]
tls_version_client_min: TLS1_2
http2: false                 # as all the others are measured
keep_host_header: true
connection_strategy: lazy    # connects when there is a request, as the others
stream_large_bodies: "1"     # passes bodies on as they come; the default keeps them whole
onboarding: false            # no pages of its own
flow_detail: 0               # no access log
termlog_verbosity: error
scripts: ["$folder/forwarded.py"]
""")

_FORWARDED = '''\
"""An addon, because mitmproxy has no setting for these fields.

kssl also writes Forwarded, Via and four fields of its own.
"""


class Forwarded:
    def requestheaders(self, flow):
        address, fields = flow.client_conn.peername[0], flow.request.headers
        fields["X-Forwarded-For"] = address
        fields["X-Forwarded-Proto"] = "https"
        fields["X-Forwarded-Host"] = fields.get("Host", "")
        fields["X-Forwarded-Port"] = str(flow.client_conn.sockname[1])
        fields["X-Real-IP"] = address


addons = [Forwarded()]
'''


def _version(program: str) -> str:
    # Mitmproxy: 11.0.2
    return output_of(program, "--version").split()[1]


def _setup(program: str, place: Place) -> Setup:
    text = _CONFIG.substitute(
        port=place.port,
        upstream=place.upstream,
        both=place.both,
        folder=place.folder,
    )
    return Setup(
        # It looks for this name in its folder.
        files={"config.yaml": text, "forwarded.py": _FORWARDED},
        command=[program, "--set", f"confdir={place.folder}"],
    )


MITMPROXY = Program(
    name="mitmproxy",
    find=in_venv("mitmdump"),
    version=_version,
    setup=_setup,
    install=(
        "mitmproxy is not in the peers' virtual environment: python3 -m venv V && "
        "V/bin/pip install mitmproxy proxy.py, then --peer-venv V"
    ),
    note="one upstream connection for each client",
)
