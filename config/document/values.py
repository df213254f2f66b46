"""The parameters: of the file, the environment and the command line, together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kssl.config import sources
from kssl.config.document.client_certificates import fetches_lists
from kssl.config.document.positions import KeyPath
from kssl.config.document.report import COMMAND_LINE, ENVIRONMENT, Report, shown
from kssl.config.errors import ConfigError
from kssl.config.model import CERTIFICATE_FLAGS, Site
from kssl.config.parameter import Parameter, Profile, Value
from kssl.config.parameters import Parameters, find_parameter
from kssl.config.profiles import OBSOLETE, RULES

SECTION = "parameters"
_KERNEL = "EnableKernelSSL"
_ALLOWED = "UrlRetrievalAllowed"
_RETRIEVAL = "DisableSslCertChainCacheOnlyUrlRetrieval"
# Characters; the longest name of the table has 40.
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Resolved:
    """The values in force, and by registry name: where each comes from, and where those of the
    file stand in it."""

    parameters: Parameters
    sources: dict[str, str]
    paths: dict[str, KeyPath]


def read_parameters(
    report: Report,
    table: object,
    profile: Profile,
    environment: Mapping[str, str],
    command_line: Mapping[str, Value],
) -> Resolved:
    """`table` is what the document has below ``parameters``, None if nothing.

    Where a profile ignores a value, the source is that of a default.
    """
    paths: dict[str, KeyPath] = {}
    file = _of_file(report, table, paths)
    layers = {"environment": _of_environment(report, environment), "command_line": command_line}
    try:
        parameters, origins = sources.resolve(profile, file=file, **layers)
    except ConfigError as error:  # file and environment are checked already
        report.problem_elsewhere(COMMAND_LINE, str(error))
        parameters, origins = sources.resolve(profile, file={}, environment={}, command_line={})
    if RULES[profile].always_kernel_mode and not parameters.enable_kernel_ssl:
        _warn(report, _KERNEL, origins, paths, OBSOLETE)
        parameters = dataclasses.replace(parameters, enable_kernel_ssl=1)
        origins[_KERNEL] = sources.DEFAULT
    return Resolved(parameters, origins, paths)


def check_retrieval(report: Report, resolved: Resolved, sites: Sequence[Site]) -> None:
    """Warns of parameters about what is fetched, where nothing ever is."""
    parameters = resolved.parameters
    asking = [site for site in sites if site.ssl_flags & CERTIFICATE_FLAGS]
    retrieve_issuers = bool(parameters.disable_ssl_cert_chain_cache_only_url_retrieval)
    if not asking:
        idle = "has no effect: no site asks for a client certificate"
        if retrieve_issuers:
            _warn(report, _RETRIEVAL, resolved.sources, resolved.paths, f"{_RETRIEVAL}=1 {idle}")
    elif retrieve_issuers or any(_fetches_lists(site) for site in asking):
        return
    else:
        idle = (
            f"has no effect: nothing is fetched, as {_RETRIEVAL} is 0 and no site lets revocation "
            "lists be fetched"
        )
    if parameters.url_retrieval_allowed.strip():
        _warn(report, _ALLOWED, resolved.sources, resolved.paths, f"{_ALLOWED} {idle}")


def _fetches_lists(site: Site) -> bool:
    # Without `client_certificates` there is a problem, and nobody knows what was meant.
    wanted = site.client_certificates
    return wanted is None or fetches_lists(wanted)


def _of_file(report: Report, table: object, paths: dict[str, KeyPath]) -> dict[str, Value]:
    """Registry name → value; `paths` gets where each stands."""
    if table is None:
        return {}
    if not isinstance(table, dict):
        report.problem((SECTION,), f"must be a table, [{SECTION}], not {shown(table)}")
        return {}
    values: dict[str, Value] = {}
    for key, value in table.items():
        path = (SECTION, key)
        try:
            row = _row(key)
            if row.name in paths:
                first = f"line {report.line(paths[row.name])}, {paths[row.name][-1]}"
                raise ConfigError(f"{row.name} is there already ({first}); keep one of them")
            paths[row.name] = path
            values[row.name] = _value(row, value)
        except ConfigError as error:
            report.problem(path, str(error))
    return values


def _row(key: str) -> Parameter:
    if len(key) > _LONGEST_NAME:
        raise ConfigError("there is no parameter with such a long name")
    return find_parameter(key)


def _value(row: Parameter, value: object) -> Value:
    # The row itself need not know of tables, dates and numbers that Python cannot even print.
    if not isinstance(value, int | str) or (isinstance(value, int) and value.bit_length() > 64):
        raise ConfigError(f"{row.name}: must be {row.range_text}, not {shown(value)}")
    return row.check(value)


def _of_environment(report: Report, environment: Mapping[str, str]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for variable, text in environment.items():
        try:
            values |= sources.from_environment({variable: text})
        except ConfigError as error:
            report.problem_elsewhere(ENVIRONMENT, str(error))
    return values


def _warn(
    report: Report, name: str, origins: Mapping[str, str], paths: Mapping[str, KeyPath], text: str
) -> None:
    if origins[name] == sources.FILE:
        report.warning(paths[name], text)
    else:
        report.warning_elsewhere(origins[name], text)
