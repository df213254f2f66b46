"""What a site asks of its clients' certificates: the keys `keys.CLIENT_CERTIFICATES` of a [[site]].

Files are looked at, never read, and rules are not parsed here: the verifier does both, and says
what is wrong in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kssl.config.client_certificates import (
    DEFAULT_DEPTH,
    DEFAULT_TIMEOUT,
    ClientCertificates,
    Failure,
    Headers,
)
from kssl.config.document import flags, keys
from kssl.config.document.context import Context
from kssl.config.document.flags import FlagsRead
from kssl.config.document.section import Section
from kssl.config.errors import ConfigError
from kssl.config.model import Binding

CA, CA_FOLDER = "client CA file", "folder of client CAs"
BETWEEN, BETWEEN_FOLDER = "intermediate CA file", "folder of intermediate CAs"
CRL = "CRL file"
"""What messages call them."""

_NEGOTIATE, _REQUIRE = "SslNegotiateCert", "SslRequireCert"
_CA, _FAILURE, _HEADERS = "client_ca", "client_cert_failure", "client_cert_headers"
_ALLOW, _DENY, _CRLS = "client_cert_allow", "client_cert_deny", "client_crls"
_REVOCATION, _FRESHNESS = "verifyclientcertrevocation", "revocationfreshnesstime"
_CACHED, _TIMEOUT = "verifyrevocationwithcachedclientcertonly", "urlretrievaltimeout"

_RELIED_ON = (_CA, _FAILURE, _ALLOW, _DENY, _CRLS, _REVOCATION)
"""Whoever writes one of these believes that the site does not let everybody in."""

_UNASKED = "the site asks for no client certificate"
_RISK = (
    "clients with a bad certificate, or without one, get to the app as well: it must look at "
    'X-Client-Cert-Verdict, where only "ok" is good'
)


def read_client_certificates(
    section: Section, asked: FlagsRead, bindings: Sequence[Binding], context: Context
) -> ClientCertificates | None:
    """None if the site asks for none, or if it is not clear whom it trusts; the latter, and all
    else that is wrong, has been reported."""
    wanted, trusts = _read(section, asked, context)
    if asked.asking:
        if not asked.refused:
            _check_flags(section, asked, bindings)
        _check_values(section, wanted, context)
        return wanted if trusts else None
    if asked.whole:
        _check_unasked(section)
    return None


def fetches_lists(wanted: ClientCertificates) -> bool:
    """Whether revocation lists may be asked for."""
    return wanted.revocation and not wanted.cached_revocation_only


def _read(section: Section, asked: FlagsRead, context: Context) -> tuple[ClientCertificates, bool]:
    """What the keys say, whether or not anybody is asked; and whether there is a client_ca."""
    ca = _file_or_folder(section, context, _CA, CA, CA_FOLDER)
    revocation = section.flag(_REVOCATION)
    depth, timeout = section.number("client_cert_depth"), section.number(_TIMEOUT)
    usage_check = section.flag("usagecheck")
    allow, deny = _rules(section)
    wanted = ClientCertificates(
        required=_REQUIRE in asked,
        ca=ca or Path(),
        failure=Failure(section.choice(_FAILURE) or Failure.PAGE),
        headers=Headers(section.choice(_HEADERS) or Headers.RFC9440),
        intermediates=_file_or_folder(
            section, context, "client_intermediates", BETWEEN, BETWEEN_FOLDER
        ),
        max_depth=DEFAULT_DEPTH if depth is None else depth,
        usage_check=True if usage_check is None else usage_check,
        revocation=_CRLS in section if revocation is None else revocation,
        crls=_lists(section, context),
        freshness=section.number(_FRESHNESS) or 0,
        cached_revocation_only=section.flag(_CACHED) or False,
        retrieval_timeout=DEFAULT_TIMEOUT if timeout is None else timeout,
        allow=allow,
        deny=deny,
    )
    return wanted, ca is not None


# --- values


def _file_or_folder(
    section: Section, context: Context, key: str, file: str, folder: str
) -> Path | None:
    text = section.text(key)
    if text is None:
        return None
    path = context.folder / text
    try:
        context.files.file_or_folder(path, file, folder)
    except ConfigError as error:
        section.problem(str(error), key)
    return path


def _lists(section: Section, context: Context) -> tuple[Path, ...]:
    """The files of client_crls."""
    if section.raw(_CRLS) == []:
        section.problem("must not be empty; remove the key if there is none", _CRLS)
    paths = []
    for index, name in section.parsed(_CRLS, _not_empty) or ():
        paths.append(context.folder / name)
        try:
            context.files.file(paths[-1], CRL)
        except ConfigError as error:
            section.problem(str(error), _CRLS, index)
    return tuple(paths)


def _rules(section: Section) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Allow, deny."""
    if section.raw(_ALLOW) == []:
        # Nobody, or everybody? That is no question to guess at.
        section.problem(
            "must not be empty: without a rule, all that client_ca vouches for are let in; remove "
            "the key if that is meant",
            _ALLOW,
        )
    allow = [rule for _, rule in section.parsed(_ALLOW, _rule) or ()]
    deny = [rule for _, rule in section.parsed(_DENY, _rule) or ()]
    if len(allow) + len(deny) > keys.MOST_RULES:
        section.problem(
            f"{len(allow) + len(deny)} rules, allow and deny together; at most {keys.MOST_RULES} "
            "are possible",
            _ALLOW if len(allow) > len(deny) else _DENY,
        )
    return tuple(allow), tuple(deny)


def _rule(text: str) -> str:
    if len(text) > keys.LONGEST_RULE:
        raise ConfigError(f"has {len(text)} characters; a rule has {keys.LONGEST_RULE} at most")
    return _not_empty(text)


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ConfigError("must not be empty")
    return text


# --- what goes together


def _check_flags(section: Section, asked: FlagsRead, bindings: Sequence[Binding]) -> None:
    """That there is somebody to trust, and no way round."""

    def at(flag: str) -> tuple[str, int]:
        return flags.KEY, asked.indices[flag]

    first = asked.asking[0]
    if _CA not in section:
        section.problem(
            f'{first}: needs client_ca: whom to trust; write client_ca = "clients.pem"', *at(first)
        )
    plain = [binding for binding in bindings if not binding.tls]
    if plain and len(plain) == len(bindings):
        section.problem(
            f"{first}: needs an https:// binding; over http:// there are no certificates",
            *at(first),
        )
    elif plain and asked.whole and "Ssl" not in asked:
        if _REQUIRE in asked:
            section.problem(
                f"{_REQUIRE}: {plain[0]} is a way round it, as nobody is asked there; add Ssl to "
                "sslFlags, or remove that binding",
                *at(_REQUIRE),
            )
        else:
            # No way round anything: over https, too, who shows no certificate is served.
            section.warning(
                f"{_NEGOTIATE}: {plain[0]} is served without asking anybody; add Ssl to sslFlags "
                "if that is not meant",
                *at(_NEGOTIATE),
            )


def _check_values(section: Section, wanted: ClientCertificates, context: Context) -> None:
    if wanted.failure is Failure.PASS:
        if wanted.headers is Headers.OFF:
            section.problem(
                f'"pass" leaves it to the app, and {_HEADERS} = "off" keeps the verdict from it; '
                "change one of them",
                _FAILURE,
            )
        else:
            section.warning(_RISK, _FAILURE)
    if wanted.revocation:
        if wanted.cached_revocation_only and _CRLS not in section:
            section.problem(
                f"no certificate could ever be good: {_REVOCATION} asks for revocation lists, none "
                f"may be fetched, and there is no {_CRLS}; change one of them",
                _CACHED,
            )
    else:
        if wanted.crls:
            section.warning(f"{_CRLS} has no effect: revoked certificates are taken", _REVOCATION)
        if wanted.freshness:
            section.warning(f"has no effect without {_REVOCATION} = true", _FRESHNESS)
        if wanted.cached_revocation_only:
            section.warning(f"has no effect without {_REVOCATION} = true", _CACHED)
    issuers = context.parameters.disable_ssl_cert_chain_cache_only_url_retrieval
    if _TIMEOUT in section and not issuers and not fetches_lists(wanted):
        section.warning("has no effect: nothing is fetched for this site", _TIMEOUT)


def _check_unasked(section: Section) -> None:
    for key in keys.CLIENT_CERTIFICATES:
        if key.name not in section:
            continue
        if key.name in _RELIED_ON:
            section.problem(
                f"{_UNASKED}: add {_REQUIRE} (or {_NEGOTIATE}) to sslFlags, or remove this",
                key.name,
            )
        else:
            section.warning(f"has no effect: {_UNASKED}", key.name)
