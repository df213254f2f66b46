"""`kssl demo`: the built-in app behind the proxy, large form posts, and the truncation attack."""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from pathlib import Path

from kssl.config.model import Configuration
from kssl.config.target import Target
from kssl.proxy.cli import demo_truncation
from kssl.proxy.cli.options import UsageError, add_service_options, configuration, service_options
from kssl.proxy.cli.serve import announce, serve
from kssl.proxy.demo import large_post
from kssl.proxy.demo.process import start_demo_app
from kssl.proxy.service.report import Starter
from kssl.proxy.service.service import Service
from kssl.proxy.service.spawn import spawn_proxy

# Options that are for the built-in app alone: the other demonstrations choose these themselves.
_OF_THE_APP = {
    "config": "--config",
    "profile": "--profile",
    "listen": "--listen",
    "assignments": "--set",
    "cert": "--cert",
    "key": "--key",
    "upstream_ca": "--upstream-ca",
    "client_ca": "--client-ca",
    "state_dir": "--state-dir",
    "ready_file": "--ready-file",
}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("demo", help="a demo app behind the proxy, and demonstrations")
    parser.add_argument(
        "what", nargs="?", choices=("app", "large-post", "truncation"), default="app",
        help="app (default): a page to open; large-post: forms of 1 B to 256 MiB in both modes; "
        "truncation: an attack with real clients (docs/truncation.md)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="not app: the table as JSON")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="truncation: a diagram of it too")
    add_service_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    _refuse_unused(arguments)
    if arguments.what == "large-post":
        return _large_post(as_json=arguments.json)
    if arguments.what == "truncation":
        return demo_truncation.run(arguments)
    with start_demo_app() as app:
        target = Target("http", "127.0.0.1", app.port)

        def read(*, running: bool = False) -> Configuration:
            return configuration(arguments, target, arguments.config, running=running)

        options = service_options(arguments, read())
        reread = functools.partial(read, running=True)
        return serve(options, _announce, starter=Starter({}), reread=reread)


def _refuse_unused(arguments: argparse.Namespace) -> None:
    """A demonstration that ignores an option would show something else than was asked for.

    Raises UsageError.
    """
    if arguments.what == "app":
        unused = [f"--{name}" for name in ("json", "svg") if getattr(arguments, name)]
    else:
        unused = [option for name, option in _OF_THE_APP.items() if getattr(arguments, name)]
        if arguments.what != "truncation":
            unused += [f"--{name}" for name in ("svg", "mode") if getattr(arguments, name)]
    if unused:
        what = "" if arguments.what == "app" else f" {arguments.what}"
        raise UsageError(f"`kssl demo{what}` has no use for {', '.join(unused)}; drop it")


def _announce(service: Service) -> None:
    announce(service)
    print(f"\n    open {service.url}/   (Ctrl-C ends it)\n", file=sys.stderr, flush=True)


def _large_post(*, as_json: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="kssl-") as folder, start_demo_app() as app:
        target, state = str(app.port), Path(folder)
        with (
            spawn_proxy(target, "--mode", "user", state_dir=state) as user,
            spawn_proxy(target, "--mode", "kernel", state_dir=state) as kernel,
        ):
            urls = {"user": user.url, "kernel": kernel.url}
            rows = large_post.run(urls, str(kernel.ca))
    print(large_post.to_json(rows) if as_json else large_post.render(rows))
    return large_post.exit_status(rows)
