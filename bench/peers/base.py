"""What a peer is made of, and how it becomes a `Subject`."""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kssl.bench.contract import Peer, Subject, Surroundings
from kssl.bench.errors import BenchError
from kssl.bench.process import find_program, free_port, running


@dataclass(frozen=True, slots=True)
class Place:
    """Where one instance of a peer runs, and for whom."""

    folder: Path
    port: int
    upstream: int
    certificate: Path
    key: Path

    @property
    def both(self) -> Path:
        """The key and the certificate chain in one file, as several programs want them."""
        return self.folder / "both.pem"


@dataclass(frozen=True, slots=True)
class Setup:
    """Files for the peer's folder, and what to run there."""

    files: Mapping[str, str]
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        """For people: the command, then each file."""
        environment = "".join(
            f"{name}={shlex.quote(text)} " for name, text in self.environment.items()
        )
        parts = [f"# {environment}{shlex.join(self.command)}\n"]
        parts += [f"\n# --- {name}\n{text}" for name, text in self.files.items()]
        return "".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How a peer is found, configured and told from others.

    ``find`` gets `Surroundings.venv`. ``processes`` is how many it has at least when it is
    complete. ``note`` is what a reader must know to compare it.
    """

    name: str
    find: Callable[[Path | None], str | None]
    version: Callable[[str], str]
    setup: Callable[[str, Place], Setup]
    install: str
    processes: int = 1
    kind: str = "peer"
    scheme: str = "https"
    note: str = ""

    def peer(self) -> Peer:
        """As the benchmark wants it."""
        return Peer(self.start, self.missing)

    def missing(self, venv: Path | None = None) -> str | None:
        """Why it cannot run and what to do, or None."""
        return None if self.find(venv) else self.install

    def configuration(self, place: Place, venv: Path | None = None) -> str:
        """All that it would be started with, installed or not."""
        return self.setup(self.find(venv) or self.name, place).as_text()

    @contextlib.contextmanager
    def start(self, around: Surroundings) -> Iterator[Subject]:
        """Runs until the block ends. Raises BenchError."""
        program = self.find(around.venv)
        if program is None:
            raise BenchError(f"{self.name}: {self.install}")
        version = self.version(program)
        with tempfile.TemporaryDirectory(prefix=f"{self.name}-", dir=around.folder) as folder:
            place = Place(
                Path(folder), free_port(), around.upstream, around.certificate, around.key
            )
            setup = self.setup(program, place)
            _write(setup, place)
            settings = {"config": setup.as_text()}
            if self.note:
                settings["note"] = self.note
            with running(
                self.name,
                setup.command,
                place.folder,
                place.port,
                tls=self.scheme == "https",
                processes=self.processes,
                environment=setup.environment,
            ) as pids:
                yield Subject(
                    name=self.name,
                    port=place.port,
                    pids={"front": pids},
                    version=version,
                    settings=settings,
                    kind=self.kind,
                    scheme=self.scheme,
                )


def on_path(name: str) -> Callable[[Path | None], str | None]:
    """A `Program.find` for a program of the system."""
    return lambda _venv: find_program(name)


def in_venv(name: str) -> Callable[[Path | None], str | None]:
    """A `Program.find` for a Python package: a script in the virtual environment."""

    def find(venv: Path | None) -> str | None:
        # Absolute, because it is started in another folder.
        path = None if venv is None else venv.absolute() / "bin" / name
        return str(path) if path is not None and os.access(path, os.X_OK) else None

    return find


def _write(setup: Setup, place: Place) -> None:
    for name, text in setup.files.items():
        (place.folder / name).write_text(text)
    # Nobody else may read the key.
    with open(os.open(place.both, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(place.key.read_bytes() + place.certificate.read_bytes())
