"""What happens when a scene cannot be played as it is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kssl.proxy.demo.truncation import fronts, orders, play
from kssl.proxy.demo.truncation import run as demonstration
from kssl.proxy.demo.truncation.app import App
from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.clients import CLIENTS, Client, Outcome
from kssl.proxy.demo.truncation.play import Front, StagingError
from kssl.proxy.demo.truncation.rows import OFF
from tests.proxy.demo.truncation.conftest import TlsApp

NAIVE = next(client for client in CLIENTS if client.name == "naive")


@pytest.fixture
def front(tls_app: TlsApp) -> Front:
    """The app itself, in the place of a proxy."""
    return Front("kssl", "kernel", OFF, tls_app.app.port, tls_app.ca)


def test_a_reply_without_the_rest(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to cut before: whoever talks of an attack then would lie."""
    monkeypatch.setattr(
        "kssl.proxy.demo.truncation.clients._REQUEST_1_0", b"GET / HTTP/1.0\r\n\r\n"
    )
    with pytest.raises(StagingError, match="no record with the end of the sentence"):
        list(play.reply(front, [NAIVE]))


def test_a_client_that_does_not_come(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Attacker.wait, "__defaults__", (-1, 0.05))
    absent = Client("absent", "", lambda port, ca: Outcome("", "not today"))
    with pytest.raises(StagingError, match="has seen nothing come to its end"):
        list(play.reply(front, [absent]))


def test_an_app_that_executes_nothing(front: Front, tls_app: TlsApp) -> None:
    """It answers one request for each connection, so the second never comes to it."""
    with pytest.raises(StagingError, match="an honest form came as"):
        orders.request(front, tls_app.app)


def test_a_proxy_that_does_not_start(tmp_path: Path) -> None:
    with (
        pytest.raises(StagingError, match=r"exit code 2: kssl: .*NoSuchThing"),
        fronts.in_front_of_http(9, "kernel", "NoSuchThing=1", tmp_path),
    ):
        pass


def test_what_fails_is_named_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Iterator[object]:
        yield from ()
        raise StagingError("the curtain is stuck")

    monkeypatch.setattr(play, "reply", fails)
    result = demonstration.run(["kernel"], clients=[NAIVE], scenes=["reply"], beside=False)
    assert [what.partition(",")[0] for what in result.failed] == ["reply", "reply"]
    assert all("the curtain is stuck" in what for what in result.failed)
    assert result.exit_status == 1


def test_a_client_that_is_not_installed_is_left_out_by_name() -> None:
    absent = Client("lynx", "", NAIVE.ask, program="no-such-program")
    result = demonstration.run([], clients=[NAIVE, absent], beside=False)
    assert result.clients == [NAIVE]
    assert result.left_out == ["lynx"]


def test_the_configuration_before_an_app_with_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with App() as app:
        written = []
        for setting in ('upstream_truncation="pass"', 'upstream_truncation="abort"'):
            try:
                with fronts.in_front_of_https(app.port, "kernel", setting, tmp_path):
                    pass
            except StagingError:
                pass  # what is written is looked at here
            (file,) = tmp_path.glob("*.toml")
            written.append(file.read_text())
            file.unlink()
    passes, guards = written
    assert f'upstreams = ["https://localhost:{app.port}"]' in passes
    assert 'upstream_truncation = "pass"' in passes
    assert "upstream_truncation" not in guards  # it is the default
