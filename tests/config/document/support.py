"""Reading documents in tests without a file system."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from kssl.config.document.read import DEFAULT_LISTEN, Request, read_text
from kssl.config.errors import ConfigError, ProblemsError
from kssl.config.model import Configuration
from kssl.config.parameter import Profile, Value
from kssl.config.target import Listen, Target
from tests.examples import examples

FUZZ_EXAMPLES = int(os.environ.get("KSSL_FUZZ_EXAMPLES", examples(500)))
FOLDERS = ("cas", "between")
"""What is a folder for `FakeFiles`; all else is a file."""
UPSTREAMS = 'upstreams = ["8000"]\n'


class FakeFiles:
    """Every file is there and in good hands but those called `missing`. It notes what was asked."""

    def __init__(self, missing: Collection[str] = ()) -> None:
        self._missing = missing
        self.asked: list[Path] = []

    def file(self, path: Path, what: str) -> None:
        self.asked.append(path)
        if path.name in self._missing:
            raise ConfigError(f"{what} {path} does not exist")

    folder = file

    def file_or_folder(self, path: Path, file: str, folder: str) -> None:
        self.file(path, folder if path.name in FOLDERS else file)


def a_request(
    *,
    path: Path | None = Path("/etc/kssl/kssl.toml"),
    profile: Profile | None = None,
    environment: Mapping[str, str] | None = None,
    command_line: Mapping[str, Value] | None = None,
    target: Target | None = None,
    listen: Listen = DEFAULT_LISTEN,
    listen_given: bool = False,
    certificate: Path | None = None,
    key: Path | None = None,
    upstream_ca: Path | None = None,
    client_ca: Path | None = None,
) -> Request:
    return Request(
        state_dir=Path("/state"),
        path=path,
        profile=profile,
        environment=environment or {},
        command_line=command_line or {},
        target=target,
        listen=listen,
        listen_given=listen_given,
        certificate=certificate,
        key=key,
        upstream_ca=upstream_ca,
        client_ca=client_ca,
    )


def read(
    text: str, request: Request | None = None, files: FakeFiles | None = None
) -> Configuration:
    return read_text(text, request or a_request(), files or FakeFiles())


def problems(
    text: str, request: Request | None = None, files: FakeFiles | None = None
) -> list[str]:
    """What is wrong, as ``LINE KEY: TEXT``; the folder of the file is left out."""
    with pytest.raises(ProblemsError) as caught:
        read(text, request, files)
    found = []
    for problem in caught.value.problems:
        where = problem.line if problem.file.endswith("kssl.toml") else problem.file
        found.append(f"{where} {problem.key}: {problem.text}")
    return found


def problem(text: str, request: Request | None = None, files: FakeFiles | None = None) -> str:
    """The only thing that is wrong."""
    (found,) = problems(text, request, files)
    return found
