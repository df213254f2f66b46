"""SIGHUP with a log file that cannot be trusted or opened: everything else applies."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kssl.config.document.read import Request, read_configuration
from kssl.config.errors import ConfigError
from kssl.config.model import Configuration, Logs
from kssl.config.parameter import Profile
from kssl.config.target import Target
from kssl.proxy.journal.accesslog import open_access_log
from kssl.proxy.service.service import Service, ServiceOptions
from tests.proxy.frontend.rig import Rig, one_site, wait_for
from tests.proxy.frontend.upstreams import Upstream, answer_all, response

Spoil = Callable[[Path], None]


def open_to_others(path: Path) -> None:
    """As logrotate's `create 0666`."""
    path.touch()
    path.chmod(0o666)


def of_somebody_else(path: Path) -> None:
    path.touch(0o640)
    os.chown(path, 12345, -1)


def no_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("away"))


def a_folder(path: Path) -> None:
    path.mkdir()


def a_fifo_without_reader(path: Path) -> None:
    os.mkfifo(path, 0o600)


SPOILT = [
    open_to_others,
    pytest.param(
        of_somebody_else,
        marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away"),
    ),
    no_folder,
    a_folder,
    a_fifo_without_reader,
]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig("kernel", tmp_path_factory.mktemp("state"))
    yield rig
    rig.stop()


def reload(rig: Rig, upstream: Upstream, log: Path) -> list[str]:
    configuration = Configuration(
        parameters=rig.front.parameters,
        sites=(one_site(Target("http", "127.0.0.1", upstream.port)),),
        logs=Logs(log),
    )
    return rig.wait(rig.service.reload(configuration))


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: getattr(spoil, "__name__", None))
def test_the_rest_applies_and_the_log_goes_on(own: Rig, tmp_path: Path, spoil: Spoil) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "access.log"
    with Upstream(answer_all(response(b"a"))) as a, Upstream(answer_all(response(b"b"))) as b:
        reload(own, a, path)
        with own.client() as client:
            assert client.ask().body == b"a"
            path.rename(folder / "access.log.1")
            spoil(path)
            told = reload(own, b, path)
            assert client.ask().body == b"b"  # the new configuration
        assert str(path) in told[0]
        assert "the access log goes on where it was" in told[0]
        assert "logrotate" in told[0]
        before = folder if folder.exists() else tmp_path / "away"
        wait_for(lambda: lines(before / "access.log.1") == 2, "both lines in the old file")
        if path.is_file():
            assert lines(path) == 0
        # Put right, the next reload takes it.
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        folder.mkdir(exist_ok=True)
        assert not any("access log" in line for line in reload(own, b, path))
        with own.client() as client:
            assert client.ask().body == b"b"
        wait_for(lambda: lines(path) == 1, "the new file")
        assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0
    own.call(lambda: own.front.journal.reopen_access_log(None))


_DOCUMENT = """
[[site]]
upstreams = ["http://127.0.0.1:1"]
[logs]
access = "access.log"
"""


def test_the_file_is_checked_at_the_start_and_not_when_a_service_reloads(tmp_path: Path) -> None:
    document = tmp_path / "kssl.toml"
    document.write_text(_DOCUMENT)
    document.chmod(0o600)
    open_to_others(tmp_path / "access.log")
    with pytest.raises(ConfigError, match=r"logs\.access: access log .*may be changed by"):
        read_configuration(Request(path=document, state_dir=tmp_path / "state"))
    read = read_configuration(Request(path=document, state_dir=tmp_path / "state", running=True))
    assert read.logs == Logs(tmp_path / "access.log")
    with pytest.raises(ConfigError, match="may be changed by"):
        open_access_log(read.logs, None)


def test_a_service_does_not_start_with_it(tmp_path: Path) -> None:
    open_to_others(tmp_path / "access.log")
    configuration = Configuration(
        sites=(one_site(Target("http", "127.0.0.1", 1)),), logs=Logs(tmp_path / "access.log")
    )
    options = ServiceOptions(configuration=configuration, state_dir=tmp_path / "state")
    with pytest.raises(ConfigError, match="may be changed by"):
        asyncio.run(Service(options).start())


def test_profiles_that_reload_nothing_else(tmp_path: Path) -> None:
    rig = Rig("user", tmp_path / "state", profile=Profile.WS2003SP1)
    try:
        path = tmp_path / "access.log"
        rig.service.configuration = Configuration(
            profile=Profile.WS2003SP1, sites=rig.service.configuration.sites, logs=Logs(path)
        )
        told = rig.wait(rig.service.reload(rig.service.configuration))
        assert len(told) == 1
        path.unlink()
        open_to_others(path)
        told = rig.wait(rig.service.reload(rig.service.configuration))
        assert "the access log goes on where it was" in told[0]
        assert len(told) == 2
    finally:
        rig.stop()
