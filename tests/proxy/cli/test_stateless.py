"""A service that keeps nothing in a state folder starts without one."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from kssl.proxy.service.spawn import ProxyStartError, spawn_proxy
from tests.proxy.cli.conftest import Files, Kssl
from tests.proxy.frontend.clients import Client
from tests.proxy.frontend.upstreams import Upstream


def test_with_a_certificate_and_no_log(
    app: Upstream, kssl: Kssl, files: Files, tmp_path: Path
) -> None:
    """A file is where the folder's parent would be: nobody, root neither, can make the folder."""
    (tmp_path / "file").touch()
    nowhere, log = tmp_path / "file" / "state", tmp_path / "log"
    own = ("--cert", str(files.cert), "--key", str(files.key))
    off = ("--set", "EnableErrorLogging=0")
    with (
        open(log, "wb") as stderr,
        spawn_proxy(str(app.port), *own, *off, state_dir=nowhere, stderr=stderr) as proxy,
    ):
        context = ssl.create_default_context(cafile=files.ca)
        with Client(proxy.port, context) as client:
            assert client.ask().status == 200
        told = kssl("status", "--state-dir", str(nowhere))
        assert told.returncode == 1
        assert "does not exist" in told.stderr
    assert proxy.process.returncode == 0
    assert log.read_text().count("cannot use the state folder") == 1
    with pytest.raises(ProxyStartError), spawn_proxy(str(app.port), *own, state_dir=nowhere):
        pass  # the HTTPERR log would be there


def test_in_a_folder_that_cannot_be_written_to(app: Upstream, files: Files, tmp_path: Path) -> None:
    """Something else stands where the record would be."""
    (tmp_path / "run").touch()
    own = ("--cert", str(files.cert), "--key", str(files.key), "--set", "EnableErrorLogging=0")
    log = tmp_path / "log"
    with (
        open(log, "wb") as stderr,
        spawn_proxy(str(app.port), *own, state_dir=tmp_path, stderr=stderr) as proxy,
        Client(proxy.port, ssl.create_default_context(cafile=files.ca)) as client,
    ):
        assert client.ask().status == 200
    assert proxy.process.returncode == 0
    assert log.read_text().count("do not find this one") == 1
