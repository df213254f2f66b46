"""[parameters], the environment and the command line together."""

from __future__ import annotations

import json

import pytest

from kssl.config.parameter import Parameter, Profile, Value
from kssl.config.profiles import OBSOLETE
from kssl.config.table import PARAMETERS
from tests.config.document.support import UPSTREAMS, a_request, problem, problems, read

SITE = f"[[site]]\n{UPSTREAMS}"


def parameters(*lines: str) -> str:
    """A document whose second line is the first of `lines`."""
    return "\n".join(["[parameters]", *lines, SITE])


@pytest.mark.parametrize("row", PARAMETERS, ids=lambda row: row.name)
def test_each_by_its_name_in_any_case(row: Parameter) -> None:
    value = row.words[-1] if row.words else "x" if row.is_text else row.maximum
    room = [] if row.name == "MaxRequestBytes" else ["MaxRequestBytes = 65536"]
    for name in (row.name, row.name.lower(), row.name.upper()):
        configuration = read(parameters(*room, f"{name} = {json.dumps(value)}"))
        assert configuration.parameters.by_name[row.name] == value
        assert configuration.sources[row.name] == "file"


def test_defaults() -> None:
    configuration = read(SITE)
    assert configuration.profile is Profile.NATIVE
    assert configuration.parameters.by_name == {row.name: row.default for row in PARAMETERS}
    assert set(configuration.sources.values()) == {"default"}


def test_precedence() -> None:
    text = parameters("MaxConnections = 2000", "UrlSegmentMaxCount = 1", "EnableKernelSSL = 0")
    environment = {
        "KSSL_SET_MAXCONNECTIONS": "3000",
        "KSSL_SET_UrlSegmentMaxCount": "2",
        "HOME": "/",
    }
    request = a_request(environment=environment, command_line={"MaxConnections": 4000})
    configuration = read(text, request)
    assert configuration.parameters.max_connections == 4000
    assert configuration.parameters.url_segment_max_count == 2
    assert configuration.parameters.enable_kernel_ssl == 0
    sources = configuration.sources
    assert sources["MaxConnections"] == "command line"
    assert sources["UrlSegmentMaxCount"] == "environment"
    assert sources["EnableKernelSSL"] == "file"
    assert sources["MaxFieldLength"] == "default"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("EnableKernelSSL = 2", "2 parameters.EnableKernelSSL: EnableKernelSSL=2: must be 0 or 1"),
        ("EnableKernelSSL = -1", "EnableKernelSSL=-1: must be 0 or 1"),
        ("EnableKernelSSL = true", "EnableKernelSSL=true: write 1"),
        ('MaxFieldLength = "64"', 'MaxFieldLength="64": must be a number without quotes'),
        ("MaxFieldLength = 64.0", "MaxFieldLength: must be 64-65534 bytes, not 64.0"),
        ("MaxFieldLength = [64]", "MaxFieldLength: must be 64-65534 bytes, not a list"),
        ("MaxFieldLength = {a = 1}", "MaxFieldLength: must be 64-65534 bytes, not a table"),
        ("MaxFieldLength = 1979-05-27", "MaxFieldLength: must be 64-65534 bytes, not a date"),
        (f"MaxFieldLength = 0x{'f' * 5000}", "not a number of more than 64 bits"),
        ("ErrorLoggingDir = 1", "ErrorLoggingDir=1: must be a text in quotes"),
        ('ErrorLoggingDir = "a\\nb"', "ErrorLoggingDir=a\\nb: must be a text of at most"),
        ("MaxConnection = 5000", "no parameter 'MaxConnection'; did you mean MaxConnections"),
        (f"{'x' * 500} = 1", "there is no parameter with such a long name"),
        ("MaxConnections = 2000\nmaxconnections = 2000",
         "3 parameters.maxconnections: MaxConnections is there already (line 2, MaxConnections)"),
    ],
)  # fmt: skip
def test_wrong(line: str, said: str) -> None:
    assert said in problem(parameters(line))


def test_of_two_with_one_name_both_mistakes_are_told() -> None:
    found = problems(parameters("MaxConnections = 5", "maxconnections = 2000"))
    assert [each.split(" ")[0] for each in found] == ["2", "3"]


def test_no_table() -> None:
    assert (
        problem(f"parameters = 1\n{SITE}") == "1 parameters: must be a table, [parameters], not 1"
    )


def test_wrong_in_the_environment() -> None:
    environment = {"KSSL_SET_NONE": "1", "kssl_set_MaxConnections": "5", "KSSL_SET_FavorUTF8": "0"}
    first, second = problems(SITE, a_request(environment=environment))
    assert first.startswith(
        "environment : environment variable KSSL_SET_NONE: there is no parameter"
    )
    assert second.startswith("environment : environment variable kssl_set_MaxConnections: MaxC")


def test_the_file_comes_first() -> None:
    environment = {"KSSL_SET_NONE": "1"}
    found = problems(parameters("x = 1"), a_request(environment=environment))
    assert [each.split(" ")[0] for each in found] == ["2", "environment"]


def test_wrong_on_the_command_line() -> None:
    found = problem(SITE, a_request(command_line={"EnableKernelSSL": 7}))
    assert found == "command line : EnableKernelSSL=7: must be 0 or 1"


def test_profile_of_the_file_and_of_the_command_line() -> None:
    text = f'profile = "ws2003sp1"\n{SITE}'
    assert read(text).parameters.enable_kernel_ssl == 0
    configuration = read(text, a_request(profile=Profile.WS2008))
    assert configuration.profile is Profile.WS2008
    assert configuration.parameters.enable_kernel_ssl == 1
    assert configuration.parameters.enable_ssl_close_notify == 0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"win95"', '1 profile: "win95": the profiles are native, ws2008, ws2003sp1'),
        ("1", "1 profile: must be a text in quotes, not 1"),
    ],
)
def test_no_such_profile(value: str, said: str) -> None:
    text = f"profile = {value}\n{SITE}"
    assert problem(text) == said
    assert problem(text, a_request(profile=Profile.WS2008)) == said


def test_kernel_mode_is_obsolete_in_ws2008() -> None:
    line = "EnableKernelSSL = 0"
    where = "/etc/kssl/kssl.toml:2: parameters.EnableKernelSSL"
    configuration = read(parameters(line), a_request(profile=Profile.WS2008))
    assert configuration.parameters.enable_kernel_ssl == 1
    assert configuration.sources["EnableKernelSSL"] == "default"
    assert configuration.warnings == (f"{where}: {OBSOLETE}",)
    environment = {"KSSL_SET_ENABLEKERNELSSL": "0"}
    configuration = read(SITE, a_request(profile=Profile.WS2008, environment=environment))
    assert configuration.warnings == (f"environment: {OBSOLETE}",)
    command_line = {"EnableKernelSSL": 0}
    configuration = read(SITE, a_request(profile=Profile.WS2008, command_line=command_line))
    assert configuration.parameters.enable_kernel_ssl == 1
    assert configuration.warnings == (f"command line: {OBSOLETE}",)
    assert read(SITE, a_request(command_line=command_line)).warnings == ()


def test_retrieval_without_client_certificates() -> None:
    name = "DisableSslCertChainCacheOnlyUrlRetrieval"
    said = f"{name}=1 has no effect: no site asks for a client certificate"
    assert read(parameters(f"{name} = 1")).warnings == (
        f"/etc/kssl/kssl.toml:2: parameters.{name}: {said}",
    )
    assert read(SITE, a_request(command_line={name: 1})).warnings == (f"command line: {said}",)
    assert read(parameters(f"{name} = 0")).warnings == ()


def test_what_is_allowed_to_be_fetched_where_nothing_is() -> None:
    name = "UrlRetrievalAllowed"
    said = f"{name} has no effect: no site asks for a client certificate"
    assert read(parameters(f'{name} = "10.0.0.0/8"')).warnings == (
        f"/etc/kssl/kssl.toml:2: parameters.{name}: {said}",
    )
    request = a_request(environment={f"KSSL_SET_{name}": "pki.example"})
    assert read(SITE, request).warnings == (f"environment: {said}",)
    assert read(parameters(f'{name} = ""')).warnings == ()


ASKING = f'{SITE}sslFlags = ["SslRequireCert"]\nclient_ca = "ca.pem"\n'
LISTS = "verifyclientcertrevocation = true\n"


@pytest.mark.parametrize(
    ("values", "site", "warned"),
    [
        ({"DisableSslCertChainCacheOnlyUrlRetrieval": 1}, ASKING, 0),
        ({"UrlRetrievalAllowed": "x"}, ASKING, 1),
        ({"UrlRetrievalAllowed": "x"}, ASKING + LISTS, 0),
        ({"UrlRetrievalAllowed": "x", "DisableSslCertChainCacheOnlyUrlRetrieval": 1}, ASKING, 0),
        ({"UrlRetrievalAllowed": "x", "DisableSslCertChainCacheOnlyUrlRetrieval": 1}, SITE, 2),
        ({"UrlRetrievalAllowed": "x"},
         f'{ASKING}{LISTS}client_crls = ["a.crl"]\nverifyrevocationwithcachedclientcertonly = true',
         1),
    ],
)  # fmt: skip
def test_retrieval_for_client_certificates(
    values: dict[str, Value], site: str, warned: int
) -> None:
    """A warning where nothing could be fetched, and only there."""
    warnings = read(site, a_request(command_line=values)).warnings
    assert len(warnings) == warned
    assert all("has no effect" in each for each in warnings)
