"""`kssl check`: reads the configuration and every certificate as the service would, and says
everything that is wrong with them; with `--profile`, also what that profile supports."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kssl.config.errors import ConfigError, ProblemsError
from kssl.config.model import Configuration, Site
from kssl.config.parameter import Profile
from kssl.config.routing import tls_settings, verifier_settings
from kssl.config.statedir import ensure_state_dir
from kssl.config.support import Row, rows
from kssl.config.target import Target, UpstreamTls, parse_target
from kssl.fastpath.ipc.processes import VERIFIER
from kssl.fastpath.ipc.supervisor import Supervisor, WorkerRefusedError, WorkerSettings
from kssl.fastpath.verifier.messages import VerifierSettings
from kssl.proxy.cli.options import (
    TARGET_HELP,
    UsageError,
    add_configuration_options,
    configuration,
    configuration_file,
    state_dir,
)
from kssl.proxy.service.service import DEFAULT_NAMES


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("check", help="what is wrong with the configuration, if anything")
    parser.add_argument(
        "target", metavar="TARGET", nargs="?", help=f"as for `kssl serve`: {TARGET_HELP}"
    )
    add_configuration_options(parser)
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    found: Configuration | None = None
    problems: list[str] = []
    warnings: list[str] = []
    try:
        target = parse_target(arguments.target) if arguments.target is not None else None
        found = configuration(arguments, target, configuration_file(arguments))
        warnings += found.warnings
        told, problems = asyncio.run(_load(found, ensure_state_dir(state_dir(arguments))))
        warnings += told
    except UsageError:
        raise
    except ProblemsError as error:
        problems = [str(problem) for problem in error.problems]
    except ConfigError as error:
        problems = [str(error)]
    table = _table(arguments.profile, found)
    if arguments.json:
        print(json.dumps(_as_json(found, problems, warnings, table)))
    else:
        _print(found, problems, warnings, table)
    return 1 if problems else 0


async def _load(found: Configuration, folder: Path) -> tuple[list[str], list[str]]:
    """Private keys by a crypto worker, because nobody else reads them, and what sites ask of client
    certificates by a verifier, as for the service. They end at once.

    ``folder``: the state folder. Returns their warnings, and what is wrong.
    """
    worker = WorkerSettings(
        state_dir=str(folder),
        kernel_mode=bool(found.parameters.enable_kernel_ssl),
        tls=tls_settings(found, DEFAULT_NAMES),
        preset=found.parameters.tls_preset,
    )
    supervisors = [Supervisor(worker)]
    judging = verifier_settings(found, folder)
    if judging is not None:
        supervisors.append(Supervisor(VerifierSettings(judging), helper=VERIFIER))
    warnings: list[str] = []
    problems: list[str] = []
    for answer in await asyncio.gather(*map(_answer, supervisors)):
        if isinstance(answer, WorkerRefusedError):
            problems += answer.problems
        else:
            warnings += answer["warnings"]
    return warnings, problems


async def _answer(supervisor: Supervisor) -> dict[str, Any] | WorkerRefusedError:
    try:
        return await supervisor.start()
    except WorkerRefusedError as error:
        return error
    finally:
        await supervisor.stop()


def _table(profile: str | None, found: Configuration | None) -> list[Row]:
    return rows(Profile(profile), found) if profile is not None else []


def _as_json(
    found: Configuration | None,
    problems: Sequence[str],
    warnings: Sequence[str],
    table: Sequence[Row],
) -> dict[str, object]:
    return {
        "file": str(found.path) if found is not None and found.path else None,
        "problems": list(problems),
        "warnings": list(warnings),
        "upstreams": [
            _upstream_as_json(site, target, target.tls)
            for site in (found.sites if found is not None else ())
            for target in site.upstreams
            if target.tls is not None
        ],
        "support": [asdict(row) for row in table],
    }


def _upstream_as_json(site: Site, target: Target, tls: UpstreamTls) -> dict[str, object]:
    """How an https:// upstream is verified; `ca` None: by the system's CAs."""
    return {
        "site": site.name,
        "upstream": str(target),
        **json.loads(tls.to_json()),
        "truncation": "pass" if site.pass_truncated else "abort",
    }


def _print(
    found: Configuration | None,
    problems: Sequence[str],
    warnings: Sequence[str],
    table: Sequence[Row],
) -> None:
    for problem in problems:
        print(f"kssl: {problem}", file=sys.stderr)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if found is not None:
        _print_sites(found)
    if table:
        _print_table(table)
    if not problems and found is not None:
        print(f"{found.path or 'the configuration'} is fine")


def _print_sites(found: Configuration) -> None:
    print(f"profile {found.profile}, {len(found.sites)} site{'s'[: len(found.sites) != 1]}")
    for site in found.sites:
        names = ", ".join(site.hostnames) or "every name"
        where = ", ".join(map(str, site.bindings))
        print(f"  {site.name}: {names} on {where} → {', '.join(map(str, site.upstreams))}")
        for target in site.upstreams:
            if target.tls is not None:
                print(f"      {target}: {_verification(site, target.tls)}")


def _verification(site: Site, tls: UpstreamTls) -> str:
    """What an https:// upstream must prove, and what is shown to it, in words."""
    by = f"a CA in {tls.ca}" if tls.ca is not None else "one of the system's CAs"
    text = f"must have a certificate for {tls.name} from {by}"
    if tls.certificate is not None:
        text += f"; is shown {tls.certificate}"
    if site.pass_truncated:
        text += "; may be cut short unnoticed (upstream_truncation)"
    return text


def _print_table(table: Sequence[Row]) -> None:
    for row in table:
        print(f"  {row.feature}")
        print(f"      Windows: {row.windows}")
        print(f"      kssl:    {row.kssl}")
        if row.here:
            print(f"      here:    {row.here}")
