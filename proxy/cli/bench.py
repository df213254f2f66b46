"""`kssl bench`: CPU time per request in both modes, beside other proxies."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from kssl.config.errors import ConfigError
from kssl.proxy.cli.ending import orderly_end

_ROUNDS, _SECONDS = 5, 3
_QUICK_ROUNDS, _QUICK_SECONDS = 3, 1


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("bench", help="CPU time per request, beside other proxies")
    add = parser.add_argument
    add("--quick", action="store_true",
        help="3 rounds of 1 s instead of 5 of 3 s")  # fmt: skip
    add("--scenarios", type=_names, default=[], metavar="LIST",
        help="such as tiny,10k,full; a wrong name lists them; default all")  # fmt: skip
    add("--peers", type=_names, default=["nginx"], metavar="LIST",
        help="proxies to compare with, separated by commas; all: those installed; default nginx; "
             "none: ''")  # fmt: skip
    add("--peer-venv", type=Path, metavar="DIR",
        help="virtual environment with the peers that are Python packages")  # fmt: skip
    add("--floor", action="store_true", help="nginx without TLS too, which no TLS can undercut")
    add("--modes", type=_names, default=["user", "kernel"], metavar="LIST",
        help="default user,kernel")  # fmt: skip
    add("--hops", action="store_true", help="user mode over two processes too (UserModeHops=2)")
    add("--rounds", type=_positive, metavar="N")
    add("--seconds", type=_positive, metavar="N", help="of load in each round")
    add("--serve", type=shlex.split, default=[], metavar="OPTIONS",
        help="more options of `kssl serve`, such as --serve='--http h11'")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="everything with the raw rounds; - is stdout")
    add("--html", type=Path, metavar="FILE", help="a report with plots, one file")
    add("--svg", type=Path, metavar="FILE", help="its main figures as one picture")
    add("--from", type=Path, metavar="FILE", dest="earlier",
        help="show the JSON of an earlier run instead of measuring")  # fmt: skip
    add("--attacks", nargs="?", type=_names, const=[], default=None, metavar="LIST",
        help="instead: what hostile clients and apps cost the others; all kinds, or "
             "such as chunks,records; with --modes, --peers (nginx or ''), --rounds, --seconds, "
             "--serve, --json")  # fmt: skip
    add("--print-configs", action="store_true",
        help="print the peers' configurations and measure nothing")  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    # Imported here: no other subcommand should pay for it at its start.
    from kssl.bench.errors import BenchError
    from kssl.proxy.demo.process import DemoStartError
    from kssl.proxy.service.spawn import ProxyStartError

    for mode in arguments.modes:
        if mode not in ("user", "kernel"):
            raise ConfigError(f"--modes {mode}: there are user and kernel")
    if arguments.hops and "user" not in arguments.modes:
        raise ConfigError("--hops is about user mode, which --modes leaves out")
    for path in (arguments.json, arguments.html, arguments.svg):
        if path is not None and path != Path("-") and not path.parent.is_dir():
            raise ConfigError(f"cannot write {path}: there is no folder {path.parent}")
    try:
        if arguments.attacks is not None:
            with orderly_end():
                return _attack(arguments)
        if arguments.print_configs:
            return _print_configs(arguments)
        if arguments.earlier is not None:
            report = _read(arguments.earlier)
        else:
            with orderly_end():
                report = _measure(arguments)
    except (BenchError, ProxyStartError, DemoStartError) as error:
        print(f"kssl bench: {error}", file=sys.stderr)
        return 1
    _show(arguments, report)
    return 0


def _read(path: Path) -> dict[str, Any]:
    """The report of an earlier run. Raises ConfigError."""
    from kssl.bench.report.shape import SCHEMA

    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise ConfigError(f"{path} is no report of `kssl bench --json` (schema {SCHEMA})")
    return report


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    from kssl.bench import scenarios
    from kssl.bench.outcome import Plan
    from kssl.bench.progress import Progress
    from kssl.bench.report.shape import to_report
    from kssl.bench.run import run as run_bench

    plan = Plan(
        scenarios=scenarios.choose(arguments.scenarios),
        modes=arguments.modes,
        peers=_peers(arguments),
        hops=arguments.hops,
        floor=arguments.floor,
        venv=arguments.peer_venv,
        rounds=arguments.rounds or (_QUICK_ROUNDS if arguments.quick else _ROUNDS),
        seconds=arguments.seconds or (_QUICK_SECONDS if arguments.quick else _SECONDS),
        arguments=arguments.serve,
    )
    outcome = run_bench(
        plan,
        lambda line: print(line, file=sys.stderr, flush=True),
        lambda seconds: Progress(seconds, sys.stderr),
    )
    return to_report(outcome, shlex.join(["kssl", *sys.argv[1:]]))


def _attack(arguments: argparse.Namespace) -> int:
    from kssl.bench.attacks import report
    from kssl.bench.attacks.kinds import choose
    from kssl.bench.attacks.run import Wanted
    from kssl.bench.attacks.run import run as run_attacks

    wanted = Wanted(
        attacks=choose(arguments.attacks),
        modes=arguments.modes,
        nginx="nginx" in arguments.peers,
        rounds=arguments.rounds or (_QUICK_ROUNDS if arguments.quick else _ROUNDS),
        seconds=arguments.seconds or (_QUICK_SECONDS if arguments.quick else _SECONDS),
        arguments=arguments.serve,
    )
    found = run_attacks(wanted, lambda line: print(line, file=sys.stderr, flush=True))
    told = report.to_report(found, wanted, shlex.join(["kssl", *sys.argv[1:]]))
    if arguments.json == Path("-"):
        print(json.dumps(told, indent=1))
        return 0
    print(report.to_text(found))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0


def _peers(arguments: argparse.Namespace) -> list[str]:
    from kssl.bench.stage import installed_peers

    if arguments.peers == ["all"]:
        return installed_peers(arguments.peer_venv)
    peers: list[str] = arguments.peers
    return peers


def _print_configs(arguments: argparse.Namespace) -> int:
    from kssl.bench.peers import print_configs

    print(print_configs(_peers(arguments)), end="")
    return 0


def _show(arguments: argparse.Namespace, report: dict[str, Any]) -> None:
    from kssl.bench.report.text import to_text

    told = json.dumps(report, indent=1)
    if arguments.json == Path("-"):
        print(told)
    else:
        print(to_text(report))
        if arguments.json is not None:
            arguments.json.write_text(told + "\n")
    if arguments.html is not None:
        from kssl.bench.html import render

        arguments.html.write_text(render(report))
    if arguments.svg is not None:
        from kssl.bench.html import picture

        arguments.svg.write_text(picture(report))


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value
