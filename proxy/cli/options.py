"""Options that `serve` and `demo` share, and how they become `ServiceOptions`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from config.errors import ConfigError
from config.parameters import Parameters, parse_assignments
from config.statedir import default_state_dir
from config.target import Target, parse_listen
from proxy.frontend.service import ServiceOptions

DEFAULT_LISTEN = "127.0.0.1:8443"


def add_service_options(parser: argparse.ArgumentParser, *, listen: str = DEFAULT_LISTEN) -> None:
    add = parser.add_argument
    add("--listen", metavar="ADDR:PORT", default=listen, help=f"default {listen}; port 0: any")
    add("--mode", choices=("kernel", "user"), help="default kernel; the same as EnableKernelSSL")
    add("--engine", default="auto", metavar="NAME", help="of kernel mode: auto or aead")
    add("--http", choices=("auto", "httptools", "h11"), default="auto", help="the HTTP/1.1 codec")
    add("--set", action="append", default=[], metavar="NAME=VALUE", dest="assignments",
        help="a parameter, such as EnableSslCloseNotify=0")  # fmt: skip
    add("--workers", type=int, default=1, metavar="N", help="crypto worker processes; default 1")
    add("--cert", type=Path, metavar="FILE", help="PEM chain; else the development CA issues one")
    add("--key", type=Path, metavar="FILE", help="PEM private key, unless it is in --cert")
    add("--state-dir", type=Path, metavar="DIR", help="default $XDG_STATE_HOME/kssl")
    add("--ready-file", type=Path, metavar="FILE", help="JSON, written once the listener accepts")
    add("--no-access-log", action="store_true", help="no access log on stderr")


def service_options(arguments: argparse.Namespace, target: Target) -> ServiceOptions:
    """Raises ConfigError."""
    assignments = list(arguments.assignments)
    if arguments.mode is not None:
        wanted = "1" if arguments.mode == "kernel" else "0"
        assignments.append(f"EnableKernelSSL={wanted}")
    if arguments.key is not None and arguments.cert is None:
        raise ConfigError("--key without --cert; give both, or neither for a development one")
    if not 1 <= arguments.workers <= 64:
        raise ConfigError(f"--workers {arguments.workers}: must be 1-64")
    return ServiceOptions(
        target=target,
        listen=parse_listen(arguments.listen),
        state_dir=arguments.state_dir or default_state_dir(),
        parameters=Parameters.of(parse_assignments(assignments)),
        engine=arguments.engine,
        codec=arguments.http,
        workers=arguments.workers,
        certificate=arguments.cert,
        key=arguments.key,
        ready_file=arguments.ready_file,
        access_log=None if arguments.no_access_log else sys.stderr.buffer,
    )
