"""What each Windows supported, beside what kssl does and what is configured.

Each row names the documents that it follows; `docs/windows.md` has the story.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kssl.config.model import CERTIFICATE_FLAGS, Configuration
from kssl.config.parameter import Profile


@dataclass(frozen=True, slots=True)
class _Support:
    """One row: what the sources say about a feature, and what kssl does of it in each profile.

    `sources` are titles; `windows` and `kssl` are in words, by profile. The profile native has no
    Windows of its own.
    """

    feature: str
    sources: tuple[str, ...]
    windows: dict[Profile, str]
    kssl: dict[Profile, str]
    here: Callable[[Configuration], str]


def _value(name: str) -> Callable[[Configuration], str]:
    """``EnableKernelSSL=1 (default)``"""

    def here(configuration: Configuration) -> str:
        value = configuration.parameters.by_name[name]
        return f"{name}={value} ({configuration.sources.get(name, 'default')})"

    return here


def _client_certificates(configuration: Configuration) -> str:
    if configuration.parameters.reject_client_certificates:
        return "refused (RejectClientCertificates=1)"
    asking = [site.name for site in configuration.sites if site.ssl_flags & CERTIFICATE_FLAGS]
    return f"asked for by {', '.join(asking)}" if asking else "no site asks for them"


def _certificates(configuration: Configuration) -> str:
    own = {site.certificate for site in configuration.sites if site.certificate is not None}
    bound = {binding.files for binding in configuration.certificate_bindings}
    count = len(own | bound)
    return f"{count} certificate{'' if count == 1 else 's'} configured"


def _never(configuration: Configuration) -> str:
    return "never offered"


_2003, _2008, _NATIVE = Profile.WS2003SP1, Profile.WS2008, Profile.NATIVE
# The titles of the sources: a page of Microsoft's HTTP Server API, and two blog posts.
_API = "Kernel Mode SSL"
_ENABLING = "Enabling Kernel Mode SSL in Windows 2003 Server SP1"
_FLOW = "Differences in SSL request/response flow on IIS6 vs IIS7"

_REFUSED = "refused, with a log reason of its own: not secure today"

_SUPPORT: tuple[_Support, ...] = (
    _Support(
        "kernel mode SSL", (_API, _ENABLING, _FLOW),
        {_2003: "an option (EnableKernelSSL=1), off by default", _2008: "always"},
        {_2003: "an option, off by default", _2008: "always; EnableKernelSSL=0 is ignored",
         _NATIVE: "on by default; EnableKernelSSL=0 turns it off"},
        _value("EnableKernelSSL"),
    ),
    _Support(
        "client certificates in kernel mode", (_API, _ENABLING),
        {_2003: "not supported", _2008: "supported"},
        {_2003: "a site that asks for them is refused; in user mode it is served",
         _2008: "supported, in the first handshake", _NATIVE: "supported, in the first handshake"},
        _client_certificates,
    ),
    _Support(
        "RC2 ciphers", (_API, _ENABLING),
        {_2003: "not in kernel mode", _2008: "supported"},
        dict.fromkeys(Profile, _REFUSED),
        _never,
    ),
    _Support(
        "PCT 1.0", (_API, _ENABLING),
        {_2003: "not in kernel mode", _2008: "supported"},
        dict.fromkeys(Profile, _REFUSED),
        _never,
    ),
    _Support(
        "changed server certificates", (_API,),
        {_2003: "need a restart in kernel mode", _2008: "no restart is asked for"},
        {_2003: "need a restart", _2008: "served after SIGHUP or `kssl cert commit`",
         _NATIVE: "served after SIGHUP or `kssl cert commit`"},
        _certificates,
    ),
    _Support(
        "bulk encryption and offload", (_API,),
        {_2003: "not in kernel mode", _2008: "supported"},
        {_2003: "one record at a time", _2008: "records in batches", _NATIVE: "records in batches"},
        _value("MaxBytesPerSend"),
    ),
    _Support(
        "close_notify (EnableSslCloseNotify)", (_API,),
        {_2003: "not mentioned", _2008: "an option, off by default"},
        {_2003: "an option, off by default", _2008: "an option, off by default",
         _NATIVE: "on by default"},
        _value("EnableSslCloseNotify"),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """`here`: what the configuration makes of it; "" if there is none."""

    feature: str
    sources: tuple[str, ...]
    windows: str
    kssl: str
    here: str


def rows(profile: Profile, configuration: Configuration | None) -> list[Row]:
    """Return the support table of `profile`, in the order of Microsoft's page "Kernel Mode SSL"."""
    return [
        Row(
            each.feature,
            each.sources,
            each.windows.get(profile, "-"),
            each.kssl[profile],
            "" if configuration is None else each.here(configuration),
        )
        for each in _SUPPORT
    ]
