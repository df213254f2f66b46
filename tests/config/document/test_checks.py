"""What shows only when sites and certificate bindings are seen together."""

from __future__ import annotations

from pathlib import Path

import pytest

from kssl.config.model import CertificateBinding, CertificateFiles
from kssl.config.target import Listen
from tests.config.document.support import UPSTREAMS, FakeFiles, problem, problems, read

HASH = "ab" * 32


def site(*lines: str) -> str:
    return "\n".join(["[[site]]", UPSTREAMS.strip(), *lines, ""])


def test_a_name_twice_on_one_binding() -> None:
    text = site('hostnames = ["a.localhost"]') + site(
        'hostnames = ["b.localhost",', '"a.localhost"]'
    )
    assert problem(text) == (
        "7 site[2].hostnames[2]: a.localhost belongs to site 'a.localhost' (line 3) on "
        "https://127.0.0.1:8443 already"
    )


def test_a_name_on_two_bindings() -> None:
    name = 'hostnames = ["a.localhost"]'
    both = site(name, 'bindings = ["1.1.1.1:1"]') + site(name, 'bindings = ["1.1.1.1:2"]')
    assert len(read(both).sites) == 2


def test_a_wildcard_beside_a_name_of_it() -> None:
    text = site('hostnames = ["*.localhost"]') + site('hostnames = ["a.localhost"]')
    assert len(read(text).sites) == 2


@pytest.mark.parametrize(
    ("second", "line", "why"),
    [
        (('hostnames = ["b.localhost"]', "default = true"), 8, ""),
        (('name = "b.localhost"',), 5, " (as every site without hostnames)"),
    ],
)
def test_two_defaults(second: tuple[str, ...], line: int, why: str) -> None:
    text = site('hostnames = ["a.localhost"]', "default = true") + site(*second)
    assert problem(text) == (
        f"{line} site[2].default: site 'b.localhost' is a default{why}, but site 'a.localhost' "
        "(line 1) is the one of https://127.0.0.1:8443 already; one can be"
    )


def addresses(*texts: str) -> str:
    return "".join(site(f'bindings = ["{text}"]') for text in texts)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("0.0.0.0:443", "1.2.3.4:443"),
        ("0.0.0.0:443", "http://1.2.3.4:443"),
        ("http://0.0.0.0:443", "localhost:443"),
        ("[::]:443", "[::1]:443"),
        ("[::]:443", "localhost:443"),
    ],
)
def test_all_addresses_beside_one(first: str, second: str) -> None:
    for text, line in ((addresses(first, second), 6), (addresses(second, first), 3)):
        found = problem(text)
        assert found.startswith(f"{line} site[")
        assert found.endswith("all addresses include this one; keep one of the two")


@pytest.mark.parametrize("second", ["127.0.0.1:443", "[::1]:443", "http://127.0.0.1:443"])
def test_localhost_beside_what_it_stands_for(second: str) -> None:
    for text, line in (
        (addresses("LocalHost.:443", second), 6),
        (addresses(second, "localhost:443"), 3),
    ):
        found = problem(text)
        assert found.startswith(f"{line} site[")
        assert found.endswith("localhost stands for 127.0.0.1 and ::1; keep one of the two")


@pytest.mark.parametrize(
    ("first", "second"),
    [("1.1.1.1:443", "http://1.1.1.1:443"), ("[::1]:80", "http://[0:0::1]:80")],
)
def test_one_address_with_and_without_tls(first: str, second: str) -> None:
    found = problem(addresses(first, second))
    assert found.endswith("an address is either https:// or http://; take another port")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("0.0.0.0:443", "1.2.3.4:444"),
        ("0.0.0.0:443", "[::]:443"),
        ("0.0.0.0:443", "[::1]:443"),
        ("[::]:443", "1.2.3.4:443"),
        ("0.0.0.0:0", "127.0.0.1:0"),
        ("127.0.0.1:0", "http://127.0.0.1:0"),
        ("1.1.1.1:443", "1.1.1.2:443"),
        ("localhost:443", "127.0.0.1:444"),
        ("localhost:443", "127.0.0.2:443"),
        ("localhost:0", "127.0.0.1:0"),
    ],
)
def test_addresses_that_go_together(first: str, second: str) -> None:
    assert len(read(addresses(first, second)).sites) == 2


# Certificate bindings

A_SITE = site('bindings = ["1.1.1.1:443"]', 'hostnames = ["a.example", "*.b.localhost"]')


def binding(*lines: str) -> str:
    return "\n".join(["[[binding]]", *lines, ""])


def test_bindings() -> None:
    files = FakeFiles()
    shouted = ":".join(["AB"] * 32)
    configuration = read(
        A_SITE
        + binding('ipport = "*:443"', f'certhash = "\u200e {shouted}"')
        + binding('hostnameport = "A.example:443"', 'certificate = "a.pem"')
        + binding('hostnameport = "c.b.localhost:443"', 'certificate = "c.pem"', 'key = "c.key"'),
        files=files,
    )
    store = Path("/state/certificates")
    assert configuration.certificate_bindings == (
        CertificateBinding(
            CertificateFiles(store / f"{HASH}.pem", store / f"{HASH}.key"),
            ipport=Listen("*", 443),
            thumbprint=HASH,
        ),
        CertificateBinding(
            CertificateFiles(Path("/etc/kssl/a.pem")), hostname="a.example", port=443
        ),
        CertificateBinding(
            CertificateFiles(Path("/etc/kssl/c.pem"), Path("/etc/kssl/c.key")),
            hostname="c.b.localhost",
            port=443,
        ),
    )
    assert [path.name for path in files.asked] == [
        f"{HASH}.pem", f"{HASH}.key", "a.pem", "c.pem", "c.key"
    ]  # fmt: skip
    assert configuration.warnings == ()


FILE = 'certificate = "a.pem"'


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((FILE,), "5 binding[1]: needs either ipport"),
        (
            ('ipport = "*:443"', 'hostnameport = "a.example:443"', FILE),
            "5 binding[1]: needs either",
        ),
        (('ipport = "*:443"',), "5 binding[1]: needs either certhash"),
        (('ipport = "*:443"', FILE, f'certhash = "{HASH}"'), "5 binding[1]: needs either certhash"),
        (('ipport = "*:443"', f'certhash = "{HASH}"', 'key = "a"'), "8 binding[1].key: remove it"),
        (('ipport = "*:443"', "certhash = 5"), "7 binding[1].certhash: must be a text in quotes"),
        (('ipport = "*:443"', f'certhash = "{"a" * 40}"'), "this is a SHA-1 thumbprint"),
        (
            ('ipport = "*:443"', 'certhash = "zz"'),
            "not a SHA-256 thumbprint: 64 hexadecimal",
        ),
        (("ipport = 443", FILE), "6 binding[1].ipport: must be a text in quotes, not 443"),
        (('ipport = "*:x"', FILE), '"x" is not a port; ports are 0-65535'),
        (('ipport = "*:65536"', FILE), '"65536" is not a port'),
        (('ipport = "1.1.1.1"', FILE), "the port is missing"),
        (('hostnameport = "a.example"', FILE), "the port is missing; write app.example.com:443"),
        (('hostnameport = "1.1.1.1:443"', FILE), "an address is no host name"),
        (('ipport = "*:443"', FILE, "appid = 1"), "8 binding[1].appid: unknown key"),
    ],
)
def test_wrong_bindings(lines: tuple[str, ...], said: str) -> None:
    """The host name that is without a certificate now is not complained of as well."""
    assert said in problem(A_SITE + binding(*lines))


def test_a_certificate_that_the_store_has_not() -> None:
    text = A_SITE + binding('ipport = "*:443"', f'certhash = "{HASH}"')
    assert problem(text, files=FakeFiles({f"{HASH}.pem", f"{HASH}.key"})) == (
        f"7 binding[1].certhash: the certificate store's file /state/certificates/{HASH}.pem "
        "does not exist; kssl cert list shows what is in the store"
    )


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        ('ipport = "*:443"', 'ipport = "*:443"', "ipport"),
        ('ipport = "[::1]:443"', 'ipport = "[0::1]:443"', "ipport"),
        ('hostnameport = "a.example:443"', 'hostnameport = "A.Example.:443"', "hostnameport"),
    ],
)
def test_bound_twice(first: str, second: str, key: str) -> None:
    all_of_it = binding('ipport = "1.1.1.1:443"', FILE)
    found = problem(A_SITE + all_of_it + binding(first, FILE) + binding(second, FILE))
    assert found.startswith(f"12 binding[3].{key}: ")
    assert found.endswith("has a certificate already (line 8); keep one of them")


@pytest.mark.parametrize(
    "line",
    [
        'ipport = "1.1.1.1:444"',
        'ipport = "1.1.1.2:443"',
        'ipport = "*:80"',
        'hostnameport = "a.example:444"',
        'hostnameport = "b.example:443"',
        'hostnameport = "b.localhost:443"',
        'hostnameport = "d.c.b.localhost:443"',
    ],
)
def test_what_nobody_gets_to_see(line: str) -> None:
    text = A_SITE + binding('hostnameport = "a.example:443"', FILE) + binding(line, FILE)
    text += site('bindings = ["http://1.1.1.1:80"]', "sslFlags = []")
    (warning,) = read(text).warnings
    assert warning.startswith(f"/etc/kssl/kssl.toml:9: binding[2].{line.split()[0]}: not served: ")


# Names without a certificate


@pytest.mark.parametrize("name", ["a.example", "*.example", "localhost.example", "a_b.localhost"])
def test_no_certificate(name: str) -> None:
    found = problem(site(f'hostnames = ["x.localhost",\n"{name}"]'))
    assert found.startswith(f"4 site[1].hostnames[2]: no certificate for {name}: give the site ")


@pytest.mark.parametrize("name", ["localhost", "a.localhost", "*.localhost", "*.a.localhost"])
def test_names_of_the_development_ca(name: str) -> None:
    assert read(site(f'hostnames = ["{name}"]')).sites[0].hostnames == (name,)


@pytest.mark.parametrize(
    "bound",
    [
        'ipport = "1.1.1.1:443"',
        'ipport = "*:443"',
        'hostnameport = "a.example:443"',
    ],
)
def test_a_binding_is_enough(bound: str) -> None:
    name = site('bindings = ["1.1.1.1:443"]', 'hostnames = ["a.example"]')
    assert read(name + binding(bound, FILE)).warnings == ()
    assert "no certificate for a.example" in problem(name + binding('ipport = "2.1.1.1:443"', FILE))


def test_plain_http_needs_none() -> None:
    text = site('bindings = ["http://1.1.1.1:80"]', 'hostnames = ["a.example"]', "sslFlags = []")
    assert read(text).warnings == ()


def test_each_name_of_each_site() -> None:
    text = site('hostnames = ["a.example", "b.example"]') + site('hostnames = ["c.example"]')
    assert [each.split(":")[0] for each in problems(text)] == [
        "3 site[1].hostnames[1]",
        "3 site[1].hostnames[2]",
        "6 site[2].hostnames[1]",
    ]
