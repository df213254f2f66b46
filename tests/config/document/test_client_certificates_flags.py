"""[[site]]: the flags that ask for client certificates, with and without what they need."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kssl.config.client_certificates import Failure
from kssl.config.parameter import Profile, Value
from kssl.config.profiles import NO_CLIENT_CERTIFICATES, REJECTED
from tests.config.document.support import a_request, problem, problems, read
from tests.config.document.test_client_certificates import (
    ASKING,
    NEGOTIATE,
    RELIED_ON,
    SITE,
    VALUES,
    wanted,
    warnings,
)

# -- flags and bindings ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "where"),
    [
        ('"SslNegotiateCert"', "sslFlags[1]: SslNegotiateCert"),
        ('"Ssl", "SslRequireCert"', "sslFlags[2]: SslRequireCert"),
        ('"Ssl", "SslNegotiateCert", "SslRequireCert"', "sslFlags[2]: SslNegotiateCert"),
    ],
)
def test_somebody_must_be_trusted(flags: str, where: str) -> None:
    assert problem(f"{SITE}sslFlags = [{flags}]") == (
        f'3 site[1].{where}: needs client_ca: whom to trust; write client_ca = "clients.pem"'
    )


@pytest.mark.parametrize("flags", ["", "sslFlags = []\n", 'sslFlags = ["Ssl", "Ssl128"]\n'])
@pytest.mark.parametrize("key", VALUES)
def test_without_a_flag(key: str, flags: str) -> None:
    """A site must not be open that looks as if it were not."""
    text = f"{SITE}{flags}{key} = {VALUES[key][0]}"
    line = 4 if flags else 3
    if key in RELIED_ON:
        assert problem(text) == (
            f"{line} site[1].{key}: the site asks for no client certificate: add SslRequireCert "
            "(or SslNegotiateCert) to sslFlags, or remove this"
        )
    else:
        (warning,) = warnings(text)
        assert warning == (
            f"{line} site[1].{key}: has no effect: the site asks for no client certificate"
        )


def test_a_misspelt_flag_is_all_that_is_told() -> None:
    text = SITE + 'client_ca = "ca.pem"\nbindings = ["http://1.1.1.1:80", "1.1.1.1:443"]\n'
    assert problem(f'{text}sslFlags = ["SslRequireCrt"]').startswith("5 site[1].sslFlags[1]: ")
    assert problem(f'{text}sslFlags = ["S", "SslRequireCert"]').startswith("5 site[1].sslFlags[1]")
    assert problem(f"{text}sslFlags = 1").startswith("5 site[1].sslFlags: must be a list")
    assert problem(f"{text}sslFlags = [1]").startswith("5 site[1].sslFlags[1]: must be a text")


PLAIN, BOTH = 'bindings = ["http://1.1.1.1:80"]', 'bindings = ["1.1.1.1:443", "http://1.1.1.1:80"]'


@pytest.mark.parametrize("flag", ["SslNegotiateCert", "SslRequireCert"])
@pytest.mark.parametrize("more", ["", ', "Ssl"'])
def test_without_an_https_binding(flag: str, more: str) -> None:
    text = f'{SITE}sslFlags = ["{flag}"{more}]\nclient_ca = "ca.pem"\n{PLAIN}'
    assert problem(text) == (
        f"3 site[1].sslFlags[1]: {flag}: needs an https:// binding; over http:// there are no "
        "certificates"
    )


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("failure", Failure)
@pytest.mark.parametrize("flags", ['"SslRequireCert"', '"SslNegotiateCert", "SslRequireCert"'])
def test_plain_http_is_a_way_round_what_is_required(
    flags: str, failure: Failure, profile: Profile
) -> None:
    request = a_request(profile=profile)
    lines = f'client_ca = "ca.pem"\nclient_cert_failure = "{failure}"\n{BOTH}'
    found = problem(f"{SITE}sslFlags = [{flags}]\n{lines}", request)
    assert found == (
        f"3 site[1].sslFlags[{flags.count(',') + 1}]: SslRequireCert: http://1.1.1.1:80 is a way "
        "round it, as nobody is asked there; add Ssl to sslFlags, or remove that binding"
    )
    assert wanted(f'{SITE}sslFlags = [{flags}, "Ssl"]\n{lines}', request) is not None


@pytest.mark.parametrize("failure", [Failure.PAGE, Failure.ALERT])
def test_plain_http_beside_what_is_only_asked_for(failure: Failure) -> None:
    lines = f'client_ca = "ca.pem"\nclient_cert_failure = "{failure}"\n{BOTH}'
    assert warnings(f'{SITE}sslFlags = ["SslNegotiateCert"]\n{lines}') == [
        "3 site[1].sslFlags[1]: SslNegotiateCert: http://1.1.1.1:80 is served without asking "
        "anybody; add Ssl to sslFlags if that is not meant"
    ]
    assert warnings(NEGOTIATE + lines) == []


# -- where no site may ask ---------------------------------------------------------------------


@pytest.mark.parametrize("ca", ["", 'client_ca = "ca.pem"\n'])
@pytest.mark.parametrize(
    ("profile", "values", "said"),
    [
        (Profile.NATIVE, {"RejectClientCertificates": 1}, REJECTED),
        (Profile.WS2008, {"RejectClientCertificates": 1}, REJECTED),
        (Profile.WS2003SP1, {"RejectClientCertificates": 1}, REJECTED),
        (Profile.WS2003SP1, {"EnableKernelSSL": 1}, NO_CLIENT_CERTIFICATES),
        (Profile.WS2003SP1, {"EnableKernelSSL": 1, "RejectClientCertificates": 1},
         NO_CLIENT_CERTIFICATES),
    ],
)  # fmt: skip
def test_no_site_may_ask(profile: Profile, values: Mapping[str, Value], said: str, ca: str) -> None:
    """The flag is told, not what else it would need."""
    request = a_request(profile=profile, command_line=values)
    text = f'{SITE}sslFlags = ["SslRequireCert", "Ssl", "SslNegotiateCert"]\n{ca}'
    assert problems(text, request) == [
        f"3 site[1].sslFlags[1]: SslRequireCert: {said}",
        f"3 site[1].sslFlags[3]: SslNegotiateCert: {said}",
    ]
    assert read(SITE, request).warnings == ()


@pytest.mark.parametrize(
    ("profile", "values"),
    [
        (Profile.NATIVE, {"EnableKernelSSL": 1}),
        (Profile.NATIVE, {"EnableKernelSSL": 0}),
        (Profile.WS2008, {}),
        (Profile.WS2003SP1, {}),
        (Profile.WS2003SP1, {"EnableKernelSSL": 0}),
    ],
)
def test_elsewhere_sites_may(profile: Profile, values: Mapping[str, Value]) -> None:
    assert wanted(ASKING, a_request(profile=profile, command_line=values)) is not None
