"""What a reload changes for connections to https:// upstreams, and what a page says of them."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from kssl.config.model import Configuration
from kssl.config.target import Target
from tests.proxy.frontend.rig import BINDINGS, Rig, one_site
from tests.proxy.frontend.test_https_upstreams import Https, World, https, world
from tests.proxy.frontend.upstreams import UpstreamSide, echo

__all__ = ["World", "https", "world"]

pytestmark = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)


def reload(proxy: Rig, target: Target) -> None:
    """SIGHUP, with the same file."""
    site = replace(one_site(target), bindings=BINDINGS)
    parameters = proxy.front.parameters
    proxy.wait(proxy.service.reload(Configuration(parameters=parameters, sites=(site,))))


def write(path: Path, ca: trustme.CA) -> None:
    path.touch(0o600)
    path.write_bytes(ca.cert_pem.bytes())


def test_a_ca_file_that_has_changed_counts_for_kept_connections(
    proxy: Rig, https: Https, tmp_path: Path
) -> None:
    """Whom it no longer trusts gets no further request, on no connection."""
    path = tmp_path / "ca.pem"
    write(path, https.world.ca)
    upstream = https.app(echo)
    target = https.target(upstream, ca=path)
    https.serve(target)
    with proxy.client() as client:
        assert client.ask().status == 200
        before = bytes(upstream.received)
        write(path, trustme.CA())
        reload(proxy, target)
        assert client.ask().status == 502
        assert upstream.received == before
        write(path, https.world.ca)
        reload(proxy, target)
        assert client.ask().status == 200


def test_a_page_tells_no_path(proxy: Rig, https: Https, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    write(path, trustme.CA())
    https.serve(https.target(https.app(echo), ca=path))
    with proxy.client() as client:
        answer = client.ask()
    assert answer.status == 502
    assert b"not signed by a CA that is trusted here" in answer.body
    assert path.name.encode() not in answer.body


def test_a_page_says_what_went_wrong_with_the_records(proxy: Rig, https: Https) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_head()
        with socket.socket(fileno=side.sock.detach()) as bare:
            bare.settimeout(60)
            bare.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            bare.recv(100)

    upstream = https.start(script)
    with proxy.client() as client:
        answer = client.ask()
    assert answer.status == 502
    what = "failed before it answered: a record failed authentication."
    assert f"to the app at https://127.0.0.1:{upstream.port} {what}".encode() in answer.body
