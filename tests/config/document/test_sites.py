"""[[site]]: each key, right and wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from kssl.config.model import Binding, CertificateFiles, Hsts, SiteLimits
from kssl.config.parameter import Profile
from kssl.config.target import Listen, Target
from tests.config.document.support import UPSTREAMS, FakeFiles, a_request, problem, problems, read

SITE = f"[[site]]\n{UPSTREAMS}"
HTTPS = Binding(Listen("127.0.0.1", 8443))


def site(text: str) -> str:
    """A document of one site whose third line is the first of `text`."""
    return f"{SITE}{text}"


def test_the_least() -> None:
    configuration = read(SITE)
    (only,) = configuration.sites
    assert only.name == "site 1"
    assert only.number == 1
    assert only.hostnames == ()
    assert only.bindings == (HTTPS,)
    assert only.default
    assert only.certificate is None
    assert only.upstreams == (Target("http", "localhost", 8000),)
    assert only.ssl_flags == {"Ssl"}
    assert not only.redirect
    assert only.hsts is None
    assert only.limits == SiteLimits()
    assert configuration.warnings == ()


def test_everything() -> None:
    configuration = read(
        """
        [[site]]
        name = "app"
        hostnames = ["App.Example.com.", "*.example.org", "xn--bcher-kva.example"]
        bindings = ["1.1.1.1:443", "http://1.1.1.1:80", "HTTPS://[0::1]:443/"]
        default = true
        certificate = "app.pem"
        key = "/keys/app.key"
        upstreams = ["http://127.0.0.1:8000", "unix:/run/app.sock"]
        sslFlags = ["ssl", "SSL128"]
        redirect = true
        hsts = { max_age = 31536000, include_subdomains = true, preload = true }
        limits = { maxAllowedContentLength = 1, maxUrl = 2, maxQueryString = 3, maxConnections = 4 }
        [[site]]
        name = "other"
        hostnames = ["other.localhost"]
        bindings = ["1.1.1.1:443"]
        upstreams = ["8001"]
        """
    )
    app, other = configuration.sites
    assert (app.name, app.number, other.name, other.number) == ("app", 1, "other", 2)
    assert app.hostnames == ("app.example.com", "*.example.org", "xn--bcher-kva.example")
    assert app.bindings == (
        Binding(Listen("1.1.1.1", 443)),
        Binding(Listen("1.1.1.1", 80), tls=False),
        Binding(Listen("::1", 443)),
    )
    assert app.default
    assert not other.default
    assert app.certificate == CertificateFiles(Path("/etc/kssl/app.pem"), Path("/keys/app.key"))
    assert [str(each) for each in app.upstreams] == ["http://127.0.0.1:8000", "unix:/run/app.sock"]
    assert app.ssl_flags == {"Ssl", "Ssl128"}
    assert app.redirect
    assert app.hsts == Hsts(31536000, include_subdomains=True, preload=True)
    assert app.limits == SiteLimits(1, 2, 3, 4)
    assert configuration.warnings == ()


def test_names() -> None:
    hostnames = 'hostnames = ["a.localhost"]\n'
    configuration = read(
        f'{SITE}{hostnames}{SITE}name = "site 4"\nbindings = ["1.1.1.1:1"]\n'
        f'{SITE}{hostnames}bindings = ["1.1.1.1:2"]\n{SITE}bindings = ["1.1.1.1:3"]\n'
    )
    names = [each.name for each in configuration.sites]
    assert names == ["a.localhost", "site 4", "a.localhost (3)", "site 4 (4)"]


def test_a_name_twice() -> None:
    text = f'{SITE}name = "App"\n{SITE}name = "app"\nbindings = ["1.1.1.1:1"]'
    assert problem(text) == '6 site[2].name: "app" is the name of another site (line 3)'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('name = ""', "name: must not be empty"),
        ("name = 1", "name: must be a text in quotes, not 1"),
        (f'name = "{"x" * 65}"', "name: must be at most 64 printable characters"),
        ('name = "a\\u001b"', "name: must be at most 64 printable characters"),
        ("hostnames = []", "hostnames: must not be empty"),
        ('hostnames = "a.localhost"', 'hostnames: must be a list: ["a.localhost"]'),
        ("hostnames = 1979-05-27", "hostnames: must be a list of texts, not a date or time"),
        ("hostnames = [[]]", "hostnames[1]: must be a text in quotes, not a list"),
        ('hostnames = ["bücher.localhost"]', "as it goes over the wire, xn--…"),
        ('hostnames = ["*"]', "for every name leave hostnames out"),
        ('hostnames = ["https://a.localhost"]', "a name alone, without https:// and port"),
        ('hostnames = ["a.localhost:443"]', "a name alone, without https:// and port"),
        ('hostnames = ["127.0.0.1"]', "an address is no host name"),
        ('hostnames = ["[::1]"]', "an address is no host name"),
        ('hostnames = ["::1"]', "an address is no host name"),
        ('hostnames = [""]', "not a host name"),
        ('hostnames = ["a..localhost"]', "not a host name"),
        ('hostnames = ["a.*.localhost"]', "not a host name"),
        ('hostnames = ["a*.localhost"]', "not a host name"),
        ('hostnames = ["-a.localhost"]', "not a host name"),
        ('hostnames = ["a b.localhost"]', "not a host name"),
        ('hostnames = ["1.2.3.4.5"]', "not a host name"),
        (f'hostnames = ["{"a" * 64}.localhost"]', "not a host name"),
        (f'hostnames = ["{"a." * 130}localhost"]', "not a host name"),
        ('hostnames = ["a.localhost", "A.localhost."]', "hostnames[2]: a.localhost is there twice"),
        ("bindings = []", "bindings: must not be empty"),
        ('bindings = ["443:"]', "bindings[1]: listen address '443:': "),
        ('bindings = ["*:443"]', "write 0.0.0.0:443 (and [::]:443 for IPv6)"),
        ('bindings = ["ftp://1.1.1.1:1"]', "write https:// or http:// or nothing in front"),
        ('bindings = ["1.1.1.1:99999"]', "'99999' is not a port"),
        ('bindings = ["::1:443"]', "write an IPv6 address in brackets"),
        ('bindings = ["1.1.1.1:1", "https://1.1.1.1:1"]', "https://1.1.1.1:1 is there twice"),
        ('default = "yes"', 'default: must be true or false, not "yes"'),
        ("default = 1", "default: must be true or false, not 1"),
        ("default = false", "default: a site without hostnames answers for every name"),
        ('key = "app.key"', "key: a key without a certificate; add certificate"),
        ("certificate = 5", "certificate: must be a text in quotes, not 5"),
        ('certificate = "a\\u0000b"', "certificate: must not hold a NUL character"),
        ('sslFlags = "Ssl"', 'sslFlags: must be a list: ["Ssl"]'),
        ('sslFlags = ["SslMapCert"]', '"SslMapCert": there is no such flag; the flags are Ssl, '),
        ('sslFlags = []\nhsts = 1\nredirect = true\nbindings = ["http://1.1.1.1:1", "1.1.1.1:2"]',
         'redirect: needs the flag Ssl: sslFlags = ["Ssl"]'),
        ('redirect = true\nbindings = ["http://1.1.1.1:1"]', "no https:// binding to redirect to"),
        ("hsts = true", "hsts: must be seconds, hsts = 31536000, or a table with max_age, not"),
        ('hsts = "1y"', "hsts: must be seconds"),
        ("hsts = -1", "hsts: must be a whole number, 0-2147483647, not -1"),
        ("hsts = 1.5", "hsts: must be a whole number, 0-2147483647, not 1.5"),
        ("hsts = {}", "site[1].hsts: max_age is missing; write max_age = 31536000"),
        ("hsts = {max_age = false}", "site[1].hsts.max_age: must be a whole number"),
        ("hsts = {max_age = 31536000, preload = true}", "hsts.preload: needs include_subdomains"),
        ("hsts = {max_age = 31535999, include_subdomains = true, preload = true}",
         "max_age of at least 31536000"),
        ("limits = 1", "limits: must be a table, not 1"),
        ("limits = {maxUrl = true}", "limits.maxUrl: must be a whole number, 0-4294967295, not tr"),
        ("[site.limits]\nmaxConnections = -1", "4 site[1].limits.maxConnections: must be a whole"),
        ("[site.limits]\nmaxurl = 1", "4 site[1].limits.maxurl: unknown key; did you mean maxUrl?"),
        ("hostname = 1", "site[1].hostname: unknown key; did you mean hostnames"),
        ("zzz = 1", "site[1].zzz: unknown key; the keys here are name, hostnames, bindings"),
    ],
)  # fmt: skip
def test_wrong(line: str, said: str) -> None:
    found = problem(site(line))
    assert said in found
    assert found.startswith(("3 ", "4 ", "5 "))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "1 site[1]: upstreams is missing; write upstreams = "),
        ("upstreams = []", "2 site[1].upstreams: must not be empty"),
        ('upstreams = "8000"', 'must be a list: ["8000"]'),
        ('upstreams = ["8000",\n"ftp://x"]', "3 site[1].upstreams[2]: target 'ftp://x': unknown "
         "scheme 'ftp'"),
        ('upstreams = ["https://x", "https://x:443"]', "https://x is there twice"),
        ('upstreams = ["https://x/path"]', "leave out the path"),
        ('upstreams = ["8000", "localhost:8000"]', "http://localhost:8000 is there twice"),
        ('upstreams = ["http://user:pass@x"]', "takes no user name or password"),
        ('upstreams = ["http://x/path"]', "leave out the path"),
    ],
)  # fmt: skip
def test_wrong_upstreams(line: str, said: str) -> None:
    assert said in problem(f"[[site]]\n{line}")


def test_a_password_in_an_upstream_is_not_repeated() -> None:
    assert "pass" not in problem('[[site]]\nupstreams = ["http://user:pa55@x"]').replace(
        "password", ""
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[site]", "1 site: write [[site]], in double brackets: there may be several"),
        ("site = 1", "1 site: must be one or more tables, [[site]], not 1"),
        ("site = [1]", "1 site[1]: must be a table, not 1"),
    ],
)
def test_sites_of_another_shape(text: str, said: str) -> None:
    assert problem(text) == said


def test_what_is_wrong_with_one_thing_is_not_said_of_the_next() -> None:
    """A default for lack of host names, or a missing certificate, would be no news here."""
    text = f'{SITE}{SITE}hostnames = ["ü"]\n{SITE}hostnames = ["a.example"]\ncertificate = "x.pem"'
    found = problems(text, files=FakeFiles({"x.pem"}))
    assert [each.split(":")[0] for each in found] == [
        "5 site[2].hostnames[1]",
        "9 site[3].certificate",
    ]


def test_files_are_looked_for_beside_the_file() -> None:
    files = FakeFiles()
    read(site('certificate = "a/app.pem"\nkey = "../app.key"'), files=files)
    assert files.asked == [Path("/etc/kssl/a/app.pem"), Path("/etc/kssl/../app.key")]


def test_missing_files() -> None:
    found = problems(
        site('certificate = "app.pem"\nkey = "app.key"'), files=FakeFiles({"app.pem", "app.key"})
    )
    assert found == [
        "3 site[1].certificate: certificate file /etc/kssl/app.pem does not exist",
        "4 site[1].key: key file /etc/kssl/app.key does not exist",
    ]


@pytest.mark.parametrize(
    ("profile", "flags"),
    [(Profile.NATIVE, {"Ssl"}), (Profile.WS2008, set()), (Profile.WS2003SP1, set())],
)
def test_flags_without_the_key(profile: Profile, flags: set[str]) -> None:
    request = a_request(profile=profile)
    assert read(SITE, request).sites[0].ssl_flags == flags
    assert read(site("sslFlags = []"), request).sites[0].ssl_flags == set()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("redirect = true", "/etc/kssl/kssl.toml:3: site[1].redirect: has no effect: the site "
         "has no http:// binding"),
        ('bindings = ["http://1.1.1.1:1"]', "/etc/kssl/kssl.toml:1: site[1]: without an https:// "
         "binding every request is answered 403.4"),
        ('sslFlags = []\nhsts = 1\nbindings = ["http://1.1.1.1:1"]',
         "/etc/kssl/kssl.toml:4: site[1].hsts: has no effect: the site has no https:// binding"),
    ],
)  # fmt: skip
def test_warnings(line: str, said: str) -> None:
    assert read(site(line)).warnings == (said,)


def test_a_number_for_hsts() -> None:
    assert read(site("hsts = 0")).sites[0].hsts == Hsts(0)


@pytest.mark.parametrize(
    ("lines", "warned"),
    [
        ('hostnames = ["app.example", "app.localhost"]\ncertificate = "a.pem"', "app.localhost"),
        ('hostnames = ["localhost"]', "localhost"),
        ("", "localhost"),
        ('certificate = "a.pem"', ""),
        ('hostnames = ["app.example", "notlocalhost"]\ncertificate = "a.pem"', ""),
    ],
)
def test_hsts_for_local_names_is_warned_of(lines: str, warned: str) -> None:
    """A browser would refuse plain HTTP on every port of that name."""
    warnings = "".join(read(site(f"hsts = 60\n{lines}")).warnings)
    assert ("hsts: browsers will refuse" in warnings) == bool(warned)
    assert f"http://{warned} on every port" in warnings or not warned
    assert read(site(f"hsts = 0\n{lines}")).warnings == ()
