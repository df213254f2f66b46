"""`kssl check`: everything that is wrong, and what a profile supports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.parameter import Profile
from config.support import rows
from tests.proxy.cli.conftest import Files, Kssl

SITE = '[[site]]\nhostnames = ["app.localhost"]\nupstreams = ["8000"]\n'


def write(folder: Path, text: str) -> str:
    path = folder / "kssl.toml"
    path.write_text(text)
    return str(path)


def test_fine(kssl: Kssl, tmp_path: Path) -> None:
    result = kssl("check", "--config", write(tmp_path, SITE))
    assert (result.returncode, result.stderr) == (0, "")
    assert "app.localhost on https://127.0.0.1:8443 → http://127.0.0.1:8000" in result.stdout
    assert "kssl.toml is fine" in result.stdout


def test_every_problem_has_a_line(kssl: Kssl, tmp_path: Path) -> None:
    path = write(tmp_path, SITE + "colour = 1\n[parameters]\nMaxConnections = 5\n")
    result = kssl("check", "--config", path)
    assert result.returncode == 1
    assert [line.split(": ")[1:3] for line in result.stderr.splitlines()] == [
        [f"{path}:4", "site[1].colour"],
        [f"{path}:6", "parameters.MaxConnections"],
    ]


def test_certificates_are_loaded(kssl: Kssl, tmp_path: Path, files: Files) -> None:
    text = f'certificate = "{files.cert}"\nkey = "{files.other_key}"\n'
    result = kssl("check", "--config", write(tmp_path, SITE + text), "--json")
    assert result.returncode == 1
    (problem,) = json.loads(result.stdout)["problems"]
    assert "does not belong to" in problem
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("profile", list(Profile))
def test_the_support_table(kssl: Kssl, tmp_path: Path, profile: Profile) -> None:
    path = write(tmp_path, SITE)
    result = kssl("check", "--config", path, "--profile", profile, "--json")
    assert result.returncode == 0
    told = json.loads(result.stdout)
    assert told["file"] == path
    assert [row["feature"] for row in told["support"]] == [
        row.feature for row in rows(profile, None)
    ]
    by_feature = {row["feature"]: row for row in told["support"]}
    assert (
        by_feature["kernel mode SSL"]["here"]
        == {
            "native": "EnableKernelSSL=1 (default)",
            "ws2008": "EnableKernelSSL=1 (default)",
            "ws2003sp1": "EnableKernelSSL=0 (default)",
        }[profile]
    )
    assert by_feature["PCT 1.0"]["kssl"].startswith("refused")
    text = kssl("check", "--config", path, "--profile", profile).stdout
    assert all(row["feature"] in text for row in told["support"])


def test_ws2003sp1_in_kernel_mode_refuses_client_certificates(kssl: Kssl, tmp_path: Path) -> None:
    text = 'profile = "ws2003sp1"\n[parameters]\nEnableKernelSSL = 1\n' + SITE
    result = kssl("check", "--config", write(tmp_path, text + 'sslFlags = ["SslRequireCert"]\n'))
    assert result.returncode == 1
    assert "not supported when SSL is run in kernel mode" in result.stderr


def test_ws2008_ignores_enable_kernel_ssl(kssl: Kssl, tmp_path: Path) -> None:
    text = 'profile = "ws2008"\n[parameters]\nEnableKernelSSL = 0\n' + SITE
    result = kssl("check", "--config", write(tmp_path, text))
    assert result.returncode == 0
    assert "EnableKernelSSL=0 is obsolete" in result.stderr
