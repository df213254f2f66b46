"""Which site a name belongs to, and which certificate: for SNI in the worker, for Host in front.

Both look names up in the same way, so that the certificate and the site always agree: the exact
name, then the wildcard one label up, then the default.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from kssl.config.client_certificates import REJECT
from kssl.config.model import UNASSIGNED, WILDCARD, Binding, CertificateFiles, Configuration, Site
from kssl.config.target import Listen, Target

T = TypeVar("T")


class NameTable(Generic[T]):
    """Host names (lower case, wildcards among them) → something; `default` for all others."""

    __slots__ = ("_exact", "_wild", "default")

    def __init__(self, names: Iterable[tuple[str, T]], default: T | None = None) -> None:
        self._exact: dict[str, T] = {}
        self._wild: dict[str, T] = {}  # by what follows the first label, dot included
        for name, value in names:
            if name.startswith(WILDCARD):
                self._wild.setdefault(name[1:], value)
            else:
                self._exact.setdefault(name, value)
        self.default = default

    def find(self, name: str) -> T | None:
        """`name` is a host name in lower case, without port and final dot; "" gets the default."""
        found = self._exact.get(name)
        if found is None and self._wild:
            dot = name.find(".")
            if dot > 0:
                found = self._wild.get(name[dot:])
        return self.default if found is None else found


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One listening address and the sites behind it."""

    binding: Binding
    sites: tuple[Site, ...]

    def names(self) -> NameTable[Site]:
        default = next((site for site in self.sites if site.default), None)
        return NameTable(((name, site) for site in self.sites for name in site.hostnames), default)


def endpoints(configuration: Configuration) -> list[Endpoint]:
    """One for each binding, in the order in which the sites name them."""
    bindings = dict.fromkeys(binding for site in configuration.sites for binding in site.bindings)
    return [
        Endpoint(binding, tuple(site for site in configuration.sites if binding in site.bindings))
        for binding in bindings
    ]


def targets(configuration: Configuration) -> list[Target]:
    """All upstreams, each once, in the order in which the sites name them."""
    return list(dict.fromkeys(target for site in configuration.sites for target in site.upstreams))


def tls_settings(configuration: Configuration, default_names: Sequence[str]) -> dict[str, Any]:
    """What the worker is told, ready for JSON::

        {"certificates": [{"certificate": path, "key": path or None, "names": [],     "policy": …},
                          {"certificate": None, "key": None,         "names": [name], "policy": …}],
         "endpoints":    [{"names": {name: index}, "default": index}],
         "upstreams":    [{"name": …, "ca": path or None, "certificate": …, "key": …}]}

    One endpoint for each TLS binding, in the order of `endpoints`. A certificate without a file is
    issued by the development CA for its names (`default_names` where a site has none). A session
    that began under one `policy` is not resumed under another; one that is not "" asks for a
    certificate. The upstreams are those with TLS (`kssl.config.target.UpstreamTls`).
    """
    chosen: dict[str, int] = {}  # a certificate as JSON → index
    told = []
    for endpoint in endpoints(configuration):
        if not endpoint.binding.tls:
            continue
        choose = _Chooser(configuration, endpoint.binding.listen, default_names)
        names = {}
        own = {name for site in endpoint.sites for name in site.hostnames}
        for site in endpoint.sites:
            for name in site.hostnames:
                for each, certificate in choose.of_name(site, name):
                    if each != name and each in own:
                        continue  # it is another site's, with its own policy
                    names[each] = chosen.setdefault(json.dumps(certificate), len(chosen))
        default = next((site for site in endpoint.sites if site.default), endpoint.sites[0])
        fallback = json.dumps(choose.of_site(default))
        told.append({"names": names, "default": chosen.setdefault(fallback, len(chosen))})
    upstreams = dict.fromkeys(
        target.tls.to_json()
        for site in configuration.sites
        for target in site.upstreams
        if target.tls is not None
    )
    return {
        "certificates": [json.loads(text) for text in chosen],
        "endpoints": told,
        "upstreams": [json.loads(text) for text in upstreams],
    }


class _Chooser:
    """The rules for one address: name's binding, site's own, address's binding, development CA."""

    def __init__(
        self, configuration: Configuration, listen: Listen, default_names: Sequence[str]
    ) -> None:
        self._named: dict[str, CertificateFiles] = {}
        by_host: dict[str, CertificateFiles] = {}
        for bound in configuration.certificate_bindings:
            if bound.ipport is None and bound.port == listen.port:
                self._named[bound.hostname] = bound.files
            elif bound.ipport is not None and bound.ipport.port == listen.port:
                by_host[bound.ipport.host] = bound.files
        self._address = by_host.get(listen.host) or by_host.get(UNASSIGNED)
        self._default_names = default_names
        self._reject = bool(configuration.parameters.reject_client_certificates)

    def of_name(self, site: Site, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(name, certificate): of `name`, and of names below a wildcard with their own binding."""
        yield name, self._told(site, self._named.get(name), (name,))
        if name.startswith(WILDCARD):
            for bound, files in self._named.items():
                if bound.partition(".")[2] == name[len(WILDCARD) :] and bound not in site.hostnames:
                    yield bound, self._told(site, files, ())

    def of_site(self, site: Site) -> dict[str, Any]:
        """For clients that name no site."""
        if site.hostnames:
            return next(iter(self.of_name(site, site.hostnames[0])))[1]
        return self._told(site, None, self._default_names)

    def _told(
        self, site: Site, named: CertificateFiles | None, names: Sequence[str]
    ) -> dict[str, Any]:
        files = named or site.certificate or self._address
        return {
            "certificate": str(files.certificate) if files else None,
            "key": str(files.key) if files and files.key else None,
            "names": [] if files else list(names),
            "policy": REJECT if self._reject else site.policy,
        }


def verifier_settings(configuration: Configuration, state_dir: Path) -> dict[str, Any] | None:
    """What the verifier is told, ready for JSON; None: no site asks for certificates::

    {"state_dir": path, "retrieve_issuers": bool, "allowed": [host or network],
     "policies": {policy: `ClientCertificates.to_json`},
     "sites":    {policy: names of the sites that have it, for messages}}
    """
    parameters = configuration.parameters
    policies = {
        site.policy: site.client_certificates.to_json()
        for site in configuration.sites
        if site.client_certificates is not None
    }
    if not policies:
        return None
    names = {
        policy: ", ".join(repr(site.name) for site in configuration.sites if site.policy == policy)
        for policy in policies
    }
    return {
        "state_dir": str(state_dir),
        "retrieve_issuers": bool(parameters.disable_ssl_cert_chain_cache_only_url_retrieval),
        "allowed": parameters.url_retrieval_allowed.replace(",", " ").split(),
        "policies": policies,
        "sites": names,
    }
