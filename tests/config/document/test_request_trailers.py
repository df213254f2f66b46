"""[[site]]: request_trailers."""

from __future__ import annotations

import pytest

from tests.config.document.support import UPSTREAMS, problem, read

SITE = f"[[site]]\n{UPSTREAMS}"


@pytest.mark.parametrize("line", ["", 'request_trailers = "drop"\n'])
def test_dropped(line: str) -> None:
    configuration = read(SITE + line)
    assert not configuration.sites[0].pass_trailers
    assert configuration.warnings == ()


def test_passed_with_a_warning() -> None:
    configuration = read(SITE + 'request_trailers = "pass"\n')
    assert configuration.sites[0].pass_trailers
    (warning,) = configuration.warnings
    assert "site[1].request_trailers: trailer fields of requests reach the app" in warning
    assert '"drop" does not pass them' in warning


def test_each_site_has_its_own() -> None:
    text = f'{SITE}hostnames = ["a.localhost"]\nrequest_trailers = "pass"\n{SITE}'
    assert [site.pass_trailers for site in read(text).sites] == [True, False]


@pytest.mark.parametrize("value", ['"keep"', "true", '"Pass"', '""'])
def test_refused(value: str) -> None:
    assert "request_trailers" in problem(f"{SITE}request_trailers = {value}\n")
