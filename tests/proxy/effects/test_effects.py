"""What each parameter does, seen from outside."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kssl.config.parameter import Parameter, Profile, Value
from kssl.config.table import PARAMETERS
from tests.proxy.effects import client_certificates, graces, logs, requests, timers, transport
from tests.proxy.effects.service import Services

EFFECTS: dict[str, Callable[[Services], None]] = {
    "EnableKernelSSL": transport.enable_kernel_ssl,
    "UserModeHops": transport.user_mode_hops,
    "EnableSslCloseNotify": transport.enable_ssl_close_notify,
    "TlsPreset": transport.tls_preset,
    "DisableSslCertChainCacheOnlyUrlRetrieval": (
        transport.disable_ssl_cert_chain_cache_only_url_retrieval
    ),
    "UrlRetrievalAllowed": client_certificates.url_retrieval_allowed,
    "RejectClientCertificates": client_certificates.reject_client_certificates,
    "MaxFieldLength": requests.max_field_length,
    "MaxRequestBytes": requests.max_request_bytes,
    "MaxResponseHeadBytes": requests.max_response_head_bytes,
    "UrlSegmentMaxLength": requests.url_segment_max_length,
    "UrlSegmentMaxCount": requests.url_segment_max_count,
    "AllowRestrictedChars": requests.allow_restricted_chars,
    "PercentUAllowed": requests.percent_u_allowed,
    "EnableNonUTF8": requests.enable_non_utf8,
    "FavorUTF8": requests.favor_utf8,
    "MaxConnections": transport.max_connections,
    "MaxConnectionMemory": transport.max_connection_memory,
    "MaxBytesPerSend": transport.max_bytes_per_send,
    "DisableServerHeader": requests.disable_server_header,
    "IdleConnectionTimeout": timers.idle_connection_timeout,
    "HeaderWaitTimeout": timers.header_wait_timeout,
    "EntityBodyTimeout": timers.entity_body_timeout,
    "UpstreamConnectTimeout": timers.upstream_connect_timeout,
    "UpstreamResponseTimeout": timers.upstream_response_timeout,
    "TunnelIdleTimeout": timers.tunnel_idle_timeout,
    "StopGrace": graces.stop_grace,
    "RestartGrace": graces.restart_grace,
    "EnableErrorLogging": logs.enable_error_logging,
    "ErrorLogFileTruncateSize": logs.error_log_file_truncate_size,
    "ErrorLoggingDir": logs.error_logging_dir,
}


@pytest.mark.parametrize("row", PARAMETERS, ids=lambda row: row.name)
def test_effect(row: Parameter, services: Services) -> None:
    assert row.name in EFFECTS, f"{row.name} is in the table; show here what it does"
    EFFECTS[row.name](services)


@pytest.mark.parametrize("profile", [Profile.NATIVE, Profile.WS2008])
def test_what_a_reload_does_not_apply(profile: Profile, services: Services) -> None:
    """It is told, with the value that is in force. Windows reads everything at the start only."""
    wanted: dict[str, Value] = {
        row.name: other_value(row, profile) for row in PARAMETERS if not row.live_in(profile)
    }
    with services.start(profile) as service:
        before = service.record.parameters
        service.set(**wanted)
        assert service.record.parameters == before
        service.passes(b"/")
    for name, value in wanted.items():
        if (profile, name) != (Profile.WS2008, "EnableKernelSSL"):  # which is always 1 there
            told = f"{name}={value} takes effect after restart (kssl restart); {before[name]} is"
            assert told in service.stderr


def other_value(row: Parameter, profile: Profile) -> Value:
    if row.words:
        return row.words[-1]
    if row.is_text:
        return "/elsewhere"
    return row.minimum if row.default_in(profile) == row.maximum else row.maximum
