"""`kssl bench`: CPU time per request in both modes, beside other proxies."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from config.errors import ConfigError

_ROUNDS, _SECONDS = 5, 3
_QUICK_ROUNDS, _QUICK_SECONDS = 3, 1


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("bench", help="CPU time per request, beside other proxies")
    add = parser.add_argument
    add("--quick", action="store_true",
        help="3 rounds of 1 s instead of 5 of 3 s")  # fmt: skip
    add("--peers", type=_names, default=["nginx"], metavar="LIST",
        help="proxies to compare with, separated by commas; default nginx; none: ''")  # fmt: skip
    add("--modes", type=_names, default=["user", "kernel"], metavar="LIST",
        help="default user,kernel")  # fmt: skip
    add("--scenarios", type=_names, default=[], metavar="LIST", help="of tiny,10k,10m; default all")
    add("--rounds", type=_positive, metavar="N")
    add("--seconds", type=_positive, metavar="N", help="of load in each round")
    add("--serve", type=shlex.split, default=[], metavar="OPTIONS",
        help="more options of `kssl serve`, such as --serve='--http h11'")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="everything with the raw rounds; - is stdout")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    # Imported here: no other subcommand should pay for it at its start.
    from bench import report, scenarios
    from bench.errors import BenchError
    from bench.run import Plan
    from bench.run import run as run_bench
    from proxy.demo.process import DemoStartError
    from proxy.spawn import ProxyStartError

    for mode in arguments.modes:
        if mode not in ("user", "kernel"):
            raise ConfigError(f"--modes {mode}: there are user and kernel")
    try:
        plan = Plan(
            scenarios=scenarios.choose(arguments.scenarios),
            modes=arguments.modes,
            peers=arguments.peers,
            rounds=arguments.rounds or (_QUICK_ROUNDS if arguments.quick else _ROUNDS),
            seconds=arguments.seconds or (_QUICK_SECONDS if arguments.quick else _SECONDS),
            arguments=arguments.serve,
        )
        with _orderly_end():
            outcome = run_bench(plan, _say)
    except (BenchError, ProxyStartError, DemoStartError) as error:
        print(f"kssl bench: {error}", file=sys.stderr)
        return 1
    _clear()
    told = json.dumps(report.to_json(outcome, shlex.join(sys.argv)), indent=1)
    if arguments.json == Path("-"):
        print(told)
        return 0
    print(report.to_text(outcome))
    if arguments.json is not None:
        arguments.json.write_text(told + "\n")
    return 0


@contextlib.contextmanager
def _orderly_end() -> Iterator[None]:
    """Ended by SIGTERM, Python would leave what it has started: let the blocks end instead."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _say(line: str) -> None:
    """Progress: one line that is overwritten, on terminals only."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
