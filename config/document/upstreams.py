"""How a site's https:// upstreams are verified: the keys ``upstream_…`` of a [[site]].

Files are looked at, never read: the crypto worker reads them, and says so if they hold nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kssl.config.document import keys
from kssl.config.document.addresses import parse_upstream_name
from kssl.config.document.certificates import look_at, read_files
from kssl.config.document.context import Context
from kssl.config.document.section import Section
from kssl.config.errors import ConfigError
from kssl.config.target import Target

CA = "CA file"
"""What messages call it."""

_PREFIX = "upstream_"
_TRUNCATION = "upstream_truncation"
_ABORT, _PASS = keys.TRUNCATION

_RISK = (
    "an answer that only the end of the connection ends is passed on as complete though it came "
    "without close_notify: whoever is between kssl and the app can cut answers short unnoticed; "
    f'"{_ABORT}" does not let them'
)


@dataclass(frozen=True, slots=True)
class UpstreamsRead:
    """`targets`, those with https:// with all that the site says of them. `pass_truncated`: see
    `kssl.config.model.Site`."""

    targets: tuple[Target, ...]
    pass_truncated: bool


def read_upstreams(section: Section, targets: Sequence[Target], context: Context) -> UpstreamsRead:
    """`targets` are what ``upstreams`` of the site names. What is wrong has been reported."""
    ca = _ca(section, context)
    own = read_files(section, context, _PREFIX)
    name = _name(section)
    pass_truncated = section.choice(_TRUNCATION) == _PASS
    if any(target.tls is not None for target in targets):
        if pass_truncated:
            section.warning(_RISK, _TRUNCATION)
    else:
        for key in keys.SITE:
            if key.name.startswith(_PREFIX) and key.name in section:
                section.warning("has no effect: the site has no https:// upstream", key.name)
    return UpstreamsRead(
        tuple(
            with_tls(
                target,
                name=name,
                ca=ca,
                certificate=own.certificate if own is not None else None,
                key=own.key if own is not None else None,
            )
            for target in targets
        ),
        pass_truncated,
    )


def with_tls(
    target: Target,
    *,
    name: str | None = None,
    ca: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> Target:
    """`target`, verified in this way if it is https://; `name` None: by the host of its URL."""
    if target.tls is None:
        return target
    tls = dataclasses.replace(
        target.tls, name=name or target.tls.name, ca=ca, certificate=certificate, key=key
    )
    return dataclasses.replace(target, tls=tls)


def _ca(section: Section, context: Context) -> Path | None:
    text = section.text("upstream_ca")
    if text is None:
        return None
    path = context.folder / text
    look_at(section, context, "upstream_ca", path, CA)
    return path


def _name(section: Section) -> str | None:
    text = section.text("upstream_name")
    if text is None:
        return None
    try:
        return parse_upstream_name(text)
    except ConfigError as error:
        section.problem(str(error), "upstream_name")
        return None
