"""kssl.config.parameters: the table, its bounds, and assignments."""

from __future__ import annotations

import dataclasses

import pytest

from kssl.config.errors import ConfigError
from kssl.config.parameter import Parameter, Profile, Value
from kssl.config.parameters import Parameters, find_parameter, parse_assignments
from kssl.config.table import PARAMETERS

each_row = pytest.mark.parametrize("row", PARAMETERS, ids=lambda row: row.name)

numbers = pytest.mark.parametrize(
    "row", [row for row in PARAMETERS if not row.is_text], ids=lambda row: row.name
)


def assigned(*assignments: str) -> Parameters:
    return Parameters.of(parse_assignments(assignments))


# The contract with users and with Windows: default, minimum, maximum.
EXPECTED: dict[str, tuple[Value, int, int]] = {
    "EnableKernelSSL": (1, 0, 1),
    "UserModeHops": (1, 1, 2),
    "EnableSslCloseNotify": (1, 0, 1),
    "DisableSslCertChainCacheOnlyUrlRetrieval": (0, 0, 1),
    "TlsPreset": ("", 0, 16),
    "UrlRetrievalAllowed": ("", 0, 2048),
    "RejectClientCertificates": (0, 0, 1),
    "MaxFieldLength": (16384, 64, 65534),
    "MaxRequestBytes": (32768, 256, 16777216),
    "MaxResponseHeadBytes": (65536, 4096, 16777216),
    "UrlSegmentMaxLength": (0, 0, 32766),
    "UrlSegmentMaxCount": (0, 0, 16383),
    "AllowRestrictedChars": (0, 0, 1),
    "PercentUAllowed": (1, 0, 1),
    "EnableNonUTF8": (1, 0, 1),
    "FavorUTF8": (1, 0, 1),
    "MaxConnections": (0, 1024, 2031616),
    "MaxConnectionMemory": (0, 16, 1048576),
    "MaxBytesPerSend": (131072, 1, 0xFFFFF),
    "DisableServerHeader": (0, 0, 2),
    "IdleConnectionTimeout": (120, 1, 65535),
    "HeaderWaitTimeout": (30, 1, 65535),
    "EntityBodyTimeout": (120, 1, 65535),
    "UpstreamConnectTimeout": (10, 1, 65535),
    "UpstreamResponseTimeout": (120, 1, 65535),
    "TunnelIdleTimeout": (3600, 0, 65535),
    "StopGrace": (4, 1, 65535),
    "RestartGrace": (600, 1, 65535),
    "EnableErrorLogging": (1, 0, 1),
    "ErrorLogFileTruncateSize": (0x100000, 0x100000, 0xFFFFFFFF),
    "ErrorLoggingDir": ("", 0, 260),
}

# Where a profile of Windows differs from native: ws2003sp1, ws2008.
WINDOWS = {
    "EnableKernelSSL": (0, 1),
    "EnableSslCloseNotify": (0, 0),
    "HeaderWaitTimeout": (120, 120),
    "MaxBytesPerSend": (65536, 65536),
    "MaxRequestBytes": (16384, 16384),
    "UrlSegmentMaxLength": (260, 260),
    "UrlSegmentMaxCount": (255, 255),
}


def test_the_table_is_the_contract() -> None:
    assert {row.name: (row.default, row.minimum, row.maximum) for row in PARAMETERS} == EXPECTED


def test_profiles_differ_where_they_should() -> None:
    differing = {
        row.name: (row.default_in(Profile.WS2003SP1), row.default_in(Profile.WS2008))
        for row in PARAMETERS
        if {row.default_in(profile) for profile in Profile} != {row.default}
    }
    assert differing == WINDOWS


def test_every_row_has_an_attribute_and_nothing_else_has() -> None:
    attributes = [field.name for field in dataclasses.fields(Parameters)]
    assert attributes == [row.attribute for row in PARAMETERS]
    assert "enable_kernel_ssl" in attributes
    assert "enable_ssl_close_notify" in attributes


@each_row
def test_default_is_allowed_and_used(row: Parameter) -> None:
    assert row.allows(row.default)
    assert all(row.allows(row.default_in(profile)) for profile in Profile)
    assert getattr(Parameters(), row.attribute) == row.default == Parameters().by_name[row.name]
    assert row.meaning
    assert row.risk


@numbers
def test_bounds(row: Parameter) -> None:
    # MaxFieldLength is capped by MaxRequestBytes, so give it room.
    room = [] if row.name == "MaxRequestBytes" else ["MaxRequestBytes=16777216"]
    for value in (row.minimum, row.maximum):
        for text in (str(value), hex(value), f" {value} "):
            parameters = assigned(*room, f"{row.name}={text}")
            assert getattr(parameters, row.attribute) == value
    for value in (row.minimum - 1, row.maximum + 1, 2**32, 10**30):
        if row.allows(value):
            continue  # MaxConnections' 0 is tested below
        with pytest.raises(ConfigError) as caught:
            parse_assignments([f"{row.name}={value}"])
        assert row.name in str(caught.value)
        assert row.range_text in str(caught.value)
        assert str(row.maximum) in str(caught.value)


def test_parameters_made_directly_are_checked_too() -> None:
    with pytest.raises(ConfigError, match=r"HeaderWaitTimeout=0: must be 1-65535 seconds"):
        Parameters(header_wait_timeout=0)


@pytest.mark.parametrize("text", ["0", "0x0", "unlimited", "Unlimited"])
def test_max_connections_has_a_zero_that_means_unlimited(text: str) -> None:
    assert assigned(f"MaxConnections={text}").max_connections == 0
    with pytest.raises(ConfigError, match=r"0 \(unlimited\) or 1024-2031616 connections"):
        parse_assignments(["MaxConnections=1023"])
    with pytest.raises(ConfigError, match="not a number"):
        parse_assignments(["HeaderWaitTimeout=unlimited"])


def test_names_are_case_insensitive_and_the_last_one_counts() -> None:
    parameters = assigned("enablekernelssl=1", "ENABLEKERNELSSL = 0x0")
    assert parameters.enable_kernel_ssl == 0
    assert find_parameter("maxFIELDlength").name == "MaxFieldLength"


def test_no_assignments_give_the_defaults() -> None:
    assert assigned() == Parameters()


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("EnableKernalSSL", "EnableKernelSSL"),
        ("MaxConnection", "MaxConnections"),
        ("headerwait", "HeaderWaitTimeout"),
    ],
)
def test_unknown_name_suggests_close_ones(name: str, suggested: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*did you mean .*{suggested}"):
        parse_assignments([f"{name}=1"])


def test_hopeless_name_lists_all() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_assignments(["zzz=1"])
    assert all(row.name in str(caught.value) for row in PARAMETERS)


@pytest.mark.parametrize("text", ["EnableKernelSSL", "", "=1", " = 1"])
def test_not_an_assignment(text: str) -> None:
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        parse_assignments([text])


@pytest.mark.parametrize("text", ["", "on", "1_0", "+1", "0o1", "0x", "1.0", "٣", "1=1", "\n1\n1"])
def test_not_a_number(text: str) -> None:
    with pytest.raises(ConfigError, match=r"EnableKernelSSL=.*: not a number"):
        find_parameter("EnableKernelSSL").parse(text)


def test_field_limit_is_lowered_to_the_request_limit() -> None:
    parameters = assigned("MaxRequestBytes=1000")
    assert parameters.max_field_length == 1000
    assert parameters.by_name["MaxFieldLength"] == 1000
    assert assigned("MaxFieldLength=64").max_field_length == 64


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Parameters().enable_kernel_ssl = 0  # type: ignore[misc]
