"""The store with its staged changes: everything that `kssl cert` can do to it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from kssl.config import statedir
from kssl.config.credentials import Credentials
from kssl.config.errors import ConfigError
from kssl.config.store.bindings import read_bindings, write_bindings
from kssl.config.store.folder import Folder, chain_pem, thumbprint_of
from kssl.config.store.place import Place
from kssl.config.store.staged import (
    ADD,
    BIND,
    DELETE,
    UNBIND,
    Change,
    Changes,
    read_changes,
    write_changes,
)

FOLDER, STAGED = "certificates", "staged"
MIN_PREFIX = 8  # hex digits: 2^32 of them, and still short enough to type
_SHA1_DIGITS = 40
_DIGITS = re.compile(r"[0-9a-f]+")


def short(thumbprint: str) -> str:
    """What a person tells certificates apart by, and can type as a prefix."""
    return thumbprint[:16]


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate. `chain` is empty if `problem` says why it cannot be shown.

    `staged` is "", `ADD` or `DELETE`. Of the three groups of places the first is committed, the
    other two are staged; a place may be in the first and in the last.
    """

    thumbprint: str
    chain: tuple[x509.Certificate, ...]
    stored: bool
    staged: str = ""
    places: tuple[Place, ...] = ()
    staged_places: tuple[Place, ...] = ()
    staged_unbinds: tuple[Place, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """`dangling`: committed bindings to thumbprints that the store does not have."""

    entries: tuple[Entry, ...]
    dangling: Mapping[Place, str]
    staged: int


class Store:
    """The certificates of one state folder, bound in one configuration file.

    Every method raises ConfigError: for what a person got wrong, and for files that cannot be
    used. Those that change something hold the store's lock; the configuration file is changed
    under the state folder's.
    """

    def __init__(self, state_dir: Path, config: Path) -> None:
        self._state_dir = statedir.ensure_state_dir(state_dir)
        self._stored = Folder(statedir.ensure_state_dir(self._state_dir / FOLDER))
        self._staged = Folder(statedir.ensure_state_dir(self._stored.path / STAGED))
        self._changes_path = self._staged.path / "changes.json"
        self.config = Path(os.path.realpath(config))

    # --- staging

    def add(self, credentials: Credentials) -> tuple[str, str]:
        """Stage a certificate with its key; its thumbprint, and a note if it was known."""
        thumbprint = thumbprint_of(credentials.chain[0])
        with self._editing() as changes:
            note = ""
            stored = self._stored.has(thumbprint)
            if stored and thumbprint in changes.certificates(DELETE):
                changes.drop(None, thumbprint)
                note = "it is there already; its staged deletion is dropped"
            elif thumbprint in changes.certificates(ADD):
                note = "it is staged already"
            elif stored:
                note = "it is there already"
            known = self._staged if thumbprint in changes.certificates(ADD) else self._stored
            if note and self._same_chain(known, thumbprint, credentials):
                return thumbprint, note
            if note:
                note = "it is there already with another chain, which this one replaces"
            self._staged.write(thumbprint, credentials)
            changes.put(Change(ADD, thumbprint))
        return thumbprint, note

    def bind(self, place: Place, prefix: str) -> list[str]:
        """Stage a binding; notes on what becomes of a former one."""
        with self._editing(bindings=True) as changes:
            thumbprint = self._find(prefix, changes)
            if thumbprint in changes.certificates(DELETE):
                raise ConfigError(
                    f"{short(thumbprint)} is staged for deletion; add it again first, or drop all "
                    "staged changes: kssl cert discard"
                )
            bindings = read_bindings(self.config)
            former = changes.bindings_after(bindings).get(place)
            if former == thumbprint:
                return [f"{place} is bound to it already"]
            if bindings.get(place) == thumbprint:
                changes.drop(place)
                return [f"{place} stays bound to it; the staged change is dropped"]
            changes.put(Change(BIND, thumbprint, place))
        if former is None:
            return []
        return [f"replaces {short(former) or 'the files'} at {place}"]

    def unbind(self, place: Place) -> None:
        """Stage the end of a binding."""
        with self._editing(bindings=True) as changes:
            bindings = read_bindings(self.config)
            if place not in changes.bindings_after(bindings):
                raise ConfigError(f"{place} is not bound; what is bound: kssl cert list")
            self._unbind(place, bindings, changes)

    def _unbind(self, place: Place, bindings: Mapping[Place, str], changes: Changes) -> None:
        if place in bindings:
            changes.put(Change(UNBIND, place=place))
        else:
            changes.drop(place)

    def delete(self, prefix: str, *, force: bool, others: Collection[Path] = ()) -> list[str]:
        """Stage a deletion; notes. `force` stages the end of its bindings as well.

        `others` are configuration files that services of this state folder run with. They are
        only looked at: what they bind cannot be deleted.
        """
        with self._editing(bindings=True) as changes:
            thumbprint = self._find(prefix, changes)
            if thumbprint in changes.certificates(DELETE):
                return [f"{short(thumbprint)} is staged for deletion already"]
            bindings = read_bindings(self.config)
            used = _places(changes.bindings_after(bindings), thumbprint)
            if used and not force:
                raise ConfigError(
                    f"{short(thumbprint)} is bound to {_listed(used)}; unbind it first, or do both "
                    "with --force"
                )
            self._check_others(thumbprint, others)
            for place in used:
                self._unbind(place, bindings, changes)
            if self._stored.certificate_path(thumbprint).exists():
                changes.put(Change(DELETE, thumbprint))
                return [f"unbinds {place}" for place in used]
            changes.drop(None, thumbprint)
            return [f"{short(thumbprint)} was only staged; now it is not"]

    def discard(self) -> int:
        """Drop everything that is staged; how many changes there were, -1 if nobody can tell."""
        with statedir.locked(self._stored.path):
            try:
                count = len(read_changes(self._changes_path).items)
            except ConfigError:
                count = -1
            statedir.remove(self._changes_path)
            self._staged.sweep(keep=set())
        return count

    # --- committing

    def commit(
        self, now: datetime, others: Collection[Path] = (), keep: Collection[str] = ()
    ) -> list[Change]:
        """Apply what is staged, in the order told by the package's docstring; what it was.

        Deletions of the thumbprints in `keep` stay staged, for a later commit.

        Raises:
            ConfigError: before anything is changed, if a certificate or a key vanished or was
                altered, or one that is to be deleted has been bound meanwhile. Or a file could
                not be written: then commit can be repeated.
        """
        with statedir.locked(self._stored.path):
            changes = read_changes(self._changes_path)
            if not changes.items:
                return []
            self._check(changes, now, others)
            self._stored.sweep()
            for thumbprint in changes.certificates(ADD):
                self._stored.copy_from(self._staged, thumbprint)
            places = changes.places()
            if places:
                bound = {place: each for place, each in places.items() if each}
                write_bindings(self.config, self._state_dir, bound, places.keys() - bound.keys())
            left = [each for each in changes.items if each.op == DELETE and each.thumbprint in keep]
            done = [each for each in changes.items if each not in left]
            for change in done:
                if change.op == DELETE:
                    self._stored.remove(change.thumbprint)
            write_changes(self._changes_path, Changes(changes.config, left))
            self._staged.sweep(keep=set())
        return done

    def _check(self, changes: Changes, now: datetime, others: Collection[Path]) -> None:
        """Raises ConfigError for whatever stands in the way of a commit."""
        if any(each.op != ADD for each in changes.items):
            self._claim(changes)
        added, deleted = changes.certificates(ADD), changes.certificates(DELETE)
        for thumbprint in added:
            self._staged.verify(thumbprint, now)
        for thumbprint in sorted(set(changes.places().values()) - {"", *added}):
            self._stored.verify(thumbprint, now)
        after = changes.bindings_after(read_bindings(self.config))
        for thumbprint in deleted:
            used = _places(after, thumbprint)
            if used:
                raise ConfigError(
                    f"{short(thumbprint)} is staged for deletion and has been bound to "
                    f"{_listed(used)} meanwhile; unbind it, or kssl cert discard"
                )
            self._check_others(thumbprint, others)

    def _check_others(self, thumbprint: str, others: Collection[Path]) -> None:
        for path in others:
            used = _places(read_bindings(path), thumbprint)
            if used and path.resolve() != self.config:
                raise ConfigError(
                    f"{short(thumbprint)} is bound to {_listed(used)} in {path}, with which a "
                    f"service runs; unbind it there: kssl cert unbind --config {path}"
                )

    # --- looking

    def view(self) -> View:
        """Everything there is, stored and staged. The order is that of the thumbprints."""
        changes = read_changes(self._changes_path)
        if changes.config not in ("", str(self.config)):
            changes.items = [each for each in changes.items if each.place is None]
        bindings = read_bindings(self.config)
        stored = self._stored.thumbprints()
        added, deleted = changes.certificates(ADD), changes.certificates(DELETE)
        unbound = [place for place, each in changes.places().items() if not each]
        entries = []
        for thumbprint in sorted({*stored, *added}):
            folder = self._staged if thumbprint in added else self._stored
            chain, problem = _chain(folder, thumbprint)
            places = _places(bindings, thumbprint)
            entries.append(
                Entry(
                    thumbprint=thumbprint,
                    chain=chain,
                    stored=thumbprint in stored,
                    staged=ADD if thumbprint in added else DELETE if thumbprint in deleted else "",
                    places=places,
                    staged_places=_places(changes.places(), thumbprint),
                    staged_unbinds=tuple(
                        place
                        for place in places
                        if place in unbound or changes.places().get(place, thumbprint) != thumbprint
                    ),
                    problem=problem,
                )
            )
        dangling = {place: each for place, each in bindings.items() if each and each not in stored}
        return View(tuple(entries), dangling, len(changes.items))

    def deletions(self) -> list[str]:
        """The thumbprints that are staged for deletion."""
        return read_changes(self._changes_path).certificates(DELETE)

    def staged(self) -> int:
        """How many changes are staged."""
        return len(read_changes(self._changes_path).items)

    def entry(self, prefix: str) -> Entry:
        """The one that `prefix` names."""
        thumbprint = self._find(prefix, read_changes(self._changes_path))
        return next(each for each in self.view().entries if each.thumbprint == thumbprint)

    # --- common

    @contextlib.contextmanager
    def _editing(self, *, bindings: bool = False) -> Iterator[Changes]:
        """The staged changes, written down at the end; `bindings`: the file matters to them."""
        with statedir.locked(self._stored.path):
            changes = read_changes(self._changes_path)
            self._staged.sweep(keep=set(changes.certificates(ADD)))
            if bindings:
                self._claim(changes)
            yield changes
            if all(each.op == ADD for each in changes.items):
                changes.config = ""
            write_changes(self._changes_path, changes)
            self._staged.sweep(keep=set(changes.certificates(ADD)))

    def _claim(self, changes: Changes) -> None:
        if changes.config not in ("", str(self.config)):
            raise ConfigError(
                f"changes are staged for {changes.config}, not for {self.config}; give --config "
                f"{changes.config}, or drop them: kssl cert discard"
            )
        changes.config = str(self.config)

    def _find(self, prefix: str, changes: Changes) -> str:
        """The thumbprint that begins with `prefix`, as typed; stored or staged."""
        digits = prefix.replace(":", "").replace(" ", "").lower()
        if not _DIGITS.fullmatch(digits) or len(digits) < MIN_PREFIX:
            raise ConfigError(
                f"{prefix!r} is not a thumbprint; give {MIN_PREFIX} or more of its hex digits, "
                "as kssl cert list shows them"
            )
        known = {*self._stored.thumbprints(), *changes.certificates(ADD)}
        found = sorted(each for each in known if each.startswith(digits))
        if len(found) > 1:
            listed = ", ".join(found)
            raise ConfigError(f"{prefix!r} begins {len(found)} thumbprints ({listed}); give more")
        if not found:
            hint = "; it has the length of a SHA-1 one" if len(digits) == _SHA1_DIGITS else ""
            raise ConfigError(
                f"no certificate in the store has a SHA-256 thumbprint that begins with "
                f"{prefix!r}{hint}; what is there: kssl cert list"
            )
        return found[0]

    def _same_chain(self, folder: Folder, thumbprint: str, credentials: Credentials) -> bool:
        try:
            return chain_pem(folder.chain(thumbprint)) == chain_pem(credentials.chain)
        except ConfigError:
            return False  # damaged: to be replaced


def _chain(folder: Folder, thumbprint: str) -> tuple[tuple[x509.Certificate, ...], str]:
    try:
        chain = tuple(folder.chain(thumbprint))
    except ConfigError as error:
        return (), str(error)
    key = folder.key_path(thumbprint)
    return chain, "" if key.exists() else f"its key {key} has vanished; add it again"


def _places(bindings: Mapping[Place, str], thumbprint: str) -> tuple[Place, ...]:
    return tuple(sorted(place for place, each in bindings.items() if each == thumbprint))


def _listed(places: Sequence[Place]) -> str:
    return ", ".join(str(place) for place in places)
