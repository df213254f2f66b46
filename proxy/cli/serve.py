"""`kssl serve TARGET`: the proxy in front of an app, until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable

import uvloop

from config.target import parse_target
from fastpath import collector
from proxy.cli.options import add_service_options, service_options
from proxy.frontend.service import Service, ServiceOptions


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("serve", help="put HTTPS in front of an app")
    parser.add_argument("target", metavar="TARGET", help="PORT, HOST:PORT, http://… or unix:/PATH")
    add_service_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    return serve(service_options(arguments, parse_target(arguments.target)), announce)


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
    front, options = service.front, service.options
    say = [
        f"{service.url}  →  {options.target}   ({front.mode} mode, engine {front.engine.name})",
    ]
    if service.ca is not None:
        say.append(f"development certificate; try: curl --cacert {service.ca} {service.url}/")
        if options.listen.host not in ("127.0.0.1", "::1", "localhost"):
            say.append("it is valid for localhost only; give --cert and --key for other names")
    say += [f"warning: {warning}" for warning in service.warnings]
    for line in say:
        print(f"kssl: {line}", file=sys.stderr, flush=True)
