"""A reload with a certificate of an odd shape, and a worker that dies while a file is broken."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kssl.config.errors import ConfigError
from kssl.config.model import CertificateFiles, Configuration, Logs, Site
from kssl.config.target import Target
from tests.config import oddities
from tests.proxy.frontend.rig import Rig, one_site, wait_for
from tests.proxy.frontend.upstreams import Upstream, answer_all, response


@pytest.fixture(params=["kernel", "user"])
def own(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig(request.param, tmp_path / "rig")
    try:
        yield rig
    finally:
        rig.stop()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(answer_all(response(b"a"))) as upstream:
        yield upstream


def sites(upstream: Upstream, folder: Path) -> tuple[Site, Site]:
    """The usual one, which is the default, and one with files of its own."""
    usual = one_site(Target("http", "127.0.0.1", upstream.port))
    files = CertificateFiles(folder / "odd.pem", folder / "odd.key")
    other = replace(usual, name="odd", number=2, hostnames=("odd.localhost",), default=False)
    return replace(usual, default=True), replace(other, certificate=files)


def write(folder: Path, der: bytes) -> None:
    (folder / "odd.pem").write_bytes(oddities.pem(der))
    (folder / "odd.key").write_bytes(oddities.key_pem(oddities.KEY))
    (folder / "odd.key").chmod(0o600)


def reload(rig: Rig, *sites: Site) -> None:
    configuration = Configuration(parameters=rig.front.parameters, sites=sites, logs=Logs("off"))
    rig.wait(rig.service.reload(configuration))


@pytest.mark.parametrize(
    "make",
    [lambda: oddities.with_version(1), oddities.with_latin_1, oddities.with_doubled_extension],
    ids=["v2", "latin-1", "doubled"],
)
def test_a_reload_is_refused_and_the_same_worker_serves_on(
    own: Rig, upstream: Upstream, tmp_path: Path, make: Callable[[], bytes]
) -> None:
    usual, odd = sites(upstream, tmp_path)
    write(tmp_path, make())
    worker = own.service._helpers.workers[0]
    pid = worker.pid
    with pytest.raises(ConfigError, match=r"odd\.pem, line 1: this certificate "):
        reload(own, usual, odd)
    assert (worker.pid, worker.restarts) == (pid, 0)
    reload(own, usual)
    with own.client() as client:
        assert client.ask().body == b"a"


def test_a_worker_that_dies_while_a_file_is_broken(
    own: Rig, upstream: Upstream, tmp_path: Path
) -> None:
    usual, odd = sites(upstream, tmp_path)
    write(tmp_path, oddities.with_x400_address())
    reload(own, usual, odd)
    worker = own.service._helpers.workers[0]
    write(tmp_path, oddities.with_version(3))
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    wait_for(lambda: worker.restarts == 1, "another worker")
    with own.client() as client:
        assert client.ask().body == b"a"
    assert "odd.pem, line 1: this certificate has the X.509 version field 3" in worker.problems[0]
    write(tmp_path, oddities.made())
    reload(own, usual, odd)
    assert not worker.problems
    assert worker.restarts == 1
