"""`kssl trace`: one request's way through the processes, step by step, as measured."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kssl.config.errors import ConfigError, reason
from kssl.config.target import Target
from kssl.proxy.cli.ending import orderly_end

if TYPE_CHECKING:
    from kssl.proxy.trace.run import Plan

_WIDTH = 120  # columns, where the output is no terminal
_DEMO_PATH, _DEMO_UPLOAD = "/tiny", "/upload"


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "trace", help="watch one request walk through the processes",
        description="Puts a proxy of its own in front of an app, sends a warm-up and then one "
        "request, and shows that one's steps, in user mode and in kernel mode. In both modes the "
        "request is sent: use --mode for one that should be sent once.",
    )  # fmt: skip
    add = parser.add_argument
    add("url", metavar="URL", nargs="?",
        help="of the app: http://HOST:PORT/path?query, PORT/path or unix:/PATH; a path alone: of "
        "the built-in demo app, such as /bytes/1000000; default: its /tiny")  # fmt: skip
    add("--path", metavar="PATH", help="of the request; for unix:/PATH")
    add("-X", "--request", metavar="METHOD", dest="method", help="default GET; with a body POST")
    add("-H", "--header", metavar="'NAME: VALUE'", dest="headers", action="append", default=[])
    add("--data", metavar="TEXT", help="the request's body; @FILE: from a file")
    add("--size", metavar="BYTES", help="instead of --data: a body of so many bytes (10K, 10M)")
    add("--mode", choices=("user", "kernel", "both"), default="both")
    add("--hops", type=int, choices=(1, 2), default=1,
        help="user mode: 2 puts a filter process before the worker (UserModeHops)")  # fmt: skip
    add("--engine", default="auto", metavar="NAME", help="of kernel mode; see `kssl engines`")
    add("--warm-up", type=int, default=1, metavar="N",
        help="requests on the connection before it; default 1; 0 shows the upstream connection "
        "being opened too")  # fmt: skip
    add("--handshake", action="store_true", help="show the handshake's steps too")
    add("--json", action="store_true", help="print JSON; see docs/trace.md")
    add("--svg", type=Path, metavar="FILE", help="write a sequence diagram too")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    # Imported here: no other subcommand should pay for it at its start.
    from kssl.proxy.demo.process import DemoStartError
    from kssl.proxy.service.spawn import ProxyStartError
    from kssl.proxy.trace.client import ClientError
    from kssl.proxy.trace.run import TraceError

    try:
        with orderly_end():
            return _run(arguments)
    except (TraceError, ClientError, ProxyStartError, DemoStartError) as error:
        print(f"kssl trace: {error}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    from kssl.proxy.trace import run as tracing
    from kssl.proxy.trace.render import as_json, svg, terminal

    with _plan(arguments) as plan:
        traces = list(tracing.run(plan))
    if arguments.svg is not None:
        try:
            arguments.svg.write_text(svg.render(traces, handshake=arguments.handshake))
        except OSError as error:
            raise ConfigError(f"--svg: cannot write {arguments.svg}: {reason(error)}") from None
    if arguments.json:
        print(json.dumps(as_json.to_json(traces, handshake=arguments.handshake), indent=1))
    else:
        width = shutil.get_terminal_size((_WIDTH, 24)).columns
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        text = terminal.render(traces, width=width, colour=colour, handshake=arguments.handshake)
        print(text, end="")
    own = [trace.mode for trace in traces if not trace.reached_the_app]
    if own:
        print(f"kssl trace: in {' and '.join(own)} mode the reply is kssl's own, not the app's",
              file=sys.stderr)  # fmt: skip
    return 1 if own else 0


@contextlib.contextmanager
def _plan(arguments: argparse.Namespace) -> Iterator[Plan]:
    """What to do, checked; while it lasts the demo app runs, if it is the one."""
    from kssl.proxy.demo.process import start_demo_app
    from kssl.proxy.trace import request as asking
    from kssl.proxy.trace import run as tracing

    if arguments.warm_up < 0:
        raise ConfigError(f"--warm-up {arguments.warm_up}: must be 0 or more")
    tracing.check_hops(arguments.hops)
    target, path = None, _DEMO_PATH
    if arguments.data is not None or arguments.size is not None:
        path = _DEMO_UPLOAD
    if arguments.url is not None and arguments.url.startswith("/"):
        path = asking.clean_path(arguments.url)
    elif arguments.url is not None:
        target, path = asking.parse_url(arguments.url)
    if arguments.path is not None:
        path = asking.clean_path(arguments.path)
    request = asking.make_request(
        target,
        path,
        method=arguments.method,
        headers=arguments.headers,
        data=arguments.data,
        size=arguments.size,
    )

    def plan(target: Target, app: str, pid: int | None) -> Plan:
        return tracing.Plan(
            target=target,
            app=app,
            app_pid=pid,
            request=request,
            modes=("user", "kernel") if arguments.mode == "both" else (arguments.mode,),
            hops=arguments.hops,
            warm_up=arguments.warm_up,
            engine=arguments.engine,
        )

    if target is not None:
        yield plan(target, str(target), None)
        return
    with start_demo_app() as app:
        yield plan(Target("http", "127.0.0.1", app.port), "demo app", app.process.pid)
