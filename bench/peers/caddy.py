"""Caddy, as an HTTP proxy."""

from __future__ import annotations

from string import Template

from kssl.bench.peers.base import Place, Program, Setup, on_path
from kssl.bench.process import output_of

_CONFIG = Template("""\
# Written by `kssl bench`. Everything that is not named here has Caddy's default.
{
	admin off
	auto_https off            # the certificate is given below, and nothing listens on port 80
	log {
		level ERROR       # no access log is on
	}
	servers {
		protocols h1      # as all the others are measured
	}
}

https://localhost:$port {
	bind 127.0.0.1
	# Go has no setting for the suites of TLS 1.3 and takes TLS_AES_128_GCM_SHA256 where the
	# client offers it: only a client that does not can make this equal. For TLS 1.2 there is one.
	tls $certificate $key {
		protocols tls1.2 tls1.3
		ciphers TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
	}
	# X-Forwarded-For, -Proto and -Host are Caddy's own doing.
	reverse_proxy 127.0.0.1:$upstream {
		header_up X-Forwarded-Port {http.request.port}
		header_up X-Real-IP {http.request.remote.host}
		transport http {
			versions 1.1
			compression off
			keepalive 120s
			keepalive_idle_conns 256            # as many as kssl keeps
			keepalive_idle_conns_per_host 256   # the default, 32, is the load's number
		}
	}
}
""")


def _version(program: str) -> str:
    return output_of(program, "version").split()[0]


def _setup(program: str, place: Place) -> Setup:
    text = _CONFIG.substitute(
        port=place.port,
        upstream=place.upstream,
        certificate=place.certificate,
        key=place.key,
    )
    config = place.folder / "Caddyfile"
    return Setup(
        files={config.name: text},
        command=[program, "run", "--adapter", "caddyfile", "--config", str(config)],
        environment={
            # One thread that runs Go code.
            "GOMAXPROCS": "1",
            # What it keeps goes where it is removed.
            "HOME": str(place.folder),
            "XDG_DATA_HOME": str(place.folder / "data"),
            "XDG_CONFIG_HOME": str(place.folder / "config"),
        },
    )


CADDY = Program(
    name="caddy",
    find=on_path("caddy"),
    version=_version,
    setup=_setup,
    install="Caddy is not installed (Debian: apt install caddy)",
    note=("takes TLS_AES_128_GCM_SHA256 from a client that offers it, and has no setting for that"),
)
