"""`kssl cert test --site`: the verdict of a site of the configuration, and what follows from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kssl.proxy.cli import main
from tests.fastpath.verifier.rules.pki import SERVER
from tests.proxy.cli.conftest import Kssl
from tests.proxy.cli.site_place import ALICE, AT, MIDDLE, ROOT, Place, made_place


@pytest.fixture
def place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Place:
    monkeypatch.delenv("KSSL_CONFIG", raising=False)
    return made_place(tmp_path, capsys)


# --- the verdict, and what follows


def test_for_people(place: Place) -> None:
    code, out, err = place.run()
    assert (code, err) == (0, "")
    assert out.splitlines()[:6] == [
        "verdict       ok",
        "reason        the client's certificate 'CN=alice' is trusted by",
        "              'CN=Root,O=Example'",
        "site          app",
        "follows       negotiate, failure page: the app gets the request, with",
        "              X-Client-Cert-Verdict: ok",
    ]


EXPIRED = "2027-01-01"


@pytest.mark.parametrize(
    ("flags", "lines", "at", "expected"),
    [
        ("SslNegotiateCert", "", AT, ("ok", True, None, "the app gets the request, with")),
        ("SslNegotiateCert", "", EXPIRED, ("403.17", False, None, "the client gets 403.17")),
        ("SslRequireCert", 'client_cert_failure = "page"', EXPIRED,
         ("403.17", False, None, "the client gets 403.17")),
        ("SslRequireCert", 'client_cert_failure = "alert"', EXPIRED,
         ("403.17", False, "certificate_expired",
          "the connection ends with the alert certificate_expired")),
        ("SslRequireCert", 'client_cert_failure = "pass"', EXPIRED,
         ("403.17", True, None, "the app gets the request, with X-Client-Cert-Verdict: 403.17")),
        ("SslRequireCert", 'client_cert_headers = "off"', AT,
         ("ok", True, None, "and is told nothing of the certificate (client_cert_headers is off)")),
    ],
)  # fmt: skip
def test_what_follows(
    place: Place, flags: str, lines: str, at: str, expected: tuple[str, bool, str | None, str]
) -> None:
    place.configure(place.site(lines, flags=flags))
    found = place.json(at=at)["site"]
    word, served, alert, text = expected
    assert (found["name"], found["verdict"]) == ("app", word)
    assert (found["served"], found["alert"]) == (served, alert)
    mode = "require" if flags == "SslRequireCert" else "negotiate"
    assert found["mode"] == mode
    out = " ".join(place.run(at=at)[1].split())
    assert f"follows {mode}, failure {found['failure']}: " in out
    assert text in out


def test_without_a_site_there_is_none(place: Place) -> None:
    assert main(["cert", "test", str(place.folder / "alice.pem"), "--json"]) == 1
    assert json.loads(place.capsys.readouterr().out)["site"] is None


@pytest.mark.parametrize(
    ("lines", "substatus"),
    [
        (["client_cert_depth = 0"], 16),
        (['client_cert_deny = ["issuer:*,O=Example"]'], 12),
        (['client_cert_allow = ["dns:a.example"]'], 12),
        (['client_crls = ["root.crl"]'], 13),
        (['client_crls = ["root.crl", "middle.crl"]'], None),
        (['client_crls = ["root.crl"]', "verifyclientcertrevocation = false"], None),
        (['client_crls = ["root.crl", "middle.crl"]', "revocationfreshnesstime = 60"], 13),
    ],
)
def test_the_sites_settings_count(place: Place, lines: list[str], substatus: int | None) -> None:
    place.write("root.crl", ROOT.crl())
    place.write("middle.crl", MIDDLE.crl())
    place.configure(place.site(*lines))
    assert place.json()["substatus"] == substatus


def test_usage(place: Place) -> None:
    place.write("alice.pem", MIDDLE.issue("CN=s", (SERVER, False)).pem + MIDDLE.pem)
    assert place.json()["substatus"] == 16
    place.configure(place.site("usagecheck = false"))
    assert place.json()["ok"]


def test_a_key_beside_the_certificate_is_not_read(place: Place) -> None:
    key = ALICE.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    place.write("alice.pem", key + ALICE.pem + MIDDLE.pem)
    code, out, _ = place.run()
    assert code == 0
    assert key.splitlines()[1].decode() not in out


# --- which site


def test_by_name_and_by_host_name(place: Place) -> None:
    place.configure(
        place.site(),
        place.site('client_cert_deny = ["issuer:*,O=Example"]', name="other"),
        place.site(name="wild").replace("wild.localhost", "*.wild.localhost"),
    )
    for text, name in (
        ("APP", "app"), ("app.localhost", "app"), ("Other.Localhost.", "other"),
        ("a.wild.localhost", "wild"),
    ):  # fmt: skip
        found = place.json(site=text)
        assert found["site"]["name"] == name
        assert found["ok"] == (name != "other")


def test_an_unknown_site(place: Place) -> None:
    place.configure(place.site(), place.site(name="other"))
    (line,) = place.refused(site="nobody")
    where = place.folder / "kssl.toml"
    assert line == f"kssl: there is no site 'nobody' in {where}; there are: 'app', 'other'"


def test_a_host_name_of_several_sites(place: Place) -> None:
    second = place.site('bindings = ["https://127.0.0.1:9443"]', name="second")
    place.configure(place.site(), second.replace("second.localhost", "app.localhost"))
    (line,) = place.refused(site="app.localhost")
    assert line == (
        "kssl: 'app.localhost' is served by several sites; name one of them: 'app', 'second'"
    )
    assert place.json(site="second")["ok"]


def test_what_is_served_without_tls_is_not_meant(place: Place) -> None:
    plain = (
        '[[site]]\nname = "plain"\nhostnames = ["app.localhost"]\nupstreams = ["8000"]\n'
        'bindings = ["http://127.0.0.1:9080"]\nsslFlags = []\n'
    )
    place.configure(plain, place.site())
    assert place.json(site="app.localhost")["site"]["name"] == "app"


def test_a_site_that_does_not_ask(place: Place) -> None:
    plain = '[[site]]\nname = "open"\nhostnames = ["open.localhost"]\nupstreams = ["8000"]\n'
    for sections in ((plain,), (plain, place.site())):
        place.configure(*sections)
        (line,) = place.refused(site="open")
        assert line.startswith("kssl: site 'open' asks for no client certificate: its sslFlags")


# --- what is wrong


def test_everything_wrong_is_told(place: Place) -> None:
    place.configure(place.site("colour = 1", "client_cert_depth = 99"))
    assert len(place.refused()) == 2
    place.configure(place.site('client_cert_allow = ["alice", "bob"]'))
    lines = place.refused()
    where = f"kssl: {place.folder / 'kssl.toml'}: app: client_cert_allow: "
    for line, who in zip(lines, ("alice", "bob"), strict=True):
        assert line.startswith(f"{where}'{who}'")
    (place.folder / "kssl.toml").unlink()
    (line,) = place.refused()
    assert "kssl.toml" in line


@pytest.mark.parametrize(
    "options",
    [
        ("--ca", "ca.pem"), ("--intermediates", "x"), ("--crl", "x"), ("--revocation",),
        ("--no-usage-check",), ("--max-depth", "10"), ("--allow", "dns:a"), ("--deny", "dns:a"),
        ("--fetch", "--fetch-allow", "10.0.0.1"),
    ],
)  # fmt: skip
def test_options_that_contradict(place: Place, options: tuple[str, ...]) -> None:
    (line,) = place.refused(*options)
    name = options[-2] if len(options) > 1 else options[0]
    assert line == (f"kssl: {name}: with --site the configuration says this; leave one of them out")


@pytest.mark.parametrize("option", ["--config", "--state-dir"])
def test_options_without_a_site(kssl: Kssl, place: Place, option: str) -> None:
    result = kssl("cert", "test", str(place.folder / "alice.pem"), option, str(place.folder))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"kssl: {option} goes with --site")
