"""`kssl serve`: the proxy in front of an app or of several sites, until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable

import uvloop

from config.model import Site
from config.target import parse_target
from fastpath import collector
from proxy.cli.options import add_service_options, service_options
from proxy.frontend.service import Service, ServiceOptions

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("serve", help="put HTTPS in front of an app")
    parser.add_argument("target", metavar="TARGET", nargs="?",
        help="PORT, HOST:PORT, http://… or unix:/PATH; or --config FILE with sites")  # fmt: skip
    add_service_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    target = parse_target(arguments.target) if arguments.target is not None else None
    return serve(service_options(arguments, target), announce)


def serve(options: ServiceOptions, started: Callable[[Service], None]) -> int:
    """Runs one service in the foreground; ``started`` is called once it accepts."""
    logging.basicConfig(format="kssl: %(message)s", level=logging.WARNING)
    uvloop.run(_serve(options, started))
    return 0


async def _serve(options: ServiceOptions, started: Callable[[Service], None]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    service = Service(options)
    await service.start()
    collector.tune()
    try:
        started(service)
        await ended.wait()
    finally:
        await service.stop()


def announce(service: Service) -> None:
    """What a person needs to know, on stderr."""
    front = service.front
    how = f"({front.mode} mode, engine {front.engine.name})"
    say = []
    for endpoint in front.endpoints:
        for site in endpoint.sites:
            targets = ", ".join(str(target) for target in site.upstreams)
            say.append(
                f"{endpoint.url_of(site)}  →  {targets}   {how if endpoint.tls else '(plain)'}"
            )
    if service.ca is not None:
        say.append(f"development certificate; try: curl --cacert {service.ca} {service.url}/")
        if any(_needs_names(site) for site in service.configuration.sites):
            say.append("it is valid for localhost only; give --cert and --key for other names")
    say += [f"warning: {warning}" for warning in service.warnings]
    for line in say:
        print(f"kssl: {line}", file=sys.stderr, flush=True)


def _needs_names(site: Site) -> bool:
    """Whether others may reach it by a name, and there is no certificate for one."""
    hosts = {binding.listen.host for binding in site.bindings if binding.tls}
    return not site.hostnames and not site.certificate and not hosts <= set(_LOOPBACK)
