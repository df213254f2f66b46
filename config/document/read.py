"""Reading the configuration: kssl.toml, the environment and the command line together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kssl.config.client_certificates import ClientCertificates
from kssl.config.document import keys
from kssl.config.document.addresses import canonical
from kssl.config.document.certificates import CERTIFICATE, KEY, BindingRead, read_binding
from kssl.config.document.checks import check_bindings, check_certificates, check_sites
from kssl.config.document.client_certificates import CA as CLIENT_CA
from kssl.config.document.client_certificates import CA_FOLDER as CLIENT_CA_FOLDER
from kssl.config.document.context import Context, Files, TrustedFiles
from kssl.config.document.positions import positions
from kssl.config.document.report import COMMAND_LINE, Report, shown
from kssl.config.document.section import Section
from kssl.config.document.sites import SiteRead, read_names, read_site, target_site
from kssl.config.document.toml import parse_toml, read_utf8
from kssl.config.document.upstreams import CA, with_tls
from kssl.config.document.values import SECTION, Resolved, check_retrieval, read_parameters
from kssl.config.errors import ConfigError
from kssl.config.model import OFF, STDERR, STDOUT, CertificateFiles, Configuration, Logs, Site
from kssl.config.parameter import Profile, Value
from kssl.config.target import LOOPBACK, Listen, Target

DEFAULT_LISTEN = Listen(LOOPBACK, 8443)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line says. `profile` and the rest win over the file.

    `environment` is the whole of it; only ``KSSL_SET_…`` is looked at. `command_line` is what
    `kssl.config.parameters.parse_assignments` has made of ``--set``. `listen` is for sites without
    bindings of their own; `listen_given`: it was typed. `certificate`, `key`, `upstream_ca` and
    `client_ca`, which requires a client certificate, go with `target`. `running`: a service runs
    that is to reload; it opens its log files itself, and goes on in the old ones if it has to.
    """

    state_dir: Path
    path: Path | None = None
    profile: Profile | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    command_line: Mapping[str, Value] = field(default_factory=dict)
    target: Target | None = None
    listen: Listen = DEFAULT_LISTEN
    listen_given: bool = False
    certificate: Path | None = None
    key: Path | None = None
    upstream_ca: Path | None = None
    client_ca: Path | None = None
    running: bool = False


def read_configuration(request: Request) -> Configuration:
    """Everything that `request` leads to, checked.

    Raises:
        ProblemsError: with all that is wrong.
        ConfigError: the file cannot be read, or others may change it.
    """
    if request.path is None:
        return read_text("", request, TrustedFiles())
    return read_text(read_utf8(request.path), request, TrustedFiles())


def read_text(text: str, request: Request, files: Files) -> Configuration:
    """As `read_configuration`, for the content `text` of `request.path`; looks at other files
    through `files` only."""
    file = COMMAND_LINE if request.path is None else str(request.path)
    document = parse_toml(text, file)
    report = Report(file, positions(text))
    root = Section(report, (), document, keys.ROOT)
    of_file = _profile(root)  # a mistake in it is told even where it does not count
    profile = request.profile or of_file
    resolved = read_parameters(
        report, root.raw(SECTION), profile, request.environment, request.command_line
    )
    context = Context(
        folder=Path() if request.path is None else request.path.absolute().parent,
        state_dir=request.state_dir,
        files=files,
        listen=canonical(request.listen),
        profile=profile,
        parameters=resolved.parameters,
    )
    sections = root.tables("site", keys.SITE)
    sites = [
        read_site(section, number, name, context)
        for number, (section, name) in enumerate(
            zip(sections, read_names(sections), strict=True), 1
        )
    ]
    bindings = [
        found
        for section in root.tables("binding", keys.BINDING)
        if (found := read_binding(section, context)) is not None
    ]
    logs = _logs(root, context, check=not request.running)
    has_sites = root.raw("site") not in (None, [])
    if has_sites or request.target is None:
        _check_command_line(report, request, has_sites=has_sites)
    else:
        sites = [_single(report, request, request.target, context)]
    return _checked(report, request, profile, resolved, sites, bindings, logs)


def _checked(
    report: Report,
    request: Request,
    profile: Profile,
    resolved: Resolved,
    sites: list[SiteRead],
    bindings: list[BindingRead],
    logs: Logs,
) -> Configuration:
    check_sites(report, sites)
    check_bindings(report, bindings, sites)
    check_retrieval(report, resolved, [read.site for read in sites])
    _check_listen(report, request, [read.site for read in sites])
    configuration = Configuration(
        profile=profile,
        parameters=resolved.parameters,
        sources=resolved.sources,
        sites=tuple(read.site for read in sites),
        certificate_bindings=tuple(read.binding for read in bindings),
        logs=logs,
        path=None if request.path is None else request.path.absolute(),
        warnings=report.warnings,
    )
    # A binding that could not be read may be the one with the certificate.
    if not report.has_problem_below("binding"):
        check_certificates(report, configuration, sites)
    report.check()
    return configuration


def _profile(root: Section) -> Profile:
    text = root.text("profile")
    if text is None:
        return Profile.NATIVE
    try:
        return Profile(text)
    except ValueError:
        root.problem(f"{shown(text)}: the profiles are {', '.join(Profile)}", "profile")
        return Profile.NATIVE


_NOWHERE = ("none", OFF)


def _logs(root: Section, context: Context, *, check: bool) -> Logs:
    section = root.table("logs", keys.LOGS)
    access = section.text("access") if section is not None else None
    if section is None or access is None:
        return Logs()
    if access in (STDERR, STDOUT):
        return Logs(access)
    if access in _NOWHERE:
        return Logs(OFF)
    path = context.folder / access
    if not check:
        return Logs(path)
    try:
        context.files.folder(path.parent, "folder of the access log")
        if os.path.isfile(path):  # Path.is_file raises where it may not look
            context.files.file(path, "access log")
    except ConfigError as error:
        section.problem(str(error), "access")
    return Logs(path)


def _check_command_line(report: Report, request: Request, *, has_sites: bool) -> None:
    """What does not go together with sites of the file, or without any."""
    if request.target is not None:
        report.problem_elsewhere(
            COMMAND_LINE,
            f"TARGET {request.target} and the sites of {request.path}: drop TARGET, or the "
            "[[site]] tables",
        )
    elif not has_sites:
        where = "a file with [[site]] (--config)" if request.path is None else "[[site]] tables"
        report.problem_elsewhere(
            COMMAND_LINE, f"nothing to serve: name a TARGET, such as 8000, or add {where}"
        )
    for option, value, key in (
        ("--cert", request.certificate, "certificate"),
        ("--key", request.key, "key"),
        ("--upstream-ca", request.upstream_ca, "upstream_ca"),
        ("--client-ca", request.client_ca, "client_ca"),
    ):
        if value is not None and has_sites:
            report.problem_elsewhere(
                COMMAND_LINE,
                f"{option} goes with TARGET only; name the file in its [[site]] of {request.path}, "
                f"as {key}",
            )


def _single(report: Report, request: Request, target: Target, context: Context) -> SiteRead:
    """The site of TARGET, with --cert, --key, --upstream-ca and --client-ca."""
    target = _verified(report, request, target, context)
    clients = _clients(report, request, context)
    if request.certificate is None:
        if request.key is not None:
            report.problem_elsewhere(
                COMMAND_LINE, "--key without --cert; give both, or neither for a development one"
            )
        return SiteRead(target_site(target, context, clients=clients), ())
    for what, path in ((CERTIFICATE, request.certificate), (KEY, request.key)):
        if path is not None:
            _look_at(report, context, path, what)
    certificate = CertificateFiles(request.certificate, request.key)
    return SiteRead(target_site(target, context, certificate, clients), ())


def _clients(report: Report, request: Request, context: Context) -> ClientCertificates | None:
    """Those of --client-ca: required."""
    if request.client_ca is None:
        return None
    if context.no_client_certificates:
        report.problem_elsewhere(COMMAND_LINE, f"--client-ca: {context.no_client_certificates}")
    try:
        context.files.file_or_folder(request.client_ca, CLIENT_CA, CLIENT_CA_FOLDER)
    except ConfigError as error:
        report.problem_elsewhere(COMMAND_LINE, str(error))
    return ClientCertificates(required=True, ca=request.client_ca)


def _verified(report: Report, request: Request, target: Target, context: Context) -> Target:
    """`target` with the CA of --upstream-ca."""
    if request.upstream_ca is None:
        return target
    if target.tls is None:
        report.problem_elsewhere(COMMAND_LINE, unused_ca(target))
    _look_at(report, context, request.upstream_ca, CA)
    return with_tls(target, ca=request.upstream_ca)


def unused_ca(target: Target) -> str:
    """What to say of --upstream-ca beside a TARGET without TLS."""
    return (
        f"--upstream-ca is for a TARGET with https://, not for {target}; drop it, or write "
        "https://HOST[:PORT]"
    )


def _look_at(report: Report, context: Context, path: Path, what: str) -> None:
    try:
        context.files.file(path, what)
    except ConfigError as error:
        report.problem_elsewhere(COMMAND_LINE, str(error))


def _check_listen(report: Report, request: Request, sites: list[Site]) -> None:
    listen = canonical(request.listen)
    own = [site for site in sites if all(each.listen != listen for each in site.bindings)]
    if request.listen_given and own and request.target is None:
        names = ", ".join(repr(site.name) for site in own[:3]) + (", …" if len(own) > 3 else "")
        report.warning_elsewhere(
            COMMAND_LINE,
            f"--listen {request.listen} is for sites without bindings only; "
            f"with their own: {names}",
        )
