"""`kssl serve`: the proxy in front of an app or of several sites, until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence

import uvloop

from kssl.config.errors import ConfigError
from kssl.config.model import Configuration, Site
from kssl.config.running import State, remove_record
from kssl.config.target import parse_target
from kssl.fastpath.ipc import collector
from kssl.fastpath.logs import messages
from kssl.proxy.cli.options import (
    add_serve_arguments,
    configuration,
    configuration_file,
    service_options,
)
from kssl.proxy.service.launch import Launched
from kssl.proxy.service.live import Live
from kssl.proxy.service.report import Starter
from kssl.proxy.service.service import Service, ServiceOptions
from kssl.proxy.service.staying import must_stay, stay_with

log = logging.getLogger("kssl")

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("serve", help="put HTTPS in front of an app")
    add_serve_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    messages.take_over("kssl")
    starter = Starter(os.environ)

    def read(*, running: bool = False) -> Configuration:
        target = parse_target(arguments.target) if arguments.target is not None else None
        path = configuration_file(arguments)
        return configuration(arguments, target, path, running=running)

    try:
        return serve(
            service_options(arguments, read()), announce,
            starter=starter, reread=lambda: read(running=True), command=sys.argv[1:],
        )  # fmt: skip
    except ConfigError as error:
        starter.failed(error)
        raise


def serve(
    options: ServiceOptions,
    started: Callable[[Service], None],
    *,
    starter: Starter,
    reread: Callable[[], Configuration],
    command: Sequence[str] = (),
) -> int:
    """Runs one service in the foreground; ``started`` is called once it accepts.

    ``reread``: the configuration as it is then, for SIGHUP. ``command``: what `kssl` is called
    with for a restart; empty if it cannot be restarted.
    """
    messages.take_over("kssl")
    successor = uvloop.run(_serve(options, started, starter, reread, command))
    return stay_with(successor.process) if successor is not None and must_stay() else 0


async def _serve(
    options: ServiceOptions,
    started: Callable[[Service], None],
    starter: Starter,
    reread: Callable[[], Configuration],
    command: Sequence[str],
) -> Launched | None:
    """Return the successor, if there is one."""
    loop = asyncio.get_running_loop()
    ended, handed_over = asyncio.Event(), asyncio.Event()
    service = Service(options)

    def end() -> None:
        if ended.is_set():
            log.warning("the second signal to stop: what is in progress is cut now")
            service.hurry()
        else:
            service.announce_stop()
            ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    await service.start(starter.take)
    try:
        live = Live(
            service,
            arguments=command,
            reread=reread,
            handed_over=handed_over.set,
            predecessor=starter.predecessor,
        )
        loop.add_signal_handler(signal.SIGHUP, live.reload)
        loop.add_signal_handler(signal.SIGUSR2, live.restart)
        try:
            live.found()
            service.write_ready_file()
            collector.tune()
            started(service)
            starter.ready(service.urls)
            await _first(ended, handed_over)
            if not ended.is_set():
                # Before the record goes: who does not find it any more meets the successor.
                service.leave_listeners()
        finally:
            live.close(State.STOPPING if ended.is_set() else State.DRAINING)
        if not ended.is_set():
            finishing = loop.create_task(service.hand_over())
            await _first(ended, finishing)
            finishing.cancel()
    finally:
        try:
            await service.stop()
        finally:
            if service.has_state_dir:
                remove_record(options.state_dir, os.getpid())
    return live.took_over


async def _first(*waited: asyncio.Event | asyncio.Task[None]) -> None:
    tasks = [
        asyncio.ensure_future(each.wait() if isinstance(each, asyncio.Event) else each)
        for each in waited
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


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
