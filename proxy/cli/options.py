"""Options that `serve` and `demo` share, and how they become `ServiceOptions`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kssl.config.document.read import Request, read_configuration, unused_ca
from kssl.config.document.where import VARIABLE, config_path
from kssl.config.errors import ConfigError
from kssl.config.model import Configuration
from kssl.config.parameter import Profile
from kssl.config.parameters import parse_assignments
from kssl.config.statedir import default_state_dir
from kssl.config.target import Target, parse_listen

if TYPE_CHECKING:
    from kssl.proxy.service.service import ServiceOptions

DEFAULT_LISTEN = "127.0.0.1:8443"

TARGET_HELP = "PORT, HOST:PORT, http[s]://HOST[:PORT] or unix:/PATH"


class UsageError(ConfigError):
    """Options that contradict each other: the command was called wrongly, whatever it does."""


def add_configuration_options(
    parser: argparse.ArgumentParser, *, listen: str = DEFAULT_LISTEN
) -> None:
    """What `configuration` reads."""
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE",
        help="kssl.toml: sites, certificates, parameters; default $KSSL_CONFIG, or kssl.toml in "
        "the state folder if it is there")  # fmt: skip
    add("--profile", choices=[profile.value for profile in Profile],
        help="native (default), or defaults and limits of a Windows Server")  # fmt: skip
    add(
        "--listen",
        metavar="ADDR:PORT",
        help=f"default {listen}; localhost: 127.0.0.1 and ::1; port 0: any",
    )
    add("--mode", choices=("kernel", "user"), help="default kernel; the same as EnableKernelSSL")
    add("--set", action="append", default=[], metavar="NAME=VALUE", dest="assignments",
        help="a parameter, such as EnableSslCloseNotify=0")  # fmt: skip
    add("--cert", type=Path, metavar="FILE", help="PEM chain; else the development CA issues one")
    add("--key", type=Path, metavar="FILE", help="PEM private key, unless it is in --cert")
    add("--upstream-ca", type=Path, metavar="FILE",
        help="PEM bundle: who may have issued the certificate of an https:// TARGET; default the "
        "system's CAs")  # fmt: skip
    add(
        "--client-ca",
        type=Path,
        metavar="FILE|DIR",
        help="require client certificates of these CAs (kssl.toml can say more: client_ca)",
    )
    add("--state-dir", type=Path, metavar="DIR", help="default $XDG_STATE_HOME/kssl")
    parser.set_defaults(usual_listen=listen)


def add_service_options(parser: argparse.ArgumentParser, *, listen: str = DEFAULT_LISTEN) -> None:
    add_configuration_options(parser, listen=listen)
    add = parser.add_argument
    add("--engine", default="auto", metavar="NAME", help="of kernel mode: auto or aead")
    add("--http", choices=("auto", "httptools", "h11"), default="auto", help="the HTTP/1.1 codec")
    add("--workers", type=int, default=1, metavar="N", help="crypto worker processes; default 1")
    add("--ready-file", type=Path, metavar="FILE", help="JSON, written once the listener accepts")
    add("--no-access-log", action="store_true", dest="no_log", help="no access log")


def add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `kssl serve` takes, and so `kssl start`."""
    parser.add_argument("target", metavar="TARGET", nargs="?",
        help=f"{TARGET_HELP}; or --config FILE with sites")  # fmt: skip
    add_service_options(parser)


def service_options(arguments: argparse.Namespace, read: Configuration) -> ServiceOptions:
    """Raises ConfigError."""
    # Imported here: `kssl start` and others take the options and need no front end.
    from kssl.proxy.journal.accesslog import standard_streams
    from kssl.proxy.service.service import ServiceOptions

    if not 1 <= arguments.workers <= 64:
        raise ConfigError(f"--workers {arguments.workers}: must be 1-64")
    return ServiceOptions(
        configuration=read,
        state_dir=state_dir(arguments),
        engine=arguments.engine,
        codec=arguments.http,
        workers=arguments.workers,
        ready_file=arguments.ready_file,
        streams={} if arguments.no_log else standard_streams(),
    )


def configuration(
    arguments: argparse.Namespace,
    target: Target | None,
    path: Path | None,
    *,
    running: bool = False,
) -> Configuration:
    """What the command line, the environment and the file say now; asked again for a reload of
    the service that is then ``running``.

    Raises ConfigError, and UsageError for what no file can make right.
    """
    assignments = list(arguments.assignments)
    if arguments.mode is not None:
        wanted = "1" if arguments.mode == "kernel" else "0"
        assignments.append(f"EnableKernelSSL={wanted}")
    if arguments.key is not None and arguments.cert is None:
        raise ConfigError("--key without --cert; give both, or neither for a development one")
    if arguments.upstream_ca is not None and target is not None and target.tls is None:
        raise UsageError(unused_ca(target))
    return read_configuration(
        Request(
            path=path,
            state_dir=state_dir(arguments),
            profile=Profile(arguments.profile) if arguments.profile is not None else None,
            environment=os.environ,
            command_line=parse_assignments(assignments),
            target=target,
            listen=parse_listen(arguments.listen or arguments.usual_listen),
            listen_given=arguments.listen is not None,
            certificate=_absolute(arguments.cert),
            key=_absolute(arguments.key),
            upstream_ca=_absolute(arguments.upstream_ca),
            client_ca=_absolute(arguments.client_ca),
            running=running,
        )
    )


def configuration_file(arguments: argparse.Namespace) -> Path | None:
    """The file that was named, or the usual one if it is there."""
    path = config_path(arguments.config, state_dir(arguments), os.environ)
    usual = arguments.config is None and not os.environ.get(VARIABLE)
    return None if usual and not path.exists() else path


def state_dir(arguments: argparse.Namespace) -> Path:
    return Path(arguments.state_dir or default_state_dir())


def _absolute(path: Path | None) -> Path | None:
    """The worker need not share our folder."""
    return path.absolute() if path is not None else None
