"""One [[site]]."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from kssl.config.client_certificates import ClientCertificates
from kssl.config.document import keys
from kssl.config.document.addresses import parse_binding, parse_hostname
from kssl.config.document.certificates import read_files
from kssl.config.document.client_certificates import read_client_certificates
from kssl.config.document.context import Context
from kssl.config.document.flags import read_flags
from kssl.config.document.positions import KeyPath
from kssl.config.document.report import shown
from kssl.config.document.section import Section
from kssl.config.document.upstreams import read_upstreams
from kssl.config.errors import ConfigError
from kssl.config.model import Binding, CertificateFiles, Hsts, Site, SiteLimits
from kssl.config.target import Target, parse_target

H = TypeVar("H", bound=Hashable)

_DROP_TRAILERS, _PASS_TRAILERS = keys.TRAILERS
_TRAILERS_RISK = (
    "trailer fields of requests reach the app, and some take them for header fields or for another "
    "request, which no rule of kssl's has seen; each such request costs a connection to the app; "
    f'"{_DROP_TRAILERS}" does not pass them'
)


@dataclass(frozen=True, slots=True)
class SiteRead:
    """A site, and where it and its parts stand in the document."""

    site: Site
    path: KeyPath
    hostnames: Mapping[str, KeyPath] = field(default_factory=dict)
    bindings: Mapping[Binding, KeyPath] = field(default_factory=dict)

    def path_of(self, part: str | Binding) -> KeyPath:
        """Of a host name or binding; of the site itself if the binding is implied."""
        if isinstance(part, str):
            return self.hostnames.get(part, self.path)
        return self.bindings.get(part, self.path)


def read_site(section: Section, number: int, name: str, context: Context) -> SiteRead:
    """The site as far as it is right; the rest has been reported. `number` counts from 1."""
    hostnames = _list(section, "hostnames", section.parsed("hostnames", parse_hostname))
    bindings = _list(section, "bindings", section.parsed("bindings", parse_binding))
    targets = _list(section, "upstreams", section.parsed("upstreams", parse_target))
    if "upstreams" not in section:
        section.problem('upstreams is missing; write upstreams = ["http://127.0.0.1:8000"]')
    upstreams = read_upstreams(section, tuple(targets), context)
    own_bindings = tuple(bindings) or (() if "bindings" in section else (Binding(context.listen),))
    flags = read_flags(section, context)
    site = Site(
        name=name,
        number=number,
        hostnames=tuple(hostnames),
        bindings=own_bindings,
        default=_default(section),
        certificate=read_files(section, context),
        upstreams=upstreams.targets,
        ssl_flags=flags.names,
        redirect=section.flag("redirect") or False,
        hsts=_hsts(section),
        limits=_limits(section),
        pass_truncated=upstreams.pass_truncated,
        pass_trailers=_pass_trailers(section),
        client_certificates=read_client_certificates(section, flags, own_bindings, context),
    )
    _check_schemes(section, site)
    return SiteRead(site, section.path, hostnames, bindings)


def target_site(
    target: Target,
    context: Context,
    certificate: CertificateFiles | None = None,
    clients: ClientCertificates | None = None,
) -> Site:
    """The one site of ``kssl serve TARGET``."""
    flags = frozenset(("Ssl",)) if context.rules.ssl_required else frozenset[str]()
    if clients is not None:
        flags |= {"SslRequireCert"}
    return Site(
        name="default",
        bindings=(Binding(context.listen),),
        default=True,
        certificate=certificate,
        upstreams=(target,),
        ssl_flags=flags,
        client_certificates=clients,
    )


def read_names(sections: list[Section]) -> list[str]:
    """A name for each site: its own, else its first host name, else its number."""
    names: list[str] = []
    taken: dict[str, KeyPath] = {}
    given = [_name(section) for section in sections]
    for section, name in zip(sections, given, strict=True):
        if name and name.lower() in taken:
            first = section.report.line(taken[name.lower()])
            section.problem(f"{shown(name)} is the name of another site (line {first})", "name")
        elif name:
            taken[name.lower()] = (*section.path, "name")
    for number, (section, name) in enumerate(zip(sections, given, strict=True), 1):
        chosen = name or _first_hostname(section) or f"site {number}"
        while not name and chosen.lower() in taken:
            chosen += f" ({number})"
        taken.setdefault(chosen.lower(), section.path)
        names.append(chosen)
    return names


def _name(section: Section) -> str | None:
    name = section.text("name")
    if name is None:
        return None
    if len(name) > keys.LONGEST_NAME or not name.isprintable():
        section.problem(f"must be at most {keys.LONGEST_NAME} printable characters", "name")
        return None
    return name


def _first_hostname(section: Section) -> str:
    hostnames = section.raw("hostnames")
    for each in hostnames if isinstance(hostnames, list) else ():
        try:
            return parse_hostname(each) if isinstance(each, str) else ""
        except ConfigError:
            return ""
    return ""


def _list(section: Section, key: str, found: list[tuple[int, H]] | None) -> dict[H, KeyPath]:
    """The values of a list with where each stands; reports an empty list, and what is twice."""
    if section.raw(key) == []:
        section.problem("must not be empty", key)
    paths: dict[H, KeyPath] = {}
    for index, each in found or ():
        if each in paths:
            section.problem(f"{each} is there twice", key, index)
        paths.setdefault(each, (*section.path, key, index))
    return paths


def _default(section: Section) -> bool:
    given = section.flag("default")
    if "hostnames" in section:
        return given or False
    if given is False:
        section.problem("a site without hostnames answers for every name; remove this", "default")
    return True


def _hsts(section: Section) -> Hsts | None:
    value = section.raw("hsts")
    if not isinstance(value, dict):
        if isinstance(value, bool | str | list):
            section.problem(
                f"must be seconds, hsts = {keys.HSTS_PRELOAD_AGE}, or a table with max_age, "
                f"not {shown(value)}",
                "hsts",
            )
            return None
        seconds = section.number("hsts", like=keys.by_name(keys.HSTS, "max_age"))
        return None if seconds is None else Hsts(seconds)
    table = Section(section.report, (*section.path, "hsts"), value, keys.HSTS)
    age = table.number("max_age")
    if "max_age" not in table:
        table.problem(f"max_age is missing; write max_age = {keys.HSTS_PRELOAD_AGE}")
    hsts = Hsts(age or 0, table.flag("include_subdomains") or False, table.flag("preload") or False)
    if hsts.preload and not (hsts.include_subdomains and hsts.max_age >= keys.HSTS_PRELOAD_AGE):
        table.problem(
            f"needs include_subdomains = true and max_age of at least {keys.HSTS_PRELOAD_AGE}",
            "preload",
        )
    return hsts


def _pass_trailers(section: Section) -> bool:
    passed = section.choice("request_trailers") == _PASS_TRAILERS
    if passed:
        section.warning(_TRAILERS_RISK, "request_trailers")
    return passed


def _limits(section: Section) -> SiteLimits:
    table = section.table("limits", keys.LIMITS)
    if table is None:
        return SiteLimits()
    return SiteLimits(
        max_allowed_content_length=table.number("maxAllowedContentLength") or 0,
        max_url=table.number("maxUrl") or 0,
        max_query_string=table.number("maxQueryString") or 0,
        max_connections=table.number("maxConnections") or 0,
    )


def _check_hsts_names(section: Section, site: Site) -> None:
    """Browsers keep HSTS by name, whatever the port."""
    local = [name for name in site.hostnames if name == "localhost" or name.endswith(".localhost")]
    if not site.hostnames and site.certificate is None:
        local = ["localhost"]  # of the development certificate
    if local:
        section.warning(
            f"browsers will refuse http://{local[0]} on every port, also of other programs, for "
            "max_age seconds; leave hsts out for local names",
            "hsts",
        )


def _check_schemes(section: Section, site: Site) -> None:
    """What has no effect, or cannot work, with the bindings of `site`."""
    plain = any(not binding.tls for binding in site.bindings)
    encrypted = any(binding.tls for binding in site.bindings)
    if site.redirect and "Ssl" not in site.ssl_flags:
        section.problem('needs the flag Ssl: sslFlags = ["Ssl"]', "redirect")
    if not site.bindings:
        return
    if site.redirect and not encrypted:
        section.problem("there is no https:// binding to redirect to", "redirect")
    elif site.redirect and not plain:
        section.warning("has no effect: the site has no http:// binding", "redirect")
    if site.hsts is not None and not encrypted:
        section.warning("has no effect: the site has no https:// binding", "hsts")
    elif site.hsts is not None and site.hsts.max_age:
        _check_hsts_names(section, site)
    if "Ssl" in site.ssl_flags and not encrypted:
        section.warning("without an https:// binding every request is answered 403.4")
