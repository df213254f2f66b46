"""Alerts and the errors that carry them."""

from __future__ import annotations

import pytest

from kssl.fastpath.tls.errors import (
    Alert,
    ApiMisused,
    KeyLimitReached,
    PeerAlert,
    PeerIncompatible,
    PeerMisbehaved,
    TlsError,
)


def test_each_byte_is_an_alert() -> None:
    assert [Alert(code) for code in range(256)] == list(range(256))


def test_an_unknown_alert_has_a_name() -> None:
    assert Alert(250).name == "UNKNOWN_250"


@pytest.mark.parametrize("value", [-1, 256])
def test_what_is_no_byte_is_no_alert(value: int) -> None:
    with pytest.raises(ValueError, match="not a valid Alert"):
        Alert(value)


@pytest.mark.parametrize("kind", [PeerMisbehaved, PeerIncompatible, PeerAlert, KeyLimitReached])
def test_an_error_has_an_alert_and_a_text(kind: type[TlsError]) -> None:
    error = kind(Alert.DECODE_ERROR, "what happened")
    assert error.alert is Alert.DECODE_ERROR
    assert str(error) == "what happened"


def test_our_own_bugs_are_no_tls_errors() -> None:
    assert not issubclass(ApiMisused, TlsError)
