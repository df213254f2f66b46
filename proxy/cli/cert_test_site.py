"""`kssl cert test --site`: what a site of the configuration asks, as the service would read it.

Nothing is written: CAs that the service keeps are read and left as they are.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from kssl.config import routing
from kssl.config.client_certificates import ClientCertificates
from kssl.config.document.client_certificates import fetches_lists
from kssl.config.document.read import Request, read_configuration
from kssl.config.document.where import NAME, VARIABLE, config_path
from kssl.config.errors import ConfigError, Problem, ProblemsError
from kssl.config.model import Configuration, Site
from kssl.config.statedir import default_state_dir
from kssl.fastpath.verifier import policies
from kssl.fastpath.verifier.fetch import Allowed, Fetched, FetchError
from kssl.fastpath.verifier.network import Network
from kssl.fastpath.verifier.policies import ALLOWED_SETTING, Loaded, UnusableError, prepare
from kssl.fastpath.verifier.retrieval import Budget, Retrieval, retrieve
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.proxy.cli.cert_test_kept import read_kept

_CLOSING = 1.0  # seconds; what is left of a fetch ends with this process

_CONTRADICT = (
    "ca", "intermediates", "crl", "revocation", "no_usage_check", "max_depth", "allow", "deny",
    "fetch_allow",
)  # fmt: skip
"""Options that say what a site says."""


@dataclass(frozen=True, slots=True)
class Asked:
    """``policy``: of ``wanted``, with CAs that the service has kept. ``notes``: for a person."""

    site: Site
    wanted: ClientCertificates
    policy: Policy
    loaded: Loaded
    notes: tuple[str, ...]


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--site", metavar="NAME",
        help="judge as this site of kssl.toml: its name, or a host name that it serves",
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, metavar="FILE",
        help=f"with --site: default ${VARIABLE}, else {NAME} in the state folder",
    )  # fmt: skip
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR",
        help="with --site: where the service keeps CAs that it has fetched",
    )  # fmt: skip


def check_options(arguments: argparse.Namespace) -> None:
    """Raises ConfigError: some do not go together."""
    if arguments.site is None:
        for option in ("config", "state_dir"):
            if getattr(arguments, option) is not None:
                raise ConfigError(f"{_typed(option)} goes with --site; without it nothing is read")
        return
    given = [_typed(each) for each in _CONTRADICT if getattr(arguments, each) not in _NOT_GIVEN]
    if given:
        raise ConfigError(
            f"{', '.join(given)}: with --site the configuration says this; leave one of them out"
        )


_NOT_GIVEN: tuple[object, ...] = (None, False, [])


def _typed(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def asked_by(arguments: argparse.Namespace, now: datetime) -> Asked:
    """What the site of --site asks at ``now``. Raises ConfigError."""
    state_dir = arguments.state_dir or default_state_dir()
    path = config_path(arguments.config, state_dir, os.environ)
    configuration = read_configuration(
        Request(path=path, state_dir=state_dir, environment=os.environ)
    )
    site = find_site(configuration, arguments.site)
    wanted = site.client_certificates
    told = routing.verifier_settings(configuration, state_dir)
    if wanted is None or told is None:
        raise ConfigError(
            f"site {site.name!r} asks for no client certificate: its sslFlags have neither "
            "SslNegotiateCert nor SslRequireCert"
        )
    kept, notes = read_kept(state_dir, now)
    try:
        policy = prepare(wanted, kept)
    except UnusableError as error:
        raise ProblemsError(
            [Problem(str(path), 0, site.name, text) for text in error.problems]
        ) from None
    allowed = Allowed.of(told["allowed"], setting=ALLOWED_SETTING)
    return Asked(site, wanted, policy, Loaded(told["retrieve_issuers"], allowed, {}), notes)


def find_site(configuration: Configuration, text: str) -> Site:
    """By its name, else by a host name that leads to it over TLS. Raises ConfigError."""
    wanted = text.strip().lower()
    for site in configuration.sites:
        if site.name.lower() == wanted:
            return site
    host = wanted.removesuffix(".")
    found: dict[str, Site] = {}
    for endpoint in routing.endpoints(configuration):
        if not endpoint.binding.tls:
            continue
        names = routing.NameTable(
            (name, site) for site in endpoint.sites for name in site.hostnames
        )
        if (match := names.find(host)) is not None:
            found[match.name] = match
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise ConfigError(f"{text!r} is served by several sites; name one of them: {_names(found)}")
    every = _names(site.name for site in configuration.sites)
    raise ConfigError(f"there is no site {text!r} in {configuration.path}; there are: {every}")


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def retrieved(presented: Sequence[bytes], asked: Asked, now: datetime, *, fetch: bool) -> Retrieval:
    """As the service judges. Without ``fetch`` nobody is asked; notes say whom it would ask."""
    wanted, loaded = asked.wanted, asked.loaded
    network = Network(loaded.allowed)
    certificates, crls = network.getters(loaded, policies.Site(wanted, asked.policy))
    if not fetch:  # what the settings forbid is told as it is
        certificates = _not_here if loaded.retrieve_issuers else certificates
        crls = _not_here if fetches_lists(wanted) else crls
    budget = Budget(seconds=wanted.retrieval_timeout / 1000)
    try:
        result = retrieve(presented, asked.policy, now, certificates, crls, budget=budget)
    finally:
        network.close(_CLOSING)
    return replace(result, notes=(*asked.notes, *result.notes))


def _not_here(url: str, seconds: float) -> Fetched:
    raise FetchError(url, "not asked without --fetch; the service might get it from there")
