"""kssl.config.document.read: real files, TOML's own errors, and what the command line adds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kssl.config.client_certificates import ClientCertificates
from kssl.config.document.read import Request, read_configuration
from kssl.config.errors import ConfigError, ProblemsError
from kssl.config.model import Binding, CertificateFiles, Logs
from kssl.config.parameter import Profile
from kssl.config.profiles import NO_CLIENT_CERTIFICATES, REJECTED
from kssl.config.target import Listen, Target, UpstreamTls, parse_target
from tests.config.document.support import UPSTREAMS, FakeFiles, a_request, problem, problems, read

SITE = f"[[site]]\n{UPSTREAMS}"
TARGET = parse_target("8000")
HTTPS_TARGET = parse_target("https://127.0.0.1:9443")
HTTPS = Binding(Listen("127.0.0.1", 8443))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir(0o755)
    for name in ("kssl.toml", "app.pem", "app.key"):
        (folder / name).touch(0o600)
    return folder


def read_file(folder: Path, content: str | bytes) -> tuple[str, ...]:
    """The warnings of reading a real file."""
    path = folder / "kssl.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    request = Request(path=path, state_dir=folder / "state")
    return read_configuration(request).warnings


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read_file(folder, content)
    return str(caught.value).replace(str(folder), "…")


def test_a_real_file(folder: Path) -> None:
    path = folder / "kssl.toml"
    path.write_text(f'{SITE}certificate = "app.pem"\nkey = "app.key"\n', "utf-8")
    configuration = read_configuration(Request(path=path, state_dir=folder / "state"))
    assert configuration.path == path
    files = CertificateFiles(folder / "app.pem", folder / "app.key")
    assert configuration.sites[0].certificate == files


def test_a_relative_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    path = folder / "kssl.toml"
    path.write_text(f'{SITE}certificate = "app.pem"\n', "utf-8")
    configuration = read_configuration(Request(path=Path("kssl.toml"), state_dir=folder / "state"))
    assert configuration.path == path
    assert configuration.sites[0].certificate == CertificateFiles(folder / "app.pem")


def test_who_may_change_it(folder: Path) -> None:
    (folder / "kssl.toml").chmod(0o666)
    assert refusal(folder, SITE) == (
        "configuration file …/kssl.toml may be changed by everybody (mode 0666): only its owner "
        "and root may; run: chmod go-w …/kssl.toml"
    )


def test_who_may_change_certificates_and_logs(folder: Path) -> None:
    (folder / "app.pem").chmod(0o620)
    (folder / "logs").mkdir()
    (folder / "logs").chmod(0o777)
    keys = 'certificate = "app.pem"\nkey = "none.key"\n[logs]\naccess = "logs/access.log"\n'
    with pytest.raises(ProblemsError) as caught:
        read_file(folder, f"{SITE}{keys}")
    first, second, third = map(str, caught.value.problems)
    assert f"kssl.toml:3: site[1].certificate: certificate file {folder}/app.pem may be" in first
    assert f"kssl.toml:4: site[1].key: key file {folder}/none.key does not exist" in second
    assert f"kssl.toml:6: logs.access: folder of the access log, {folder}/logs, may be" in third


def test_no_file(folder: Path) -> None:
    path = folder / "none.toml"
    with pytest.raises(ConfigError, match=r"none\.toml does not exist; check the name"):
        read_configuration(Request(path=path, state_dir=folder))


def test_not_utf_8(folder: Path) -> None:
    assert refusal(folder, b"\n\n# \xfc") == "…/kssl.toml:3: not UTF-8; save the file as UTF-8"
    assert refusal(folder, SITE.encode("utf-16")) == "…/kssl.toml is in UTF-16; save it as UTF-8"
    assert "byte order mark" in refusal(folder, SITE.encode("utf-8-sig"))


def test_too_large(folder: Path) -> None:
    assert "is larger than 1048576 bytes" in refusal(folder, b"#" * ((1 << 20) + 1))


def test_line_ends_of_windows(folder: Path) -> None:
    assert read_file(folder, SITE.replace("\n", "\r\n")) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = b", "1 : not TOML: Invalid value; texts stand in quotes"),
        ("\nname app", "2 : not TOML: Expected '=' after a key in a key/value pair; a line is KEY"),
        ("a = 1\na = 2", "2 : not TOML: Cannot overwrite a value; this key or table is there"),
        ("[a]\n[a]", "2 : not TOML: Cannot declare"),
        ("a = {b = 1}\na.c = 1", "2 : not TOML: Cannot mutate immutable namespace"),
        ("\n\na = [1\n\n", "3 : not TOML: Unclosed array"),
        ("a = 1 2", "1 : not TOML: Expected newline or end of document after a statement; one KEY"),
        ('a = "\\q"', "1 : not TOML: Unescaped '\\' in a string; write \\\\ for \\"),
        (f"a = {'9' * 5000}", "0 : there is a number with far too many digits"),
        (f"a = {'[' * 5000}{']' * 5000}", "0 : lists or tables are nested too deeply"),
    ],
)
def test_not_toml(text: str, said: str) -> None:
    found = problem(text)
    assert said in found
    assert "at line" not in found


def test_unknown_keys_and_deep_ones() -> None:
    text = f"""sites = 1
{SITE}
[log]
access = "off"
["a b"]
{"x" * 200} = 1
"""
    assert problems(text) == [
        "1 sites: unknown key; did you mean site?",
        "5 log: unknown key; did you mean logs?",
        '7 "a b": unknown key; the keys here are profile, parameters, site, binding, logs',
    ]
    found = problem(f"{SITE}{'x' * 200} = 1")
    assert "site[1].xxx" in found
    assert len(found) < 600


def test_logs() -> None:
    assert read(SITE).logs == Logs("stderr")
    assert read(f'{SITE}[logs]\naccess = "off"').logs == Logs("off")
    files = FakeFiles()
    configuration = read(f'{SITE}[logs]\naccess = "logs/access.log"', files=files)
    assert configuration.logs == Logs(Path("/etc/kssl/logs/access.log"))
    assert files.asked == [Path("/etc/kssl/logs")]
    assert problem(f'{SITE}[logs]\naccess = ""').startswith("4 logs.access: must not be empty")
    assert problem(f"{SITE}[logs]\nerrors = 1").startswith("4 logs.errors: unknown key")


# TARGET


@pytest.mark.parametrize("path", [None, Path("/etc/kssl/kssl.toml")])
def test_a_target_alone(path: Path | None) -> None:
    configuration = read("", a_request(path=path, target=TARGET))
    (site,) = configuration.sites
    assert (site.name, site.hostnames, site.default) == ("default", (), True)
    assert site.bindings == (HTTPS,)
    assert site.upstreams == (TARGET,)
    assert site.certificate is None
    assert site.ssl_flags == {"Ssl"}
    assert configuration.path == path


def test_a_target_in_a_profile_of_windows() -> None:
    request = a_request(path=None, target=TARGET, profile=Profile.WS2003SP1)
    assert read("", request).sites[0].ssl_flags == set()


def test_a_target_with_parameters_and_bindings_of_the_file() -> None:
    text = (
        '[parameters]\nEnableKernelSSL = 0\n[[binding]]\nipport = "*:8443"\ncertificate = "a.pem"'
    )
    configuration = read(text, a_request(target=TARGET, listen=Listen("1.1.1.1", 8443)))
    assert configuration.parameters.enable_kernel_ssl == 0
    assert configuration.certificate_bindings[0].ipport == Listen("*", 8443)
    assert configuration.sites[0].bindings == (Binding(Listen("1.1.1.1", 8443)),)
    assert configuration.warnings == ()


def test_a_target_with_a_certificate() -> None:
    files = FakeFiles()
    request = a_request(path=None, target=TARGET, certificate=Path("a.pem"), key=Path("a.key"))
    configuration = read("", request, files)
    assert configuration.sites[0].certificate == CertificateFiles(Path("a.pem"), Path("a.key"))
    assert files.asked == [Path("a.pem"), Path("a.key")]
    found = problems("", request, FakeFiles({"a.pem", "a.key"}))
    assert found == [
        "command line : certificate file a.pem does not exist",
        "command line : key file a.key does not exist",
    ]


def test_a_key_alone() -> None:
    found = problem("", a_request(path=None, target=TARGET, key=Path("a.key")))
    assert found.startswith("command line : --key without --cert")


def test_a_target_and_sites() -> None:
    assert problem(SITE, a_request(target=TARGET)) == (
        "command line : TARGET http://localhost:8000 and the sites of /etc/kssl/kssl.toml: "
        "drop TARGET, or the [[site]] tables"
    )


def test_nothing_to_serve() -> None:
    said = "command line : nothing to serve: name a TARGET, such as 8000, or add "
    assert problem("", a_request(path=None)) == f"{said}a file with [[site]] (--config)"
    assert problem("") == f"{said}[[site]] tables"
    assert problem("site = []") == f"{said}[[site]] tables"


def test_a_target_with_a_ca() -> None:
    files = FakeFiles()
    request = a_request(path=None, target=HTTPS_TARGET, upstream_ca=Path("ca.pem"))
    (site,) = read("", request, files).sites
    assert site.upstreams == (
        Target("https", "127.0.0.1", 9443, tls=UpstreamTls("127.0.0.1", ca=Path("ca.pem"))),
    )
    assert files.asked == [Path("ca.pem")]
    found = problem("", request, FakeFiles({"ca.pem"}))
    assert found == "command line : CA file ca.pem does not exist"


def test_a_target_with_everything() -> None:
    request = a_request(
        path=None, target=HTTPS_TARGET,
        certificate=Path("a.pem"), key=Path("a.key"), upstream_ca=Path("ca.pem"),
    )  # fmt: skip
    (site,) = read("", request).sites
    assert site.certificate == CertificateFiles(Path("a.pem"), Path("a.key"))
    assert site.upstreams[0].tls == UpstreamTls("127.0.0.1", ca=Path("ca.pem"))


def test_a_target_for_clients_of_a_ca() -> None:
    files = FakeFiles()
    request = a_request(path=None, target=TARGET, client_ca=Path("clients.pem"))
    (site,) = read("", request, files).sites
    assert site.client_certificates == ClientCertificates(required=True, ca=Path("clients.pem"))
    assert site.ssl_flags == {"Ssl", "SslRequireCert"}
    assert files.asked == [Path("clients.pem")]
    found = problem("", request, FakeFiles({"clients.pem"}))
    assert found == "command line : client CA file clients.pem does not exist"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"command_line": {"RejectClientCertificates": 1}}, REJECTED),
        (
            {"profile": Profile.WS2003SP1, "command_line": {"EnableKernelSSL": 1}},
            NO_CLIENT_CERTIFICATES,
        ),
    ],
)
def test_clients_of_a_ca_where_there_are_none(more: dict[str, Any], reason: str) -> None:
    request = a_request(path=None, target=TARGET, client_ca=Path("clients.pem"), **more)
    assert problem("", request) == f"command line : --client-ca: {reason}"


def test_clients_of_a_ca_beside_sites() -> None:
    found = problem(SITE, a_request(client_ca=Path("clients.pem")))
    assert found.startswith("command line : --client-ca goes with TARGET only")
    assert found.endswith("as client_ca")


def test_a_ca_that_others_may_write_to(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch(0o600)
    ca.chmod(0o622)
    request = Request(state_dir=tmp_path, target=HTTPS_TARGET, upstream_ca=ca)
    with pytest.raises(ProblemsError, match=rf"^command line: CA file {ca} may be changed by ev"):
        read_configuration(request)


def test_a_ca_for_a_target_without_tls() -> None:
    found = problem("", a_request(path=None, target=TARGET, upstream_ca=Path("ca.pem")))
    assert found == (
        "command line : --upstream-ca is for a TARGET with https://, not for "
        "http://localhost:8000; drop it, or write https://HOST[:PORT]"
    )


def test_a_certificate_of_the_command_line_beside_sites() -> None:
    request = a_request(certificate=Path("a.pem"), key=Path("a.key"))
    first, second = problems(SITE, request)
    assert first.startswith(
        "command line : --cert goes with TARGET only; name the file in its [[site]]"
    )
    assert second.startswith("command line : --key goes with TARGET only")


# --listen


def test_listen_is_for_sites_without_bindings() -> None:
    text = f'{SITE}{SITE}name = "own"\nbindings = ["1.1.1.1:443"]'
    listen = Listen("0:0::1", 9443)
    configuration = read(text, a_request(listen=listen, listen_given=True))
    assert [site.bindings for site in configuration.sites] == [
        (Binding(Listen("::1", 9443)),),
        (Binding(Listen("1.1.1.1", 443)),),
    ]
    assert configuration.warnings == (
        "command line: --listen [0:0::1]:9443 is for sites without bindings only; "
        "with their own: 'own'",
    )
    assert read(text, a_request(listen=listen)).warnings == ()
    assert read(SITE, a_request(listen=listen, listen_given=True)).warnings == ()


def test_warnings_come_in_the_order_of_the_lines() -> None:
    text = f'{SITE}bindings = ["http://1.1.1.1:1"]\nhsts = 1\n'
    text += "[parameters]\nDisableSslCertChainCacheOnlyUrlRetrieval = 1\n"
    text += '[[binding]]\nipport = "*:1"\ncertificate = "a.pem"\n'
    warnings = read(text).warnings
    assert [int(each.split(":")[1]) for each in warnings] == [1, 4, 6, 8]


def test_many_sites_are_read_in_no_time() -> None:
    sites = "".join(
        f'{SITE}hostnames = ["s{n}.example"]\ncertificate = "s{n}.pem"\n' for n in range(1000)
    )
    assert len(read(sites).sites) == 1000
