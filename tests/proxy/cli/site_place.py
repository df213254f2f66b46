"""For the tests of `kssl cert test --site`: certificates, and a folder with a configuration."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kssl.fastpath.verifier.kept import FOLDER
from kssl.proxy.cli import main
from tests.fastpath.verifier.rules.pki import Made, self_signed

ROOT = self_signed("CN=Root,O=Example")
MIDDLE = ROOT.issue("CN=Middle,O=Example", ca=True)
ALICE = MIDDLE.issue("CN=alice")
AT = "2026-06-01T12:00Z"


@dataclass
class Place:
    """A configuration folder with ca.pem, and the command in this process."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def site(self, *lines: str, flags: str = "SslNegotiateCert", name: str = "app") -> str:
        """One [[site]]."""
        return "\n".join(
            [
                "[[site]]", f'name = "{name}"', f'hostnames = ["{name}.localhost"]',
                'upstreams = ["8000"]', f'sslFlags = ["Ssl", "{flags}"]', 'client_ca = "ca.pem"',
                *lines, "",
            ]
        )  # fmt: skip

    def configure(self, *sections: str) -> None:
        self.write("kssl.toml", "\n".join(sections).encode())

    def write(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.write_bytes(data)
        path.chmod(0o600)
        return str(path)

    def keep(self, *made: Made) -> Path:
        """As the verifier does."""
        folder = self.folder / "state" / FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "state").chmod(0o700)
        for each in made:
            path = folder / f"{hashlib.sha256(each.der).hexdigest()}.der"
            path.write_bytes(each.der)
            path.chmod(0o600)
        return folder

    def run(self, *arguments: str, site: str = "app", at: str = AT) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        code = main(
            [
                "cert", "test", str(self.folder / "alice.pem"), "--site", site, "--at", at,
                "--config", str(self.folder / "kssl.toml"),
                "--state-dir", str(self.folder / "state"), *arguments,
            ]
        )  # fmt: skip
        told = self.capsys.readouterr()
        return code, told.out, told.err

    def json(self, *arguments: str, site: str = "app", at: str = AT) -> dict[str, Any]:
        code, out, err = self.run("--json", *arguments, site=site, at=at)
        assert err == ""
        found: dict[str, Any] = json.loads(out)
        assert code == (0 if found["ok"] else 1)
        return found

    def refused(self, *arguments: str, site: str = "app") -> list[str]:
        code, out, err = self.run(*arguments, site=site)
        assert (code, out) == (2, "")
        return err.splitlines()


def made_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    """With one site that asks, and alice.pem below the CA that it trusts."""
    place = Place(folder, capsys)
    place.write("ca.pem", ROOT.pem)
    place.write("alice.pem", ALICE.pem + MIDDLE.pem)
    place.configure(place.site())
    return place
