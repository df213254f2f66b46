"""hitch, which terminates TLS and passes bytes on."""

from __future__ import annotations

import os
import pwd
from string import Template

from kssl.bench.peers.base import Place, Program, Setup, on_path
from kssl.bench.process import output_of

_CONFIG = Template("""\
# Written by `kssl bench`. Everything that is not named here has hitch's default.
#
# hitch knows nothing of HTTP: it adds no X-Forwarded-* field, reads no head, and holds one
# upstream connection for each client instead of a pool. It does less work than an HTTP proxy.
frontend = "[127.0.0.1]:$port"
backend = "[127.0.0.1]:$upstream"
pem-file = "$both"
workers = 1
backlog = 4096
tls-protos = TLSv1.2 TLSv1.3
# What kssl and nginx agree on with clients of OpenSSL's defaults.
ciphersuites = "TLS_AES_256_GCM_SHA384"
ocsp-dir = ""            # no process that fetches OCSP answers
log-level = 0
daemon = off
$user
""")


def _version(program: str) -> str:
    return output_of(program, "--version").split()[-1]


def _setup(program: str, place: Place) -> Setup:
    text = _CONFIG.substitute(
        port=place.port,
        upstream=place.upstream,
        both=place.both,
        user=f'user = "{pwd.getpwuid(os.geteuid()).pw_name}"' if os.geteuid() == 0 else "",
    )
    config = place.folder / "hitch.conf"
    return Setup(files={config.name: text}, command=[program, f"--config={config}"])


HITCH = Program(
    name="hitch",
    find=on_path("hitch"),
    version=_version,
    setup=_setup,
    install="hitch is not installed (Debian: apt install hitch)",
    processes=2,
    note="TCP level: no HTTP, no added fields, one upstream connection for each client",
)
