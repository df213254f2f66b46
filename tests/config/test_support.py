"""kssl.config.support: what the table says of client certificates, and what it follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from kssl.config.document.read import Request
from kssl.config.parameter import Profile
from kssl.config.support import rows
from tests.config.document.support import UPSTREAMS, a_request, read

WINDOWS = Path(__file__).parents[2] / "docs" / "windows.md"
SITE = f'[[site]]\nname = "app"\n{UPSTREAMS}'
ASKING = f'{SITE}sslFlags = ["Ssl", "SslNegotiateCert"]\nclient_ca = "ca.pem"\n'


def row(text: str, request: Request) -> tuple[str, str]:
    """What kssl does, and what the configuration makes of it."""
    configuration = read(text, request)
    (found,) = (
        each
        for each in rows(configuration.profile, configuration)
        if each.feature == "client certificates in kernel mode"
    )
    return found.kssl, found.here


@pytest.mark.parametrize("profile", Profile)
def test_client_certificates(profile: Profile) -> None:
    """The table is true: a site that is said to be served can be read."""
    request = a_request(profile=profile)
    kssl, here = row(ASKING, request)
    assert here == "asked for by app"
    if profile is Profile.WS2003SP1:
        assert kssl == "a site that asks for them is refused; in user mode it is served"
    else:
        assert kssl.startswith("supported")
    assert row(SITE, request) == (kssl, "no site asks for them")
    request = a_request(profile=profile, command_line={"RejectClientCertificates": 1})
    assert row(SITE, request) == (kssl, "refused (RejectClientCertificates=1)")


def test_a_reader_finds_the_sources() -> None:
    story = WINDOWS.read_text()
    named = {title for row in rows(Profile.NATIVE, None) for title in row.sources}
    assert named
    assert {title for title in named if f'"{title}' not in story} == set()
