"""kssl.config.sources: which source wins, and what the environment may say."""

from __future__ import annotations

import pytest

from kssl.config.errors import ConfigError
from kssl.config.parameter import Profile
from kssl.config.sources import from_environment, resolve


def test_the_later_source_wins() -> None:
    parameters, sources = resolve(
        Profile.WS2003SP1,
        file={"MaxConnections": 2000, "IdleConnectionTimeout": 1, "HeaderWaitTimeout": 1},
        environment={"IdleConnectionTimeout": 2, "HeaderWaitTimeout": 2},
        command_line={"HeaderWaitTimeout": 3},
    )
    assert (parameters.max_connections, sources["MaxConnections"]) == (2000, "file")
    assert (parameters.idle_connection_timeout, sources["IdleConnectionTimeout"]) == (
        2,
        "environment",
    )
    assert (parameters.header_wait_timeout, sources["HeaderWaitTimeout"]) == (3, "command line")
    assert (parameters.enable_kernel_ssl, sources["EnableKernelSSL"]) == (0, "default")


def test_the_environment_has_names_in_any_case_and_other_variables() -> None:
    environment = {
        "KSSL_SET_MAXCONNECTIONS": "0x800",
        "kssl_set_FavorUTF8": "0",
        "KSSL_CONFIG": "x",
    }
    assert from_environment(environment) == {"MaxConnections": 2048, "FavorUTF8": 0}


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("KSSL_SET_MAXCONNECTION", "2000", "did you mean MaxConnections"),
        ("KSSL_SET_MAXCONNECTIONS", "many", "not a number"),
        ("KSSL_SET_MAXCONNECTIONS", "1", "1024-2031616"),
    ],
)
def test_errors_name_the_variable(variable: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"environment variable {variable}: .*{words}"):
        from_environment({variable: text})
