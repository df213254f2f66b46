"""A worker that replaces one that died while files are broken, and one that does not come up."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from OpenSSL import SSL

from kssl.fastpath.engines.aead import AeadEngine
from kssl.fastpath.ipc import supervisor as module
from kssl.fastpath.ipc.supervisor import WorkerRefusedError, WorkerSettings
from kssl.fastpath.worker.handshake import Failure
from kssl.fastpath.worker.server_handshake import ServerHandshake
from kssl.fastpath.worker.store import CertificatesError, ContextStore
from kssl.fastpath.worker.upstreams import UnknownUpstreamError
from tests.config import oddities
from tests.config.oddities import ODD
from tests.fastpath.harness import Certificates, Place, told_certificate, until
from tests.fastpath.worker.visits import RefusedError, told_file, visit, write_certificate

NAMES = ("zero", "one", "two")
INTERNAL_ERROR = 80


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [write_certificate(tmp_path / f"{name}.pem", name) for name in NAMES]


def tls(files: list[Path]) -> dict[str, Any]:
    return {
        "certificates": [told_file(path) for path in files],
        "endpoints": [{"names": {name: at for at, name in enumerate(NAMES)}, "default": 0}],
    }


def damage(path: Path) -> bytes:
    """Return what was in it before."""
    good = path.read_bytes()
    path.write_bytes(good[:60])
    return good


def test_the_others_are_served_and_the_broken_one_is_refused(
    tmp_path: Path, files: list[Path]
) -> None:
    good = damage(files[1])
    store = ContextStore(tmp_path / "state")
    problems = store.restore(tls(files))
    assert len(problems) == 1
    assert "one.pem" in problems[0]
    for name in ("zero", "two"):
        assert visit(store, name.encode()).name == name
    with pytest.raises(RefusedError, match=r"no certificate for this site: .*one\.pem"):
        visit(store, b"one")
    # A reload is all or nothing, and leaves what is served as it is.
    with pytest.raises(CertificatesError, match=r"one\.pem"):
        store.load(tls(files))
    assert visit(store, b"two").name == "two"
    files[1].write_bytes(good)
    store.load(tls(files))
    assert visit(store, b"one").name == "one"


def test_the_alert_is_internal_error(tmp_path: Path, files: list[Path]) -> None:
    files[1].unlink()
    store = ContextStore(tmp_path / "state")
    assert "one.pem" in store.restore(tls(files))[0]
    handshake = ServerHandshake(*store.accept(0))
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    client.set_tlsext_host_name(b"one")
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    step = handshake.receive(client.bio_read(1 << 16))
    assert isinstance(step, Failure)
    assert step.data[-2:] == bytes((2, INTERNAL_ERROR))


def test_a_bug_while_loading_one_leaves_the_others(
    tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ContextStore(tmp_path / "state")
    load = store._certificates.load

    def failing(path: Path, *rest: Any) -> Any:
        if path == files[2]:
            raise ZeroDivisionError
        return load(path, *rest)

    monkeypatch.setattr(store._certificates, "load", failing)
    with pytest.raises(CertificatesError, match=r"two\.pem cannot be loaded: internal error"):
        store.load(tls(files))
    assert len(store.restore(tls(files))) == 1
    assert visit(store, b"one").name == "one"


def test_an_upstream_that_cannot_be_verified_is_refused_with_the_reason(tmp_path: Path) -> None:
    upstream = {
        "name": "app.example",
        "ca": str(tmp_path / "gone.pem"),
        "certificate": None,
        "key": None,
    }
    store = ContextStore(tmp_path / "state")
    path = write_certificate(tmp_path / "zero.pem", "zero")
    told = {
        "certificates": [told_file(path)],
        "endpoints": [{"names": {}, "default": 0}],
        "upstreams": [upstream],
    }
    assert "gone.pem" in store.restore(told)[0]
    with pytest.raises(UnknownUpstreamError, match=r"gone\.pem"):
        store.connect(json.dumps(upstream, sort_keys=True))
    assert visit(store).name == "zero"


@pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])
def test_an_rsassa_pss_key_is_served(tmp_path: Path, tls13: bool) -> None:
    """With no signature algorithm but those of RFC 9846 §4.3.3 for such keys."""
    store = ContextStore(tmp_path / "state")
    told = told_certificate((ODD / "pss.pem", ODD / "pss.key"))
    endpoint = {"names": {}, "default": 0}
    store.load({"certificates": [told], "endpoints": [endpoint]})
    assert visit(store, tls13=tls13).names == ["localhost"]


@pytest.mark.parametrize(
    "key",
    [ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()],
    ids=["Ed25519", "Ed448"],
)
@pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])
def test_keys_of_rfc_8410_are_served(
    tmp_path: Path, key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey, tls13: bool
) -> None:
    path = tmp_path / "both.pem"
    path.touch(0o600)
    path.write_bytes(oddities.pem(oddities.made(key)) + oddities.key_pem(key))
    store = ContextStore(tmp_path / "state")
    told = {"certificates": [told_file(path)], "endpoints": [{"names": {}, "default": 0}]}
    store.load(told)
    assert visit(store, tls13=tls13).names == ["localhost"]


# -- over a process ------------------------------------------------------------------------


@pytest_asyncio.fixture
async def place(certificates: Certificates, tmp_path: Path) -> AsyncIterator[Place]:
    copies = [tmp_path / each.name for each in certificates.ecdsa]
    for copy, original in zip(copies, certificates.ecdsa, strict=True):
        copy.write_bytes(original.read_bytes())
        copy.chmod(0o600)
    place = Place(tmp_path, (copies[0], copies[1]))
    await place.start()
    yield place
    place.settle()
    await place.stop()


@pytest.mark.asyncio
async def test_killed_while_its_file_is_broken(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = place.supervisor._settings
    assert isinstance(settings, WorkerSettings)
    path = Path(settings.tls["certificates"][0]["certificate"])
    good = damage(path)
    place.kill_worker()
    await place.worker_is_lost()
    await place.worker_is_back()
    assert path.name in place.supervisor.problems[0]
    assert any("refuses who needs it" in line and path.name in line for line in caplog.messages)
    client, accepted = place.pair(AeadEngine)
    await client.send_raw(client.first_flight())
    await until(lambda: accepted.decided)
    assert accepted.failure is not None
    assert path.name in accepted.failure
    with pytest.raises(WorkerRefusedError, match=path.name):
        await place.supervisor.reconfigure(settings)
    assert place.supervisor.problems
    path.write_bytes(good)  # noqa: ASYNC240 - a small file
    await place.supervisor.reconfigure(settings)
    assert not place.supervisor.problems
    await place.connect(AeadEngine)


@pytest.mark.asyncio
async def test_one_that_does_not_start_refuses_at_once_and_backs_off(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tried: list[float] = []

    async def failing(*arguments: Any) -> Any:
        tried.append(place.supervisor._pause)
        raise OSError("no descriptors")

    monkeypatch.setattr(module, "spawn", failing)
    monkeypatch.setattr(module, "_PAUSE", 0.001)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.004)
    monkeypatch.setattr(module, "_SHORT_LIFE", 0.0)
    place.kill_worker()
    client, accepted = place.pair(AeadEngine)  # waits, until it is known that there is none
    await client.send_raw(client.first_flight())
    await until(lambda: accepted.decided)
    assert accepted.failure is not None
    await until(lambda: len(tried) >= 6)
    client, accepted = place.pair(AeadEngine)
    await client.send_raw(client.first_flight())
    await until(lambda: accepted.decided)
    assert accepted.failure == "the crypto worker does not start: the crypto worker cannot be " + (
        "started: no descriptors"
    )
    assert tried[:6] == [0.0, 0.001, 0.002, 0.004, 0.004, 0.004]
    assert sum("did not start" in line for line in caplog.messages) == 1
    monkeypatch.undo()
    await place.worker_is_back()
    assert not place.supervisor.down
    await place.connect(AeadEngine)


@pytest.mark.asyncio
async def test_other_settings_do_not_wait_for_the_end_of_a_pause(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*arguments: Any) -> Any:
        raise OSError("no descriptors")

    monkeypatch.setattr(module, "spawn", failing)
    monkeypatch.setattr(module, "_PAUSE", 3600.0)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 3600.0)
    monkeypatch.setattr(module, "_SHORT_LIFE", 0.0)
    place.kill_worker()
    await place.worker_is_lost()
    await until(lambda: place.supervisor.down)
    monkeypatch.undo()
    await place.supervisor.reconfigure(place.supervisor._settings)
    await place.connect(AeadEngine)
