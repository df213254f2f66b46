"""Which certificate a client gets, which sessions it may resume, and what a reload changes."""

from __future__ import annotations

import datetime
import time
from pathlib import Path
from typing import Any

import pytest

from kssl.config import devca
from kssl.fastpath.worker import development
from kssl.fastpath.worker.certificates import Loaded
from kssl.fastpath.worker.contexts import certificate_context
from kssl.fastpath.worker.handshake import Failure
from kssl.fastpath.worker.server_handshake import ServerHandshake
from kssl.fastpath.worker.store import (
    RECHECK,
    CertificatesError,
    ContextStore,
    UnknownEndpointError,
    _Entry,
)
from tests.fastpath.tls.test_clienthello import hello, real_hello, server_name
from tests.fastpath.worker.visits import (
    START,
    told_file,
    told_names,
    visit,
    write_certificate,
)

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])

NOW = START + datetime.timedelta(days=100)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> ContextStore:
    return ContextStore(tmp_path / "state", now=clock)


def tls(certificates: list[dict[str, Any]], *endpoints: dict[str, Any]) -> dict[str, Any]:
    """An endpoint: name → index, and "default" → index."""
    return {
        "certificates": certificates,
        "endpoints": [
            {"names": {k: v for k, v in each.items() if k != "default"}, "default": each["default"]}
            for each in endpoints
        ],
    }


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [write_certificate(tmp_path / f"{name}.pem", name) for name in ("zero", "one", "two")]


# -- by name -------------------------------------------------------------------------------


@every_version
def test_two_hundred_names(store: ContextStore, tmp_path: Path, tls13: bool) -> None:
    names = [f"site{number}.example" for number in range(200)]
    paths = [write_certificate(tmp_path / f"{name}.pem", name) for name in names]
    told = [told_file(path) for path in paths]
    began = time.thread_time()
    store.load(tls(told, {**{name: at for at, name in enumerate(names)}, "default": 0}))
    assert time.thread_time() - began < 5  # of the processor: some 0.15 s
    for name in names:
        assert visit(store, name.encode(), tls13=tls13).name == name
    assert visit(store, b"site200.example", tls13=tls13).name == "site0.example"


@every_version
@pytest.mark.parametrize(
    ("asked", "name", "told"),
    [
        (b"one.example", "one", "one.example"),
        (b"ONE.Example.", "one", "one.example"),
        (b"a.two.example", "two", "a.two.example"),
        (b"a.b.two.example", "zero", "a.b.two.example"),
        (b"two.example", "zero", "two.example"),
        (b"", "zero", ""),
        (b"other.example", "zero", "other.example"),
        (b"x" * 255, "zero", "x" * 255),
        (b"caf\xc3\xa9.two.example", "zero", ""),
        (b"\xff\xfe", "zero", ""),
        (b".", "zero", ""),
        (b"*.two.example", "two", "*.two.example"),
    ],
)
def test_names(
    store: ContextStore, files: list[Path], tls13: bool, asked: bytes, name: str, told: str
) -> None:
    certificates = [told_file(path) for path in files]
    store.load(tls(certificates, {"one.example": 1, "*.two.example": 2, "default": 0}))
    seen = visit(store, asked, tls13=tls13)
    assert (seen.name, seen.server_name) == (name, told)


@pytest.mark.parametrize(
    "record",
    [
        hello(extensions=server_name(b"one.example\0.two.example")),
        hello(extensions=server_name(b"x" * 256)),
        hello(extensions=server_name(b"")),
        hello(extensions=server_name(b"one.example") * 2),
        real_hello(b"one.example").replace(b"one.example", b"one\0example"),
    ],
    ids=["NUL", "too long", "empty", "twice", "NUL, else good"],
)
def test_names_that_openssl_refuses(store: ContextStore, files: list[Path], record: bytes) -> None:
    store.load(tls([told_file(path) for path in files], {"one.example": 1, "default": 0}))
    connection, choose = store.accept(0)
    assert isinstance(ServerHandshake(connection, choose).receive(record), Failure)


def test_two_endpoints(store: ContextStore, files: list[Path]) -> None:
    certificates = [told_file(path) for path in files]
    store.load(tls(certificates, {"one.example": 1, "default": 0}, {"default": 2}))
    assert visit(store).name == "zero"
    assert visit(store, b"one.example").name == "one"
    assert visit(store, endpoint=1).name == "two"
    assert visit(store, b"one.example", endpoint=1).name == "two"
    with pytest.raises(UnknownEndpointError):
        store.accept(2)


def test_nothing_is_served_without_an_endpoint(store: ContextStore) -> None:
    store.load(tls([]))
    with pytest.raises(UnknownEndpointError):
        store.accept(0)


def test_nobody_is_served_before_a_name_was_chosen(store: ContextStore, files: list[Path]) -> None:
    """The context that connections begin on has no certificate to show by mistake."""
    store.load(tls([told_file(files[0])], {"default": 0}))
    connection, _ = store.accept(0)
    step = ServerHandshake(connection, lambda name: "").receive(real_hello(b"one.example"))
    assert isinstance(step, Failure)


# -- loading -------------------------------------------------------------------------------


def test_every_problem_is_told_and_nothing_changes(
    store: ContextStore, files: list[Path], tmp_path: Path
) -> None:
    store.load(tls([told_file(files[0])], {"default": 0}))
    missing, broken = tmp_path / "missing.pem", tmp_path / "broken.pem"
    broken.write_text("nothing\n")
    bad = [
        told_file(files[1]),
        told_file(missing),
        told_file(broken),
        told_file(missing, "strict"),
        told_names("app.example"),
        told_names("*.example"),
    ]
    with pytest.raises(CertificatesError) as caught:
        store.load(tls(bad, {"default": 0}, {"default": 0}))
    problems = caught.value.problems
    assert problems[:2] == [
        f"certificate file {missing} does not exist; check the name",
        f"certificate file {broken} is not PEM; it has no line that says -----BEGIN …-----",
    ]
    assert ["app.example" in problems[2], "*.example" in problems[3], len(problems)] == [1, 1, 4]
    assert visit(store).name == "zero"
    assert store.ca_path is None
    with pytest.raises(UnknownEndpointError):
        store.accept(1)


def test_only_what_changed_is_built_again(
    store: ContextStore, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    real = certificate_context

    def counted(credentials: Any, policy: str) -> Any:
        built.append(credentials.chain[0].subject.rfc4514_string())
        return real(credentials, policy)

    monkeypatch.setattr("kssl.fastpath.worker.certificates.certificate_context", counted)
    told = tls([told_file(path) for path in files], {"one.example": 1, "default": 0})
    store.load(told)
    assert built == ["CN=zero", "CN=one", "CN=two"]
    built.clear()
    store.load(told)
    assert built == []
    write_certificate(files[1], "new")
    store.load(told)
    assert built == ["CN=new"]
    assert visit(store, b"one.example").name == "new"


def test_an_expired_certificate_is_served_with_a_warning(
    store: ContextStore, tmp_path: Path, clock: Clock
) -> None:
    end = START + datetime.timedelta(days=120)
    path = write_certificate(tmp_path / "old.pem", "old", end=end)
    told = tls([told_file(path)], {"default": 0})
    store.load(told)
    assert store.warnings == []
    clock.now = end - datetime.timedelta(days=3)
    store.load(told)  # the file is the same, the day is not
    assert [line for line in store.warnings if "expires in 3 days" in line]
    clock.now = end + datetime.timedelta(days=3)
    store.load(told)
    assert [line for line in store.warnings if "expired on" in line]
    assert visit(store).name == "old"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_change_is_refused(
    store: ContextStore, files: list[Path], mode: int
) -> None:
    """Also when it was fine at the time of its first use."""
    told = tls([told_file(files[0])], {"default": 0})
    store.load(told)
    files[0].chmod(mode)
    with pytest.raises(CertificatesError, match=f"may be changed by .*chmod go-w {files[0]}"):
        store.load(told)


# -- development certificates --------------------------------------------------------------


def test_names_that_nobody_has_get_a_leaf_where_the_default_is_a_development_certificate(
    store: ContextStore, files: list[Path], tmp_path: Path
) -> None:
    certificates = [told_file(files[0]), told_names("app.localhost")]
    store.load(tls(certificates, {"app.localhost": 1, "default": 1}, {"default": 0}))
    assert store.ca_path == tmp_path / "state" / "ca.pem"
    assert visit(store, b"app.localhost").names == ["app.localhost"]
    assert visit(store, b"other.localhost").names == ["other.localhost"]
    assert visit(store, b"other.example").names == ["app.localhost"]
    assert visit(store).names == ["app.localhost"]
    assert visit(store, b"other.localhost", endpoint=1).name == "zero"


def test_a_wildcard_gets_leaves_on_demand(store: ContextStore, files: list[Path]) -> None:
    certificates = [told_file(files[0]), told_names("*.localhost")]
    store.load(
        tls(certificates, {"*.localhost": 1, "default": 0}, {"*.localhost": 1, "default": 1})
    )
    assert visit(store, b"a.localhost").names == ["a.localhost"]
    assert visit(store, b"a.b.localhost").name == "zero"
    assert visit(store).name == "zero"
    assert visit(store, endpoint=1).names == [*devca.DEFAULT_NAMES[:1]]


@every_version
def test_leaves_on_demand_keep_to_their_policy(store: ContextStore, tls13: bool) -> None:
    names = {"a.localhost": 0, "*.localhost": 1, "default": 0}
    store.load(tls([told_names("a.localhost"), told_names("*.localhost", policy="strict")], names))
    session = visit(store, b"a.localhost", tls13=tls13).session
    assert not visit(store, b"b.localhost", tls13=tls13, session=session).resumed
    assert visit(store, b"a.localhost", tls13=tls13).policy == ""
    assert visit(store, b"b.localhost", tls13=tls13).policy == "strict"


def test_their_number_is_limited_over_all_reloads(
    store: ContextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(development, "MAX_NAMES", 2)
    told = tls([told_names("localhost")], {"default": 0})
    store.load(told)
    assert visit(store, b"a.localhost").names == ["a.localhost"]
    store.load(told)
    assert visit(store, b"b.localhost").names == ["b.localhost"]
    assert visit(store, b"c.localhost").names == ["localhost"]
    assert visit(store, b"a.localhost").names == ["a.localhost"]


def loaded(store: ContextStore, name: str) -> Loaded:
    entry = store._endpoints[0].names.find(name)
    assert isinstance(entry, _Entry)
    return store._loaded(entry, name)


def test_they_are_renewed_in_time(store: ContextStore, clock: Clock) -> None:
    store.load(tls([told_names("localhost")], {"default": 0}))
    session = visit(store).session
    visit(store, b"a.localhost")
    served = [loaded(store, name) for name in ("", "a.localhost")]
    clock.now += RECHECK
    assert visit(store, session=session).resumed
    assert [loaded(store, name) for name in ("", "a.localhost")] == served
    clock.now += devca.LEAF_LIFETIME - devca.LEAF_RENEWAL
    assert not visit(store, session=session).resumed
    renewed = [loaded(store, name) for name in ("", "a.localhost")]
    for before, after in zip(served, renewed, strict=True):
        assert after.chain[0].not_valid_after_utc > before.chain[0].not_valid_after_utc


def test_a_renewal_that_fails_leaves_what_there_is(
    store: ContextStore, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.load(tls([told_names("localhost")], {"default": 0}))
    (tmp_path / "state" / "ca.pem").unlink()
    clock.now += RECHECK
    assert visit(store).names == ["localhost"]
    assert "cannot be renewed" in caplog.text
    assert visit(store, b"a.localhost").names == ["localhost"]
    assert "no certificate for a name" in caplog.text
