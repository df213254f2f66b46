"""[[site]]: the keys upstream_…, which say how https:// upstreams are verified."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kssl.config.document import keys
from kssl.config.document.read import Request, read_configuration
from kssl.config.errors import ProblemsError
from kssl.config.routing import tls_settings
from kssl.config.target import Target, UpstreamTls
from tests.config.document.support import UPSTREAMS, FakeFiles, problem, problems, read

PLAIN = f"[[site]]\n{UPSTREAMS}"
SITE = '[[site]]\nupstreams = ["https://10.0.0.7:8443"]\n'
KEYS = {
    "upstream_ca": "ca.pem",
    "upstream_name": "app.internal",
    "upstream_certificate": "client.pem",
    "upstream_key": "client.key",
    "upstream_truncation": "pass",
}


def tls_of(text: str, files: FakeFiles | None = None) -> list[UpstreamTls | None]:
    """Of each upstream of the only site."""
    (site,) = read(text, files=files).sites
    return [target.tls for target in site.upstreams]


def test_the_least() -> None:
    configuration = read(SITE)
    (site,) = configuration.sites
    assert site.upstreams == (Target("https", "10.0.0.7", 8443, tls=UpstreamTls("10.0.0.7")),)
    assert not site.pass_truncated
    assert configuration.warnings == ()


def test_everything() -> None:
    text = SITE + "\n".join(f'{key} = "{value}"' for key, value in KEYS.items())
    (site,) = read(text).sites
    folder = Path("/etc/kssl")
    assert site.upstreams[0].tls == UpstreamTls(
        "app.internal",
        ca=folder / "ca.pem",
        certificate=folder / "client.pem",
        key=folder / "client.key",
    )
    assert site.pass_truncated
    assert site.certificate is None  # the site's own is another


def test_every_key_is_tested() -> None:
    assert set(KEYS) == {key.name for key in keys.SITE if key.name.startswith("upstream_")}


def test_a_mix_of_upstreams() -> None:
    text = (
        '[[site]]\nupstreams = ["http://a:8000", "https://a:8443", "unix:/a", "https://b"]\n'
        'upstream_ca = "/ca.pem"\n'
    )
    assert tls_of(text) == [
        None,
        UpstreamTls("a", ca=Path("/ca.pem")),
        None,
        UpstreamTls("b", ca=Path("/ca.pem")),
    ]
    assert read(text).warnings == ()


def test_sites_have_their_own() -> None:
    text = (
        f'{SITE}hostnames = ["a.localhost"]\nupstream_ca = "a.pem"\nupstream_truncation = "pass"\n'
        f'{SITE}hostnames = ["b.localhost"]\nupstream_ca = "b.pem"\n{SITE}'
    )
    configuration = read(text)
    first, second, third = configuration.sites
    assert len({*first.upstreams, *second.upstreams, *third.upstreams}) == 3
    assert [site.pass_truncated for site in configuration.sites] == [True, False, False]
    told = tls_settings(configuration, ("localhost",))["upstreams"]
    assert [each["ca"] for each in told] == ["/etc/kssl/a.pem", "/etc/kssl/b.pem", None]
    assert [each["name"] for each in told] == ["10.0.0.7"] * 3


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("app.internal", "app.internal"),
        (" App.Internal. ", "app.internal"),
        ("app", "app"),
        ("my_app", "my_app"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("10.0.0.7", "10.0.0.7"),
        ("::1", "::1"),
        ("[2001:DB8:0::1]", "2001:db8::1"),
    ],
)
def test_names(name: str, meant: str) -> None:
    assert tls_of(f'{SITE}upstream_name = "{name}"') == [UpstreamTls(meant)]


_NO_NAME = "neither a host name nor an IP address; write the one that the upstream's certificate"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('upstream_name = "bücher.example"', 'upstream_name: "bücher.example": write the name as '
         "it goes over the wire, xn--…"),
        ('upstream_name = "*.internal"', f'upstream_name: "*.internal": {_NO_NAME}'),
        ('upstream_name = "*"', _NO_NAME),
        ('upstream_name = "https://app.internal"', _NO_NAME),
        ('upstream_name = "app.internal:443"', _NO_NAME),
        ('upstream_name = "app..internal"', _NO_NAME),
        ('upstream_name = "a b"', _NO_NAME),
        ('upstream_name = "10.0.0"', _NO_NAME),
        ('upstream_name = "fe80::1%eth0"', _NO_NAME),
        ('upstream_name = "[app]"', _NO_NAME),
        (f'upstream_name = "{"a." * 130}internal"', _NO_NAME),
        ('upstream_name = ""', "upstream_name: must not be empty"),
        ("upstream_name = 1", "upstream_name: must be a text in quotes, not 1"),
        ("upstream_ca = []", "upstream_ca: must be a text in quotes, not a list"),
        ('upstream_ca = ""', "upstream_ca: must not be empty"),
        ('upstream_ca = "a\\u0000b"', "upstream_ca: must not hold a NUL character"),
        ("upstream_certificate = 1", "upstream_certificate: must be a text in quotes, not 1"),
        ('upstream_key = "a.key"',
         "upstream_key: a key without a certificate; add upstream_certificate"),
        ('upstream_truncation = "Pass"',
         'upstream_truncation: must be "abort" or "pass", not "Pass"'),
        ("upstream_truncation = true", "upstream_truncation: must be a text in quotes, not true"),
        ('upstream_cas = "a"', "upstream_cas: unknown key; did you mean upstream_ca?"),
    ],
)  # fmt: skip
def test_wrong(line: str, said: str) -> None:
    found = problem(f"{SITE}{line}")
    assert said in found
    assert found.startswith("3 site[1].upstream_")


def test_a_certificate_of_the_site_is_none_for_its_upstreams() -> None:
    found = problem(f'{SITE}certificate = "app.pem"\nupstream_key = "client.key"')
    assert found == (
        "4 site[1].upstream_key: a key without a certificate; add upstream_certificate"
    )


def test_files_are_looked_for_beside_the_file() -> None:
    files = FakeFiles()
    tls_of(
        f'{SITE}upstream_ca = "a/ca.pem"\nupstream_certificate = "/x/client.pem"\n'
        'upstream_key = "../client.key"',
        files,
    )
    assert files.asked == [
        Path("/etc/kssl/a/ca.pem"),
        Path("/x/client.pem"),
        Path("/etc/kssl/../client.key"),
    ]


@pytest.mark.parametrize("site", [SITE, PLAIN])
def test_missing_files(site: str) -> None:
    """Also where they would have no effect: nobody wants to find out later."""
    text = site + 'upstream_ca = "ca"\nupstream_certificate = "cert"\nupstream_key = "key"'
    assert problems(text, files=FakeFiles({"ca", "cert", "key"})) == [
        "3 site[1].upstream_ca: CA file /etc/kssl/ca does not exist",
        "4 site[1].upstream_certificate: certificate file /etc/kssl/cert does not exist",
        "5 site[1].upstream_key: key file /etc/kssl/key does not exist",
    ]


# Real files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir(0o755)
    lines = [f'{key} = "{value}"\n' for key, value in KEYS.items() if "." in value]
    (folder / "kssl.toml").write_text(SITE + "".join(lines), "utf-8")
    for name in ("kssl.toml", "ca.pem", "client.pem", "client.key"):
        (folder / name).touch()
        (folder / name).chmod(0o600)
    return folder


def said(folder: Path) -> list[str]:
    """The problems of reading the file in `folder`."""
    with pytest.raises(ProblemsError) as caught:
        read_real(folder)
    return [str(each).replace(f"{folder}/", "") for each in caught.value.problems]


def read_real(folder: Path) -> None:
    read_configuration(Request(path=folder / "kssl.toml", state_dir=folder / "state"))


LINES = [("ca.pem", "3: site[1].upstream_ca: CA"),
         ("client.pem", "5: site[1].upstream_certificate: certificate"),
         ("client.key", "6: site[1].upstream_key: key")]  # fmt: skip


@pytest.mark.parametrize(("name", "where"), LINES)
@pytest.mark.parametrize(("mode", "who"), [(0o620, "group "), (0o602, "everybody (mode 0602)")])
def test_files_that_others_may_write_to(
    folder: Path, name: str, where: str, mode: int, who: str
) -> None:
    read_real(folder)
    (folder / name).chmod(mode)
    (only,) = said(folder)
    assert only.startswith(f"kssl.toml:{where} file {name} may be changed by {who}")
    assert only.endswith(f"run: chmod go-w {name}")


@pytest.mark.parametrize(("name", "where"), LINES)
def test_files_that_are_none(folder: Path, name: str, where: str) -> None:
    (folder / name).unlink()
    assert said(folder) == [f"kssl.toml:{where} file {name} does not exist; check the name"]
    (folder / name).mkdir()
    assert said(folder) == [f"kssl.toml:{where} file {name} is a folder; name the file in it"]
    (folder / name).rmdir()
    os.mkfifo(folder / name)
    assert said(folder) == [f"kssl.toml:{where} file {name} is not a regular file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize(("name", "where"), LINES)
def test_files_that_cannot_be_read(folder: Path, name: str, where: str) -> None:
    (folder / name).chmod(0)
    (only,) = said(folder)
    assert only.startswith(f"kssl.toml:{where} file {name} cannot be read by this user")


# Warnings


@pytest.mark.parametrize("key", [*KEYS])
def test_without_an_https_upstream_a_key_has_no_effect(key: str) -> None:
    lines = f'{key} = "{KEYS[key]}"\n'
    if key == "upstream_key":
        lines += 'upstream_certificate = "client.pem"\n'
    (site,) = read(PLAIN + lines).sites
    assert [target.tls for target in site.upstreams] == [None]
    first = read(PLAIN + lines).warnings[0]
    assert first == (
        f"/etc/kssl/kssl.toml:3: site[1].{key}: has no effect: the site has no https:// upstream"
    )


def test_each_key_without_effect_is_told() -> None:
    lines = "".join(f'{key} = "{value}"\n' for key, value in KEYS.items())
    warnings = read(PLAIN + lines).warnings
    assert [warning.split(": ")[1] for warning in warnings] == [f"site[1].{key}" for key in KEYS]
    assert all("has no effect" in warning for warning in warnings)


def test_what_may_be_cut_short_is_told_once_a_site() -> None:
    text = '[[site]]\nupstreams = ["https://a", "https://b"]\nupstream_truncation = "pass"\n'
    other = text.replace("[[site]]", '[[site]]\nhostnames = ["b.localhost"]')
    first, second = read(text + other).warnings
    assert first.startswith("/etc/kssl/kssl.toml:3: site[1].upstream_truncation: an answer that")
    assert "whoever is between kssl and the app can cut answers short unnoticed" in first
    assert second.startswith("/etc/kssl/kssl.toml:7: site[2].upstream_truncation: an answer that")


def test_abort_is_the_default_and_no_news() -> None:
    configuration = read(f'{SITE}upstream_truncation = "abort"')
    assert not configuration.sites[0].pass_truncated
    assert configuration.warnings == ()
