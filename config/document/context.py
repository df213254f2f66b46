"""What the parts of the reader need to know besides the document."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from config import trusted
from config.parameter import Profile
from config.profiles import RULES, Rules
from config.target import Listen


class Files(Protocol):
    """Looks at files without reading them; `what` names them in messages. Raises ConfigError."""

    def file(self, path: Path, what: str) -> None:
        """It is there, and nobody but its owner and root may change it."""

    def folder(self, path: Path, what: str) -> None:
        """As `file`, for a folder that a file is to be made in."""


class TrustedFiles:
    """The real files."""

    def file(self, path: Path, what: str) -> None:
        trusted.check_trusted_file(path, what)

    def folder(self, path: Path, what: str) -> None:
        trusted.check_trusted_folder(path, what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """`folder`: what file names in the document are relative to. `listen`: of sites without
    bindings."""

    folder: Path
    state_dir: Path
    files: Files
    listen: Listen
    profile: Profile
    kernel_mode: bool

    @property
    def rules(self) -> Rules:
        return RULES[self.profile]
