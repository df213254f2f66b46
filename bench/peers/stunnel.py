"""stunnel, which terminates TLS and passes bytes on."""

from __future__ import annotations

import re
from string import Template

from kssl.bench.peers.base import Place, Program, Setup, on_path
from kssl.bench.process import output_of

_CONFIG = Template("""\
; Written by `kssl bench`. Everything that is not named here has stunnel's default.
;
; stunnel knows nothing of HTTP: it adds no X-Forwarded-* field, reads no head, and holds one
; upstream connection for each client instead of a pool. It does less work than an HTTP proxy.
;
; What cannot be made equal: it has a thread for each client connection, and no way to have one
; worker. Where the benchmark pins it to a core, its threads share that core.
foreground = quiet
pid =
syslog = no
debug = err

[app]
accept = 127.0.0.1:$port
connect = 127.0.0.1:$upstream
cert = $certificate
key = $key
sslVersionMin = TLSv1.2
sslVersionMax = TLSv1.3
; What kssl and nginx agree on with clients of OpenSSL's defaults.
ciphersuites = TLS_AES_256_GCM_SHA384
sessionCacheSize = 20000
libwrap = no
; Every other proxy here sends small pieces at once, too.
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
""")


def _version(program: str) -> str:
    found = re.search(r"^stunnel (\S+)", output_of(program, "-version"), re.MULTILINE)
    return found[1] if found else "unknown"


def _setup(program: str, place: Place) -> Setup:
    text = _CONFIG.substitute(
        port=place.port,
        upstream=place.upstream,
        certificate=place.certificate,
        key=place.key,
    )
    config = place.folder / "stunnel.conf"
    return Setup(files={config.name: text}, command=[program, str(config)])


STUNNEL = Program(
    name="stunnel",
    find=on_path("stunnel4"),
    version=_version,
    setup=_setup,
    install="stunnel is not installed (Debian: apt install stunnel4)",
    note=(
        "TCP level: no HTTP, no added fields, one upstream connection and one thread for each "
        "client"
    ),
)
