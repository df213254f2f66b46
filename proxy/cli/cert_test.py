"""`kssl cert test`: the verdict on a client's certificate, explained.

It reads what the service would read and judges as the service would; with --site, as a site of the
configuration does. With --fetch it asks the URLs in certificates for what is missing, else it asks
nobody. Exit codes: 0 ok, 1 not ok, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from kssl.config.errors import ConfigError, printable
from kssl.config.pemfile import read_source
from kssl.fastpath.verifier.retrieval import Retrieval
from kssl.fastpath.verifier.rules.judge import judge
from kssl.fastpath.verifier.rules.policy import DEFAULT_DEPTH, Policy
from kssl.fastpath.verifier.rules.rules import FORMS
from kssl.fastpath.verifier.rules.trust import (
    CERTIFICATE_LABELS,
    blocks,
    load_certificates,
    load_crls,
)
from kssl.proxy.cli import cert_test_fetch, cert_test_site
from kssl.proxy.cli.cert_test_follows import Follows, follows
from kssl.proxy.cli.cert_test_text import as_json, verdict_text

_WIDTH = 80


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "would a client with this certificate be let in, and why (not)"
    parser = actions.add_parser("test", help=text, description=text)
    parser.add_argument(
        "file", type=Path, metavar="FILE",
        help="what the client presents, its own certificate first: PEM, or DER of one",
    )  # fmt: skip
    cert_test_site.register(parser)
    parser.add_argument(
        "--ca", type=Path, metavar="FILE|DIR", help="whom the site trusts; without it, nobody"
    )
    parser.add_argument(
        "--intermediates", type=Path, metavar="DIR",
        help="CAs that may stand between, as if the client had presented them",
    )  # fmt: skip
    parser.add_argument(
        "--crl", type=Path, metavar="FILE", action="extend", nargs="+", default=[],
        help="revocation lists; given one, all certificates but the anchor must be known good",
    )  # fmt: skip
    parser.add_argument(
        "--revocation", action="store_true",
        help="as with --crl, also without one: with --fetch, lists come from the CAs",
    )  # fmt: skip
    cert_test_fetch.register(parser)
    parser.add_argument(
        "--at", metavar="TIME",
        help="as 2026-01-31 or 2026-01-31T12:00Z, UTC unless it says otherwise; default now",
    )  # fmt: skip
    parser.add_argument(
        "--no-usage-check", action="store_true", help="whatever the certificate is meant for"
    )
    parser.add_argument(
        "--max-depth", type=int, metavar="N",
        help=f"CAs between the client's certificate and a trusted one, default {DEFAULT_DEPTH}",
    )  # fmt: skip
    for option, what in (("--allow", "one must match"), ("--deny", "none may match")):
        parser.add_argument(
            option, metavar="RULE", action="extend", nargs="+", default=[],
            help=f"{what}: {FORMS}",
        )  # fmt: skip
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    now = _time(arguments.at) if arguments.at is not None else datetime.now(UTC)
    cert_test_site.check_options(arguments)
    then: Follows | None = None
    if arguments.site is None:
        result = _by_options(arguments, now)
    else:
        asked = cert_test_site.asked_by(arguments, now)
        presented = _presented(arguments.file)
        result = cert_test_site.retrieved(presented, asked, now, fetch=arguments.fetch)
        then = follows(asked.site, asked.wanted, result.verdict)
    if arguments.json:
        print(json.dumps(as_json(result, now, then), indent=2))
    else:
        if arguments.ca is None and then is None:
            print("note: no --ca is given, so nobody is trusted", file=sys.stderr)
        width = min(_WIDTH, shutil.get_terminal_size().columns)
        for line in verdict_text(result, now, width, then):
            print(printable(line))
    return 0 if result.verdict.ok else 1


def _by_options(arguments: argparse.Namespace, now: datetime) -> Retrieval:
    """Raises ConfigError."""
    policy = _policy(arguments)
    presented = _presented(arguments.file)
    if arguments.fetch:
        return cert_test_fetch.retrieved(presented, policy, now, arguments.fetch_allow)
    if arguments.fetch_allow:
        raise ConfigError("--fetch-allow goes with --fetch; without it nobody is asked")
    return Retrieval(judge(presented, policy, now))


def _policy(arguments: argparse.Namespace) -> Policy:
    """Raises ConfigError."""
    return Policy.prepare(
        load_certificates(arguments.ca, "CA") if arguments.ca is not None else (),
        load_certificates(arguments.intermediates, "intermediate CA")
        if arguments.intermediates is not None
        else (),
        usage_check=not arguments.no_usage_check,
        max_depth=DEFAULT_DEPTH if arguments.max_depth is None else arguments.max_depth,
        crls=load_crls(arguments.crl) if arguments.crl or arguments.revocation else None,
        allow=arguments.allow,
        deny=arguments.deny,
    )


def _presented(path: Path) -> list[bytes]:
    """DER, as a client would send it. A private key beside it is not read. Raises ConfigError."""
    source = read_source(path, "certificate")
    return [
        der for _, der in blocks(path, source.data, "certificate", CERTIFICATE_LABELS, keys=True)
    ]


def _time(text: str) -> datetime:
    """Raises ConfigError."""
    try:
        time = datetime.fromisoformat(text)
        # Years 1 and 9999 have no UTC in some time zones.
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{text!r} is not a time; write 2026-01-31, or 2026-01-31T12:00Z"
        ) from None
