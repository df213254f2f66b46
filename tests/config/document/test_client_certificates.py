"""[[site]]: what it asks of its clients' certificates."""

from __future__ import annotations

from pathlib import Path

import pytest

from kssl.config.client_certificates import ClientCertificates, Failure, Headers
from kssl.config.document import keys
from kssl.config.document.read import Request, read_configuration
from kssl.config.errors import ProblemsError
from kssl.config.routing import verifier_settings
from kssl.fastpath.verifier.rules import policy, rules
from tests.config.document.support import (
    FOLDERS,
    UPSTREAMS,
    FakeFiles,
    a_request,
    problem,
    problems,
    read,
)

SITE = f"[[site]]\n{UPSTREAMS}"
NEGOTIATE = f'{SITE}sslFlags = ["Ssl", "SslNegotiateCert"]\n'
REQUIRE = f'{SITE}sslFlags = ["Ssl", "SslRequireCert"]\n'
ASKING = f'{REQUIRE}client_ca = "ca.pem"\n'
"""The fifth line is the first of what follows."""

ETC = Path("/etc/kssl")
VALUES: dict[str, tuple[str, str, object]] = {
    "client_ca": ('"clients.pem"', "ca", ETC / "clients.pem"),
    "client_cert_failure": ('"alert"', "failure", Failure.ALERT),
    "client_cert_headers": ('"all"', "headers", Headers.ALL),
    "client_intermediates": ('"/between.pem"', "intermediates", Path("/between.pem")),
    "client_cert_depth": ("0", "max_depth", 0),
    "client_cert_allow": ('["dns:a.b", "ip:::1"]', "allow", ("dns:a.b", "ip:::1")),
    "client_cert_deny": ('["email:*@x.y"]', "deny", ("email:*@x.y",)),
    "client_crls": ('["a.crl", "/b.crl"]', "crls", (ETC / "a.crl", Path("/b.crl"))),
    "verifyclientcertrevocation": ("true", "revocation", True),
    "revocationfreshnesstime": ("4294967295", "freshness", 0xFFFFFFFF),
    "verifyrevocationwithcachedclientcertonly": ("true", "cached_revocation_only", True),
    "usagecheck": ("false", "usage_check", False),
    "urlretrievaltimeout": ("20000", "retrieval_timeout", 20_000),
}
"""Key → its value in the document, the field, and what that is then."""

RELIED_ON = {
    "client_ca", "client_cert_failure", "client_cert_allow", "client_cert_deny", "client_crls",
    "verifyclientcertrevocation",
}  # fmt: skip


def wanted(text: str, request: Request | None = None) -> ClientCertificates | None:
    """Of the only site."""
    (site,) = read(text, request).sites
    return site.client_certificates


def warnings(text: str, request: Request | None = None) -> list[str]:
    """As ``LINE KEY: TEXT``."""
    found = read(text, request).warnings
    return [each.removeprefix("/etc/kssl/kssl.toml:").replace(": ", " ", 1) for each in found]


# -- what is right -----------------------------------------------------------------------------


def test_nobody_is_asked_by_default() -> None:
    (site,) = read(SITE).sites
    assert site.client_certificates is None
    assert site.policy == ""


@pytest.mark.parametrize(
    ("flags", "required"),
    [
        ('"SslNegotiateCert"', False),
        ('"SslRequireCert"', True),
        ('"sslnegotiatecert", " SSLREQUIRECERT "', True),
    ],
)
def test_the_least(flags: str, required: bool) -> None:
    configuration = read(f'{SITE}sslFlags = ["Ssl", {flags}]\nclient_ca = "ca.pem"')
    (site,) = configuration.sites
    assert site.client_certificates == ClientCertificates(required=required, ca=ETC / "ca.pem")
    assert site.policy == site.client_certificates.policy
    assert configuration.warnings == ()


def test_every_key_is_tested() -> None:
    assert list(VALUES) == [key.name for key in keys.CLIENT_CERTIFICATES]
    assert set(VALUES) > RELIED_ON


def test_everything() -> None:
    text = REQUIRE + "".join(f"{key} = {value}\n" for key, (value, _, _) in VALUES.items())
    fields = {field: meant for _, field, meant in VALUES.values()}
    # Lists are not fetched here, so the time would be for nothing if issuers were not either.
    request = a_request(command_line={"DisableSslCertChainCacheOnlyUrlRetrieval": 1})
    found = wanted(text, request)
    assert found == ClientCertificates(required=True, **fields)  # type: ignore[arg-type]
    assert read(text, request).warnings == ()


@pytest.mark.parametrize("key", [key for key in VALUES if key != "client_ca"])
def test_each_alone(key: str) -> None:
    value, field, meant = VALUES[key]
    # Without lists, this one could not do anything.
    lists = 'client_crls = ["x.crl"]\n' if key == "verifyrevocationwithcachedclientcertonly" else ""
    found = wanted(f"{ASKING}{lists}{key} = {value}")
    assert getattr(found, field) == meant
    assert getattr(found, field) != getattr(wanted(ASKING), field)


def test_limits_are_those_of_the_verifier() -> None:
    assert keys.DEEPEST == policy.MAX_DEPTH
    assert keys.MOST_RULES == rules.MAX_RULES
    rules.parse_rule("dns:" + "a." * 1021 + "a")
    assert len("dns:" + "a." * 1021 + "a") <= keys.LONGEST_RULE


@pytest.mark.parametrize(
    ("lines", "revocation"),
    [
        ("", False),
        ('client_crls = ["a.crl"]', True),
        ('client_crls = ["a.crl"]\nverifyclientcertrevocation = false', False),
        ("verifyclientcertrevocation = true", True),
    ],
)
def test_revocation_is_the_default_with_lists(lines: str, revocation: bool) -> None:
    found = wanted(ASKING + lines)
    assert found is not None
    assert found.revocation == revocation


def test_files_and_folders_are_looked_for_beside_the_file() -> None:
    files = FakeFiles()
    text = f'{REQUIRE}client_ca = "../cas/"\nclient_intermediates = "/x/between"\n'
    read(f'{text}client_crls = ["crl/a.crl", "/b.crl"]', files=files)
    assert set(files.asked) == {
        ETC / "../cas", Path("/x/between"), ETC / "crl/a.crl", Path("/b.crl")
    }  # fmt: skip


def test_sites_have_their_own() -> None:
    configuration = read(
        ASKING + 'hostnames = ["a.localhost"]\n'
        + NEGOTIATE + 'hostnames = ["b.localhost"]\nclient_ca = "ca.pem"\n'
        + ASKING + 'hostnames = ["c.localhost"]\n' + SITE
    )  # fmt: skip
    first, second, third, fourth = (site.policy for site in configuration.sites)
    assert fourth == ""
    assert first == third
    assert len({first, second, fourth}) == 3
    told = verifier_settings(configuration, Path("/state"))
    assert told is not None
    assert set(told["policies"]) == {first, second}
    found = ClientCertificates.from_json(told["policies"][second])
    assert found == configuration.sites[1].client_certificates


# -- what is wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("client_cert_failure = 1", "client_cert_failure: must be a text in quotes, not 1"),
        ('client_cert_failure = "Page"',
         'client_cert_failure: must be "page", "alert" or "pass", not "Page"'),
        ('client_cert_headers = "none"',
         'client_cert_headers: must be "rfc9440", "all" or "off", not "none"'),
        ('client_intermediates = ""', "client_intermediates: must not be empty"),
        ('client_intermediates = ["a"]', "client_intermediates: must be a text in quotes, not a l"),
        ('client_intermediates = "a\\u0000b"', "client_intermediates: must not hold a NUL"),
        ("client_cert_depth = -1", "client_cert_depth: must be a whole number, 0-32, not -1"),
        ("client_cert_depth = 33", "client_cert_depth: must be a whole number, 0-32, not 33"),
        ("client_cert_depth = true", "client_cert_depth: must be a whole number, 0-32, not true"),
        ('client_cert_allow = "dns:a"', 'client_cert_allow: must be a list: ["dns:a"]'),
        ("client_cert_allow = []", "client_cert_allow: must not be empty: without a rule, all "
         "that client_ca vouches for are let in; remove the key if that is meant"),
        ('client_cert_allow = ["dns:a", " "]', "client_cert_allow[2]: must not be empty"),
        ('client_cert_allow = ["dns:a", 1]', "client_cert_allow[2]: must be a text in quotes"),
        (f'client_cert_allow = ["{"a" * 2049}"]',
         "client_cert_allow[1]: has 2049 characters; a rule has 2048 at most"),
        ('client_cert_deny = [""]', "client_cert_deny[1]: must not be empty"),
        ("client_cert_deny = [[]]", "client_cert_deny[1]: must be a text in quotes, not a list"),
        ('client_crls = "a.crl"', 'client_crls: must be a list: ["a.crl"]'),
        ("client_crls = []", "client_crls: must not be empty; remove the key if there is none"),
        ('client_crls = [""]', "client_crls[1]: must not be empty"),
        ("client_crls = [1]", "client_crls[1]: must be a text in quotes, not 1"),
        ("verifyclientcertrevocation = 1", "verifyclientcertrevocation: must be true or false"),
        ('verifyclientcertrevocation = "enable"', 'must be true or false, not "enable"'),
        ("revocationfreshnesstime = -1", "must be a whole number, 0-4294967295, not -1"),
        ("revocationfreshnesstime = 4294967296", "must be a whole number, 0-4294967295, not 4"),
        ("usagecheck = 0", "usagecheck: must be true or false, not 0"),
        ("urlretrievaltimeout = 0", "urlretrievaltimeout: must be a whole number, 1-20000, not 0"),
        ("urlretrievaltimeout = 20001", "urlretrievaltimeout: must be a whole number, 1-20000"),
        ("UsageCheck = true", "UsageCheck: unknown key; did you mean usagecheck?"),
        ("client_cas = 1", "client_cas: unknown key; did you mean client_ca?"),
        # What goes together
        ('client_cert_failure = "pass"\nclient_cert_headers = "off"',
         'client_cert_failure: "pass" leaves it to the app, and client_cert_headers = "off" keeps '
         "the verdict from it; change one of them"),
        ("verifyrevocationwithcachedclientcertonly = true\nverifyclientcertrevocation = true",
         "verifyrevocationwithcachedclientcertonly: no certificate could ever be good: "),
    ],
)  # fmt: skip
def test_wrong(lines: str, said: str) -> None:
    found = problem(ASKING + lines)
    assert said in found
    assert found.startswith("5 site[1].")


@pytest.mark.parametrize("value", ["1", '""', '"a\\u0000"', '["ca.pem"]'])
def test_a_wrong_client_ca_is_told_once(value: str) -> None:
    assert problem(f"{REQUIRE}client_ca = {value}").startswith("4 site[1].client_ca: must ")


@pytest.mark.parametrize(
    ("allow", "deny", "key"),
    [(1001, 0, "5 site[1].client_cert_allow"), (500, 501, "6 site[1].client_cert_deny")],
)
def test_too_many_rules(allow: int, deny: int, key: str) -> None:
    def document(allow: int, deny: int) -> str:
        lists = (["dns:a"] * allow, ["dns:b"] * deny)
        return f"{ASKING}client_cert_allow = {lists[0]}\nclient_cert_deny = {lists[1]}\n"

    assert problem(document(allow, deny)) == (
        f"{key}: 1001 rules, allow and deny together; at most 1000 are possible"
    )
    assert wanted(document(allow - 1, deny)) is not None


def test_missing_files() -> None:
    text = f'{REQUIRE}client_ca = "cas"\nclient_intermediates = "between"\n'
    names = {*FOLDERS, "a.crl", "c.crl"}
    assert problems(f'{text}client_crls = ["a.crl", "b.crl", "c.crl"]', files=FakeFiles(names)) == [
        "4 site[1].client_ca: folder of client CAs /etc/kssl/cas does not exist",
        "5 site[1].client_intermediates: folder of intermediate CAs /etc/kssl/between does not "
        "exist",
        "6 site[1].client_crls[1]: CRL file /etc/kssl/a.crl does not exist",
        "6 site[1].client_crls[3]: CRL file /etc/kssl/c.crl does not exist",
    ]


# -- warnings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('client_cert_failure = "pass"', "5 site[1].client_cert_failure: clients with a bad "
         "certificate, or without one, get to the app as well: it must look at "
         'X-Client-Cert-Verdict, where only "ok" is good'),
        ('client_crls = ["a.crl"]\nverifyclientcertrevocation = false',
         "6 site[1].verifyclientcertrevocation: client_crls has no effect: revoked certificates "
         "are taken"),
        ("revocationfreshnesstime = 1", "5 site[1].revocationfreshnesstime: has no effect without "
         "verifyclientcertrevocation = true"),
        ("verifyrevocationwithcachedclientcertonly = true",
         "5 site[1].verifyrevocationwithcachedclientcertonly: has no effect without "
         "verifyclientcertrevocation = true"),
        ("urlretrievaltimeout = 10000",
         "5 site[1].urlretrievaltimeout: has no effect: nothing is fetched for this site"),
        ('client_crls = ["a.crl"]\nurlretrievaltimeout = 1\n'
         "verifyrevocationwithcachedclientcertonly = true",
         "6 site[1].urlretrievaltimeout: has no effect: nothing is fetched for this site"),
    ],
)  # fmt: skip
def test_warnings(lines: str, said: str) -> None:
    assert warnings(ASKING + lines) == [said]


@pytest.mark.parametrize(
    "lines",
    [
        'client_cert_headers = "off"',
        "client_cert_deny = []",
        "revocationfreshnesstime = 0",
        "verifyrevocationwithcachedclientcertonly = false",
        "verifyclientcertrevocation = false",
        "verifyclientcertrevocation = true\nurlretrievaltimeout = 1\nrevocationfreshnesstime = 1",
        'client_crls = ["a.crl"]\nverifyrevocationwithcachedclientcertonly = true',
    ],
)
def test_nothing_to_warn_of(lines: str) -> None:
    assert warnings(ASKING + lines) == []


def test_issuers_are_fetched_within_the_time_too() -> None:
    request = a_request(command_line={"DisableSslCertChainCacheOnlyUrlRetrieval": 1})
    assert warnings(f"{ASKING}urlretrievaltimeout = 1", request) == []


# -- real files --------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """kssl.toml and what it names."""
    folder = tmp_path / "etc"
    (folder / "cas").mkdir(0o755, parents=True)
    (folder / "between").mkdir(0o755)
    (folder / "kssl.toml").write_text(
        f'{REQUIRE}client_ca = "cas"\nclient_intermediates = "between/"\nclient_crls = ["a.crl"]\n'
    )
    (folder / "a.crl").touch()
    for each in folder.iterdir():
        each.chmod(0o700)
    return folder


def read_real(folder: Path) -> list[str]:
    """The problems, without the name of the folder."""
    try:
        read_configuration(Request(path=folder / "kssl.toml", state_dir=folder / "state"))
    except ProblemsError as error:
        return [str(each).replace(f"{folder}/", "") for each in error.problems]
    return []


PLACES = [("cas", "4: site[1].client_ca: folder of client CAs, cas,"),
          ("between", "5: site[1].client_intermediates: folder of intermediate CAs, between,"),
          ("a.crl", "6: site[1].client_crls[1]: CRL file a.crl")]  # fmt: skip


@pytest.mark.parametrize(("name", "where"), PLACES)
@pytest.mark.parametrize(("mode", "who"), [(0o720, "group "), (0o702, "everybody (mode 0702)")])
def test_what_others_may_write_to(folder: Path, name: str, where: str, mode: int, who: str) -> None:
    assert read_real(folder) == []
    (folder / name).chmod(mode)
    (only,) = read_real(folder)
    assert only.startswith(f"kssl.toml:{where} may be changed by {who}")
    assert only.endswith(f"run: chmod go-w {name}")


@pytest.mark.parametrize("key", ["client_ca", "client_intermediates"])
def test_a_file_or_a_folder(folder: Path, key: str) -> None:
    name = {"client_ca": "cas", "client_intermediates": "between"}[key]
    what = {"client_ca": "client CA file", "client_intermediates": "intermediate CA file"}[key]
    (folder / name).rmdir()
    (only,) = read_real(folder)
    assert only.endswith(f"site[1].{key}: {what} {name} does not exist; check the name")
    (folder / name).touch(0o600)
    if key == "client_ca":
        assert read_real(folder) == []
    (folder / name).chmod(0o602)
    (only,) = read_real(folder)
    assert f"site[1].{key}: {what} {name} may be changed by everybody" in only


def test_a_list_is_no_folder(folder: Path) -> None:
    (folder / "a.crl").unlink()
    (folder / "a.crl").mkdir()
    (only,) = read_real(folder)
    assert (
        only == "kssl.toml:6: site[1].client_crls[1]: CRL file a.crl is a folder; name the "
        "file in it"
    )
