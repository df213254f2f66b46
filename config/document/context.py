"""What the parts of the reader need to know besides the document."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kssl.config import trusted
from kssl.config.parameter import Profile
from kssl.config.parameters import Parameters
from kssl.config.profiles import RULES, Rules, no_client_certificates
from kssl.config.target import Listen


class Files(Protocol):
    """Looks at files without reading them; `what` names them in messages. Raises ConfigError."""

    def file(self, path: Path, what: str) -> None:
        """It is there, and nobody but its owner and root may change it."""

    def folder(self, path: Path, what: str) -> None:
        """As `file`, for a folder that a file is to be made in."""

    def file_or_folder(self, path: Path, file: str, folder: str) -> None:
        """As `file`; or a folder whose files count as much. Messages name it `file` or `folder`."""


class TrustedFiles:
    """The real files."""

    def file(self, path: Path, what: str) -> None:
        trusted.check_trusted_file(path, what)

    def folder(self, path: Path, what: str) -> None:
        trusted.check_trusted_folder(path, what)

    def file_or_folder(self, path: Path, file: str, folder: str) -> None:
        if os.path.isdir(path):  # Path.is_dir raises where it may not look
            trusted.check_trusted_content(path, folder)
        else:
            self.file(path, file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """`folder`: what file names in the document are relative to. `listen`: of sites without
    bindings."""

    folder: Path
    state_dir: Path
    files: Files
    listen: Listen
    profile: Profile
    parameters: Parameters

    @property
    def rules(self) -> Rules:
        return RULES[self.profile]

    @property
    def no_client_certificates(self) -> str:
        """Why no site may ask for a client certificate; "" if sites may."""
        return no_client_certificates(
            self.profile,
            kernel_mode=bool(self.parameters.enable_kernel_ssl),
            reject=bool(self.parameters.reject_client_certificates),
        )
