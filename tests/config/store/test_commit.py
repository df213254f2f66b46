"""kssl.config.store.store: commit refuses what does not fit, and can be repeated after a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from kssl.config import statedir
from kssl.config.errors import ConfigError
from kssl.config.store import store as module
from kssl.config.store.bindings import read_bindings
from kssl.config.store.folder import Folder
from kssl.config.store.place import IPPORT, parse_place
from kssl.config.store.store import Store
from tests.config.store.made import APP, NOW, OTHER, WEB
from tests.config.store.test_store import committed, contents, stored

ANY = parse_place(IPPORT, "*:443")
ADDRESS = parse_place(IPPORT, "0.0.0.0:443")


class Crash(BaseException):
    """As if the process died: nothing that handles errors sees it."""


@pytest.fixture
def staged(store: Store, state: Path) -> Store:
    """OTHER is stored and bound; APP staged to take its place, OTHER to be deleted."""
    stored(store, OTHER)
    store.bind(ANY, OTHER.thumbprint)
    store.commit(NOW)
    store.add(APP.credentials())
    store.bind(ANY, APP.thumbprint)
    store.bind(ADDRESS, APP.thumbprint)
    store.delete(OTHER.thumbprint, force=False)
    return store


def works(store: Store, state: Path) -> None:
    """Whatever the file binds is in the store, whole."""
    folder = Folder(state / "certificates")
    bindings = read_bindings(store.config)
    assert bindings
    for thumbprint in bindings.values():
        folder.verify(thumbprint, NOW)


def done(store: Store, state: Path) -> None:
    works(store, state)
    assert read_bindings(store.config) == {ANY: APP.thumbprint, ADDRESS: APP.thumbprint}
    # A crash may leave a copy of kssl.toml, half written, beside it. It holds no secret.
    assert sorted(name for name in contents(state) if not name.startswith(".")) == [
        f"certificates/{APP.thumbprint}.key",
        f"certificates/{APP.thumbprint}.pem",
        "kssl.toml",
    ]


def test_without_a_crash(staged: Store, state: Path) -> None:
    assert [change.op for change in staged.commit(NOW)] == ["add", "bind", "bind", "delete"]
    done(staged, state)
    assert staged.commit(NOW) == []


@pytest.mark.parametrize(
    "step", ["copy_from", "write_bindings", "remove", "sweep", "key of the copy"]
)
def test_a_crash_before_each_step(
    staged: Store, state: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        if step == "write_bindings":
            patch.setattr(module, "write_bindings", crash)
        elif step == "key of the copy":  # its key is written, its certificate is not
            patch.setattr(statedir, "write_public", crash)
        else:
            patch.setattr(Folder, step, crash)
        with pytest.raises(Crash):
            staged.commit(NOW)
    works(staged, state)
    again = Store(state, staged.config)
    again.commit(NOW)
    done(again, state)


@pytest.mark.parametrize("number", range(12))
def test_a_crash_at_each_change_of_a_file(
    staged: Store, state: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Before the `number`-th rename or deletion; the last numbers come after the end."""
    left = number

    def counted(act: object) -> object:
        def run(self: Path, *arguments: object, **options: object) -> object:
            nonlocal left
            if left == 0:
                raise Crash
            left -= 1
            return act(self, *arguments, **options)  # type: ignore[operator]

        return run

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", counted(Path.rename))
        patch.setattr(Path, "unlink", counted(Path.unlink))
        try:
            staged.commit(NOW)
        except Crash:
            pass
        else:
            assert number > 7
    works(staged, state)
    again = Store(state, staged.config)
    again.commit(NOW)
    again.discard()
    done(again, state)


def test_leaving_without_commit_changes_nothing(staged: Store, state: Path) -> None:
    assert read_bindings(staged.config) == {ANY: OTHER.thumbprint}
    assert {name.split("/")[-1].split(".")[0] for name in committed(state)} == {
        OTHER.thumbprint, "kssl"
    }  # fmt: skip


@pytest.mark.parametrize("suffix", ["pem", "key"])
@pytest.mark.parametrize("how", ["gone", "other", "damaged"])
@pytest.mark.parametrize("folder", ["certificates", "certificates/staged"])
def test_what_vanished_or_was_altered_is_refused(
    store: Store, state: Path, suffix: str, how: str, folder: str
) -> None:
    """Both of what is about to be added and of what is stored and about to be bound."""
    stored(store, WEB)
    store.add(APP.credentials())
    store.bind(ANY, APP.thumbprint)
    store.bind(ADDRESS, WEB.thumbprint)
    made = WEB if folder == "certificates" else APP
    path = state / folder / f"{made.thumbprint}.{suffix}"
    if how == "gone":
        path.unlink()
    elif how == "other":
        path.write_bytes(OTHER.pem if suffix == "pem" else OTHER.key)
    else:
        path.write_bytes(path.read_bytes()[:200])
    before = contents(state)
    with pytest.raises(ConfigError) as caught:
        store.commit(NOW)
    assert made.thumbprint in str(caught.value)
    assert contents(state) == before


def test_what_was_bound_meanwhile_is_not_deleted(store: Store, state: Path) -> None:
    stored(store, APP)
    store.delete(APP.thumbprint, force=False)
    store.config.write_text(f'[[binding]]\nipport = "*:443"\ncerthash = "{APP.thumbprint}"\n')
    before = contents(state)
    with pytest.raises(ConfigError, match=r"bound to ipport=\*:443 meanwhile"):
        store.commit(NOW)
    assert contents(state) == before


def test_a_file_that_cannot_be_written_stops_before_the_deletes(
    staged: Store, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise ConfigError("cannot write kssl.toml: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(statedir, "replace", full)
        with pytest.raises(ConfigError, match="No space left"):
            staged.commit(NOW)
    works(staged, state)
    staged.commit(NOW)
    done(staged, state)


def test_what_a_crash_has_left_is_swept(store: Store, state: Path) -> None:
    stored(store, APP)
    folder = state / "certificates"
    for name in (".0123456789abcdef.tmp", f"{WEB.thumbprint}.key"):
        (folder / name).write_bytes(WEB.key)
        (folder / "staged" / name).write_bytes(WEB.key)
    store.add(OTHER.credentials())
    store.commit(NOW)
    assert not any(WEB.key in data for data in contents(state).values())


def test_a_deletion_can_be_left_for_later(staged: Store, state: Path) -> None:
    key = state / "certificates" / f"{OTHER.thumbprint}.key"
    done_now = staged.commit(NOW, keep={OTHER.thumbprint, WEB.thumbprint})
    assert [change.op for change in done_now] == ["add", "bind", "bind"]
    assert key.exists()
    assert staged.deletions() == [OTHER.thumbprint]
    assert staged.commit(NOW, keep={OTHER.thumbprint}) == []
    assert [change.op for change in staged.commit(NOW)] == ["delete"]
    done(staged, state)
