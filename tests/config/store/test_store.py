"""kssl.config.store.store: staging. Nothing of it may be seen outside the staged folder."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kssl.config.errors import ConfigError
from kssl.config.store.bindings import read_bindings
from kssl.config.store.place import HOSTNAMEPORT, IPPORT, parse_place
from kssl.config.store.staged import ADD, DELETE
from kssl.config.store.store import Store
from tests.config.store.made import APP, NOW, OTHER, WEB, Made, secrets_of

ANY = parse_place(IPPORT, "*:443")
NAME = parse_place(HOSTNAMEPORT, "app.example:443")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below, but for locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock"
    }


def committed(state: Path) -> dict[str, bytes]:
    """As `contents`, without what is staged."""
    return {name: data for name, data in contents(state).items() if "/staged/" not in name}


def stored(store: Store, *made: Made) -> None:
    for each in made:
        store.add(each.credentials())
    store.commit(NOW)


def test_adding_is_staged(store: Store, state: Path) -> None:
    assert store.add(APP.credentials()) == (APP.thumbprint, "")
    assert committed(state) == {}
    staged = state / "certificates" / "staged"
    assert sorted(contents(staged)) == sorted(
        [f"{APP.thumbprint}.key", f"{APP.thumbprint}.pem", "changes.json"]
    )
    for path in (state / "certificates", staged):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((staged / f"{APP.thumbprint}.key").stat().st_mode) == 0o600
    (entry,) = store.view().entries
    assert (entry.staged, entry.stored, entry.problem) == (ADD, False, "")


def test_commit_stores_the_chain_in_order_and_the_key(store: Store, state: Path) -> None:
    shuffled = APP.credentials(b"".join(reversed(APP.chain)))
    assert any("out of order" in warning for warning in shuffled.warnings)
    store.add(shuffled)
    store.commit(NOW)
    found = committed(state)
    assert sorted(found) == [
        f"certificates/{APP.thumbprint}.key",
        f"certificates/{APP.thumbprint}.pem",
    ]
    assert found[f"certificates/{APP.thumbprint}.pem"].split() == APP.pem.split()
    key = state / "certificates" / f"{APP.thumbprint}.key"
    assert key.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert contents(state) == found  # nothing is left staged
    (entry,) = store.view().entries
    assert (entry.staged, entry.stored, entry.places) == ("", True, ())


def test_what_is_there_already(store: Store) -> None:
    store.add(APP.credentials())
    assert store.add(APP.credentials())[1] == "it is staged already"
    store.commit(NOW)
    assert store.add(APP.credentials())[1] == "it is there already"
    assert store.staged() == 0


def test_another_chain_for_the_same_certificate_replaces_it(store: Store, state: Path) -> None:
    store.add(APP.credentials(APP.chain[0]))
    store.commit(NOW)
    assert "another chain" in store.add(APP.credentials())[1]
    store.commit(NOW)
    pem = state / "certificates" / f"{APP.thumbprint}.pem"
    assert pem.read_bytes().split() == APP.pem.split()


def test_a_certificate_whose_key_has_vanished_can_be_added_again(store: Store, state: Path) -> None:
    stored(store, APP)
    (state / "certificates" / f"{APP.thumbprint}.key").unlink()
    assert "vanished" in store.view().entries[0].problem
    assert store.add(APP.credentials()) == (APP.thumbprint, "")
    store.commit(NOW)
    assert store.view().entries[0].problem == ""


def test_binding_is_staged_then_committed(store: Store, state: Path, config: Path) -> None:
    store.add(APP.credentials())
    assert store.bind(ANY, APP.thumbprint[:8]) == []
    assert store.bind(NAME, ":".join([APP.thumbprint.upper()])) == []
    assert committed(state) == {}
    assert store.view().entries[0].staged_places == (NAME, ANY)
    store.commit(NOW)
    assert read_bindings(config) == {ANY: APP.thumbprint, NAME: APP.thumbprint}
    assert store.view().entries[0].places == (NAME, ANY)


def test_rebinding_replaces_with_a_note(store: Store, config: Path) -> None:
    stored(store, APP, WEB)
    store.bind(ANY, APP.thumbprint)
    store.commit(NOW)
    assert store.bind(ANY, WEB.thumbprint) == [f"replaces {APP.thumbprint[:16]} at ipport=*:443"]
    assert store.bind(ANY, WEB.thumbprint) == ["ipport=*:443 is bound to it already"]
    by_thumbprint = {each.thumbprint: each for each in store.view().entries}
    assert by_thumbprint[APP.thumbprint].staged_unbinds == (ANY,)
    assert store.bind(ANY, APP.thumbprint) == [
        "ipport=*:443 stays bound to it; the staged change is dropped"
    ]
    assert store.staged() == 0
    store.bind(ANY, WEB.thumbprint)
    store.commit(NOW)
    assert read_bindings(config) == {ANY: WEB.thumbprint}


def test_a_binding_to_files_is_replaced_with_a_note(store: Store, config: Path) -> None:
    stored(store, APP)
    config.write_text('[[binding]]\nipport = "*:443"\ncertificate = "x.pem"\n')
    assert store.bind(ANY, APP.thumbprint) == ["replaces the files at ipport=*:443"]


def test_unbinding(store: Store, config: Path) -> None:
    stored(store, APP)
    with pytest.raises(ConfigError, match=r"ipport=\*:443 is not bound.*kssl cert list"):
        store.unbind(ANY)
    store.bind(ANY, APP.thumbprint)
    store.unbind(ANY)
    assert store.staged() == 0  # it was only staged
    store.bind(ANY, APP.thumbprint)
    store.commit(NOW)
    store.unbind(ANY)
    with pytest.raises(ConfigError, match="is not bound"):
        store.unbind(ANY)
    assert read_bindings(config) == {ANY: APP.thumbprint}
    store.commit(NOW)
    assert read_bindings(config) == {}


def test_deleting(store: Store, state: Path) -> None:
    stored(store, APP, WEB)
    assert store.delete(APP.thumbprint, force=False) == []
    assert "already" in store.delete(APP.thumbprint, force=False)[0]
    assert len(committed(state)) == 4
    with pytest.raises(ConfigError, match="staged for deletion; add it again"):
        store.bind(ANY, APP.thumbprint)
    store.commit(NOW)
    assert [each.thumbprint for each in store.view().entries] == [WEB.thumbprint]
    assert len(committed(state)) == 2


def test_adding_what_is_staged_for_deletion_keeps_it(store: Store) -> None:
    stored(store, APP)
    store.delete(APP.thumbprint, force=False)
    assert "deletion is dropped" in store.add(APP.credentials())[1]
    assert store.staged() == 0


def test_deleting_what_is_only_staged(store: Store, state: Path) -> None:
    store.add(APP.credentials())
    assert "only staged" in store.delete(APP.thumbprint, force=False)[0]
    assert contents(state) == {}  # its key too


def test_what_is_bound_is_not_deleted(store: Store, config: Path) -> None:
    stored(store, APP)
    store.bind(ANY, APP.thumbprint)
    for _ in range(2):  # staged, then committed
        with pytest.raises(ConfigError, match=r"is bound to ipport=\*:443; unbind.*--force"):
            store.delete(APP.thumbprint, force=False)
        store.commit(NOW)
    assert store.delete(APP.thumbprint, force=True) == ["unbinds ipport=*:443"]
    assert read_bindings(config) == {ANY: APP.thumbprint}
    store.commit(NOW)
    assert read_bindings(config) == {}
    assert store.view().entries == ()


def test_a_staged_unbind_lets_it_be_deleted(store: Store) -> None:
    stored(store, APP)
    store.bind(ANY, APP.thumbprint)
    store.commit(NOW)
    store.unbind(ANY)
    assert store.delete(APP.thumbprint, force=False) == []
    assert store.view().entries[0].staged == DELETE


def test_what_another_service_binds_is_not_deleted(store: Store, tmp_path: Path) -> None:
    stored(store, APP)
    other = tmp_path / "other.toml"
    other.write_text(f'[[binding]]\nipport = "*:443"\ncerthash = "{APP.thumbprint}"\n')
    with pytest.raises(ConfigError, match=r"other\.toml, with which a service runs"):
        store.delete(APP.thumbprint, force=True, others=[other])
    assert store.staged() == 0


def test_changes_are_staged_for_one_file(store: Store, state: Path, tmp_path: Path) -> None:
    other = Store(state, tmp_path / "other.toml")
    store.add(APP.credentials())
    store.bind(ANY, APP.thumbprint)
    with pytest.raises(ConfigError, match=r"staged for .*kssl\.toml, not for .*other\.toml"):
        other.bind(NAME, APP.thumbprint)
    with pytest.raises(ConfigError, match="--config"):
        other.commit(NOW)
    store.unbind(ANY)  # an addition depends on no file
    other.bind(NAME, APP.thumbprint)
    other.commit(NOW)
    assert read_bindings(other.config) == {NAME: APP.thumbprint}


def test_discard_leaves_no_trace(store: Store, state: Path) -> None:
    assert store.discard() == 0
    stored(store, APP)
    before = contents(state)
    store.add(WEB.credentials())
    store.bind(ANY, WEB.thumbprint)
    store.delete(APP.thumbprint, force=False)
    assert store.discard() == 3
    assert contents(state) == before


def test_discard_helps_with_a_broken_file(store: Store, state: Path) -> None:
    store.add(APP.credentials())
    changes = state / "certificates" / "staged" / "changes.json"
    changes.write_text("{")
    for act in (store.view, store.staged, lambda: store.commit(NOW)):
        with pytest.raises(ConfigError, match="kssl cert discard"):
            act()
    assert store.discard() == -1
    assert contents(state) == {}


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("", "not a thumbprint"),
        ("abcdef0", "8 or more"),
        ("nonsense", "not a thumbprint"),
        ("\x1b[2Jabcdef01", "not a thumbprint"),
        ("00000000", "no certificate in the store"),
        ("0" * 40, "SHA-1"),
        ("0" * 65, "no certificate in the store"),
    ],
)
def test_what_names_no_certificate(store: Store, prefix: str, words: str) -> None:
    stored(store, APP)
    with pytest.raises(ConfigError, match=words) as caught:
        store.entry(prefix)
    assert str(caught.value).isprintable()


def test_a_prefix_that_names_two(store: Store, state: Path) -> None:
    stored(store, APP)
    twin = APP.thumbprint[:10] + "0" * 54
    (state / "certificates" / f"{twin}.pem").write_bytes(WEB.pem)
    with pytest.raises(ConfigError, match="begins 2 thumbprints"):
        store.entry(APP.thumbprint[:10])
    assert store.entry(APP.thumbprint[:30]).thumbprint == APP.thumbprint


def test_files_that_are_no_certificates_are_shown_as_damaged(store: Store, state: Path) -> None:
    stored(store, APP, WEB)
    folder = state / "certificates"
    (folder / f"{APP.thumbprint}.pem").write_bytes(b"")
    (folder / f"{WEB.thumbprint}.pem").write_bytes(OTHER.pem)
    (folder / "notes.pem").write_bytes(b"not ours")
    problems = {each.thumbprint: each.problem for each in store.view().entries}
    assert "damaged" in problems[APP.thumbprint]
    assert "altered" in problems[WEB.thumbprint]
    assert len(problems) == 2


def test_two_at_a_time(state: Path, config: Path) -> None:
    """Each addition reads the list of changes and writes it anew; none may be lost."""
    many = [Made(f"app{number}.example") for number in range(12)]

    def add(made: Made) -> None:
        Store(state, config).add(made.credentials())

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, many))
    store = Store(state, config)
    assert store.staged() == len(many)
    store.commit(NOW)
    assert {each.thumbprint for each in store.view().entries} == {each.thumbprint for each in many}


@pytest.mark.parametrize("folder", [".", "certificates", "certificates/staged"])
def test_folders_that_others_may_write_are_refused(
    store: Store, state: Path, config: Path, folder: str
) -> None:
    (state / folder).chmod(0o770)
    with pytest.raises(ConfigError, match="others may write"):
        Store(state, config)


def test_a_key_that_others_may_read_stops_the_commit(store: Store, state: Path) -> None:
    store.add(APP.credentials())
    (state / "certificates" / "staged" / f"{APP.thumbprint}.key").chmod(0o640)
    with pytest.raises(ConfigError, match="others may use the private key"):
        store.commit(NOW)
    assert committed(state) == {}


def test_a_configuration_that_cannot_be_read(store: Store, config: Path, state: Path) -> None:
    stored(store, APP)
    config.write_text("[[binding]")
    with pytest.raises(ConfigError, match=r"kssl\.toml:1: not TOML"):
        store.bind(ANY, APP.thumbprint)
    with pytest.raises(ConfigError, match=r"kssl\.toml:1: not TOML"):
        store.delete(APP.thumbprint, force=False)
    assert not any(secret in str(contents(state)) for secret in secrets_of(WEB))
