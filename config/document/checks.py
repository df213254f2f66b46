"""What only shows when all sites and certificate bindings are seen together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from kssl.config import devca
from kssl.config.document.certificates import BindingRead
from kssl.config.document.positions import KeyPath
from kssl.config.document.report import Report
from kssl.config.document.sites import SiteRead
from kssl.config.model import UNASSIGNED, WILDCARD, Binding, CertificateBinding, Configuration
from kssl.config.routing import tls_settings
from kssl.config.target import LOCALHOST, LOOPBACKS

# An address of all interfaces, of one family: listeners for IPv6 take no IPv4 (IPV6_V6ONLY).
_ALL_4, _ALL_6 = "0.0.0.0", "::"  # noqa: S104 - compared, not listened on

_NO_CERTIFICATE = (
    "no certificate for {name}: give the site certificate and key, or bind one (kssl cert bind); "
    "the development CA vouches only for localhost and the names below it"
)


def check_sites(report: Report, sites: Sequence[SiteRead]) -> None:
    """Each name once and one default on each binding; addresses that can be listened on."""
    first_name: dict[tuple[Binding, str], SiteRead] = {}
    first_default: dict[Binding, SiteRead] = {}
    for read in sites:
        for binding in read.site.bindings:
            for name in read.site.hostnames:
                other = first_name.setdefault((binding, name), read)
                if other is not read:
                    report.problem(
                        read.path_of(name),
                        f"{name} belongs to site {other.site.name!r} "
                        f"({_line(report, other.path_of(name))}) on {binding} already",
                    )
            if read.site.default:
                other = first_default.setdefault(binding, read)
                if other is not read:
                    report.problem(
                        (*read.path, "default"), _second_default(report, read, other, binding)
                    )
    _check_addresses(report, sites)


def _second_default(report: Report, read: SiteRead, other: SiteRead, binding: Binding) -> str:
    why = "" if read.site.hostnames else " (as every site without hostnames)"
    return (
        f"site {read.site.name!r} is a default{why}, but site {other.site.name!r} "
        f"({_line(report, other.path)}) is the one of {binding} already; one can be"
    )


def _check_addresses(report: Report, sites: Iterable[SiteRead]) -> None:
    """Two listeners cannot share an address."""
    seen: dict[int, dict[Binding, KeyPath]] = defaultdict(dict)
    for read in sites:
        for binding in read.site.bindings:
            if binding.listen.port:  # 0 is another port each time
                seen[binding.listen.port].setdefault(binding, read.path_of(binding))
    for bindings in seen.values():
        everywhere = [each for each in bindings if each.listen.host in (_ALL_4, _ALL_6)]
        for binding, path in bindings.items():
            twin = Binding(binding.listen, not binding.tls)
            if binding.tls and twin in bindings:
                line = _line(report, bindings[twin])
                text = "an address is either https:// or http://; take another port"
                report.problem(path, f"{binding} beside {twin} ({line}): {text}")
            wide = next((each for each in everywhere if _includes(each, binding)), None)
            if wide is not None:
                line = _line(report, bindings[wide])
                text = "all addresses include this one; keep one of the two"
                report.problem(path, f"{binding} beside {wide} ({line}): {text}")
            both = next((each for each in bindings if _is_one_of(binding, each)), None)
            if both is not None:
                line = _line(report, bindings[both])
                text = f"{LOCALHOST} stands for {' and '.join(LOOPBACKS)}; keep one of the two"
                report.problem(path, f"{binding} beside {both} ({line}): {text}")


def _includes(wide: Binding, binding: Binding) -> bool:
    """Whether `wide`, all addresses of a family, has the one of `binding`, another, too."""
    host = binding.listen.host
    if host in (_ALL_4, _ALL_6):
        return False
    is_4, is_6 = host.replace(".", "").isdigit(), ":" in host
    # A name counts for both: it stands for some address.
    return not is_6 if wide.listen.host == _ALL_4 else not is_4


def _is_one_of(binding: Binding, both: Binding) -> bool:
    """Whether `both`, localhost, has the address of `binding`, a loopback address, too."""
    return both.listen.host == LOCALHOST and binding.listen.host in LOOPBACKS


def check_bindings(
    report: Report, bindings: Sequence[BindingRead], sites: Sequence[SiteRead]
) -> None:
    """Each address or name bound once; a warning for what no client gets to see."""
    first: dict[object, KeyPath] = {}
    listens = {each.listen for read in sites for each in read.site.bindings if each.tls}
    ports: dict[int, set[str]] = defaultdict(set)
    for read in sites:
        for each in read.site.bindings:
            if each.tls:
                ports[each.listen.port].update(read.site.hostnames)
    for bound in bindings:
        binding = bound.binding
        other = first.setdefault(_bound_to(binding), bound.path)
        if other is not bound.path:
            key = "ipport" if binding.ipport else "hostnameport"
            text = f"{_bound_to(binding)} has a certificate already ({_line(report, other)})"
            report.problem((*bound.path, key), f"{text}; keep one of them")
        elif binding.ipport is None:
            names = ports.get(binding.port, set())
            above = WILDCARD + binding.hostname.partition(".")[2]
            if binding.hostname not in names and above not in names:
                text = f"not served: no site with https:// on port {binding.port} has this name"
                report.warning((*bound.path, "hostnameport"), text)
        elif binding.ipport not in listens and not (
            binding.ipport.host == UNASSIGNED and binding.ipport.port in ports
        ):
            text = "not served: no site has this address as an https:// binding"
            report.warning((*bound.path, "ipport"), text)


def _bound_to(binding: CertificateBinding) -> str:
    if binding.ipport is not None:
        return binding.ipport.netloc
    return f"{binding.hostname}:{binding.port}"


def check_certificates(
    report: Report, configuration: Configuration, sites: Sequence[SiteRead]
) -> None:
    """Every host name has a certificate, or the development CA may issue one."""
    told = tls_settings(configuration, devca.DEFAULT_NAMES)
    missing = {
        name
        for certificate in told["certificates"]
        for name in certificate["names"]
        if not devca.permitted(name.removeprefix(WILDCARD))
    }
    for read in sites:
        if read.site.certificate is None:
            for name in read.site.hostnames:
                if name in missing:
                    report.problem(read.path_of(name), _NO_CERTIFICATE.format(name=name))


def _line(report: Report, path: KeyPath) -> str:
    return f"line {report.line(path)}"
