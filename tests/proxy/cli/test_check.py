"""`kssl check`: everything that is wrong, and what a profile supports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kssl.config.parameter import Profile
from kssl.config.support import rows
from tests.proxy.cli.conftest import Files, Kssl

SITE = '[[site]]\nhostnames = ["app.localhost"]\nupstreams = ["8000"]\n'


def write(folder: Path, text: str) -> str:
    path = folder / "kssl.toml"
    path.write_text(text)
    return str(path)


def test_fine(kssl: Kssl, tmp_path: Path) -> None:
    result = kssl("check", "--config", write(tmp_path, SITE))
    assert (result.returncode, result.stderr) == (0, "")
    assert "app.localhost on https://127.0.0.1:8443 → http://localhost:8000" in result.stdout
    assert "kssl.toml is fine" in result.stdout


HTTPS_SITE = SITE.replace('"8000"', '"8000", "https://10.0.0.7:8443", "https://app.localhost"')


def test_https_upstreams(kssl: Kssl, tmp_path: Path, files: Files) -> None:
    path = write(tmp_path, HTTPS_SITE)
    result = kssl("check", "--config", path)
    assert (result.returncode, result.stderr) == (0, "")
    at = result.stdout.splitlines()[2:4]
    assert at == [
        "      https://10.0.0.7:8443: must have a certificate for 10.0.0.7 from one of the "
        "system's CAs",
        "      https://app.localhost: must have a certificate for app.localhost from one of the "
        "system's CAs",
    ]
    more = f'upstream_ca = "{files.ca}"\nupstream_name = "app.internal"\n'
    more += f'upstream_certificate = "{files.cert}"\nupstream_key = "{files.key}"\n'
    write(tmp_path, HTTPS_SITE + more)
    result = kssl("check", "--config", path)
    assert (result.returncode, result.stderr) == (0, "")
    assert (
        f"      https://10.0.0.7:8443: must have a certificate for app.internal from a CA in "
        f"{files.ca}; is shown {files.cert}\n"
    ) in result.stdout


def test_https_upstreams_as_json(kssl: Kssl, tmp_path: Path, files: Files) -> None:
    text = f'{HTTPS_SITE}upstream_ca = "{files.ca}"\nupstream_truncation = "pass"\n'
    text += f'upstream_certificate = "{files.both}"\n'
    other = '[[site]]\nupstreams = ["https://other.localhost:444"]\nname = "other"\n'
    result = kssl("check", "--config", write(tmp_path, text + other), "--json")
    assert result.returncode == 0
    told = json.loads(result.stdout)
    first = {
        "site": "app.localhost", "upstream": "https://10.0.0.7:8443", "name": "10.0.0.7",
        "ca": str(files.ca), "certificate": str(files.both), "key": None, "truncation": "pass",
    }  # fmt: skip
    assert told["upstreams"] == [
        first,
        first | {"upstream": "https://app.localhost", "name": "app.localhost"},
        {
            "site": "other", "upstream": "https://other.localhost:444", "name": "other.localhost",
            "ca": None, "certificate": None, "key": None, "truncation": "abort",
        },
    ]  # fmt: skip
    assert "cut answers short unnoticed" in told["warnings"][0]


def test_without_https_upstreams_nothing_is_said_of_them(kssl: Kssl, tmp_path: Path) -> None:
    path = write(tmp_path, SITE)
    assert json.loads(kssl("check", "--config", path, "--json").stdout)["upstreams"] == []
    assert "must have a certificate" not in kssl("check", "--config", path).stdout


def test_answers_that_may_be_cut_short(kssl: Kssl, tmp_path: Path) -> None:
    path = write(tmp_path, f'{HTTPS_SITE}upstream_truncation = "pass"\n')
    result = kssl("check", "--config", path)
    assert result.returncode == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"warning: {path}:4: site[1].upstream_truncation: an answer that only")
    assert "whoever is between kssl and the app can cut answers short unnoticed" in line
    assert result.stdout.count("may be cut short unnoticed (upstream_truncation)") == 2


def test_a_key_without_effect(kssl: Kssl, tmp_path: Path, files: Files) -> None:
    path = write(tmp_path, f'{SITE}upstream_ca = "{files.ca}"\n')
    result = kssl("check", "--config", path)
    assert (result.returncode, result.stderr) == (
        0,
        f"warning: {path}:4: site[1].upstream_ca: has no effect: the site has no https:// "
        "upstream\n",
    )


def test_a_ca_that_others_may_write_to(kssl: Kssl, tmp_path: Path, files: Files) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(files.ca.read_bytes())
    ca.chmod(0o666)
    path = write(tmp_path, f'{HTTPS_SITE}upstream_ca = "ca.pem"\n')
    problem = (
        f"CA file {ca} may be changed by everybody (mode 0666): only its owner and root may; run: "
        f"chmod go-w {ca}\n"
    )
    for arguments, where in (
        (("--config", path), f"{path}:4: site[1].upstream_ca"),
        (("https://a.localhost", "--upstream-ca", str(ca)), "command line"),
    ):
        result = kssl("check", *arguments)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr == f"kssl: {where}: {problem}"


def test_a_target_with_https(kssl: Kssl, files: Files) -> None:
    result = kssl("check", "https://127.0.0.1:9443", "--upstream-ca", str(files.ca))
    assert (result.returncode, result.stderr) == (0, "")
    assert "on https://127.0.0.1:8443 → https://127.0.0.1:9443\n" in result.stdout
    assert f"must have a certificate for 127.0.0.1 from a CA in {files.ca}\n" in result.stdout


def test_a_ca_without_an_https_target(kssl: Kssl, tmp_path: Path, files: Files) -> None:
    ca = ("--upstream-ca", str(files.ca))
    for arguments in (("8000",), ("8000", "--json")):
        result = kssl("check", *arguments, *ca)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == (
            "kssl: --upstream-ca is for a TARGET with https://, not for http://localhost:8000; "
            "drop it, or write https://HOST[:PORT]\n"
        )
    path = write(tmp_path, HTTPS_SITE)
    result = kssl("check", "--config", path, *ca)
    assert result.returncode == 1
    assert "--upstream-ca goes with TARGET only; name the file in its [[site]]" in result.stderr
    assert result.stderr.endswith("kssl.toml, as upstream_ca\n")


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


ASKING = SITE + 'sslFlags = ["Ssl", "SslRequireCert"]\nclient_ca = "clients.pem"\n'


def test_what_sites_ask_of_client_certificates_is_loaded(
    kssl: Kssl, tmp_path: Path, files: Files
) -> None:
    (tmp_path / "clients.pem").write_bytes(files.ca.read_bytes())
    path = write(tmp_path, ASKING)
    result = kssl("check", "--config", path)
    assert (result.returncode, result.stderr) == (0, "")
    write(tmp_path, ASKING + 'client_cert_allow = ["alice", "dns:a.example", "bob"]\n')
    (tmp_path / "clients.pem").write_bytes(files.key.read_bytes())
    result = kssl("check", "--config", path)
    assert result.returncode == 1
    words = (
        f"{tmp_path}/clients.pem, line 1: client_ca file holds a private key",
        "client_cert_allow: 'alice' is not a rule",
        "client_cert_allow: 'bob' is not a rule",
    )
    lines = result.stderr.splitlines()
    start = "kssl: site 'app.localhost': "
    assert [line.startswith(start + each) for line, each in zip(lines, words, strict=True)] == [
        True, True, True,
    ], lines  # fmt: skip


def test_what_is_wrong_for_worker_and_verifier_is_told_at_once(
    kssl: Kssl, tmp_path: Path, files: Files
) -> None:
    (tmp_path / "clients.pem").write_bytes(b"no PEM")
    text = (
        f'certificate = "{files.cert}"\nkey = "{files.other_key}"\nclient_cert_failure = "pass"\n'
    )
    result = kssl("check", "--config", write(tmp_path, ASKING + text), "--json")
    assert (result.returncode, result.stderr) == (1, "")
    told = json.loads(result.stdout)
    of_worker, of_verifier = told["problems"]
    assert "does not belong to" in of_worker
    assert of_verifier.startswith("site 'app.localhost': client_ca file")
    (warning,) = told["warnings"]
    assert "X-Client-Cert-Verdict" in warning


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
