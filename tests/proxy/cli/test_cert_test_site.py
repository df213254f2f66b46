"""`kssl cert test --site`: the verdict of a site of the configuration, and what follows from it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fastpath.verifier.kept import FOLDER
from proxy.cli import main
from tests.fastpath.clientcert.pki import DAY, SERVER, Made, self_signed
from tests.fastpath.fetch.server import Server, serving
from tests.fastpath.retrieving import aia, points
from tests.fastpath.test_retrieval_end_to_end import shop
from tests.proxy.cli.conftest import Kssl

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


@pytest.fixture
def place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Place:
    monkeypatch.delenv("KSSL_CONFIG", raising=False)
    place = Place(tmp_path, capsys)
    place.write("ca.pem", ROOT.pem)
    place.write("alice.pem", ALICE.pem + MIDDLE.pem)
    place.configure(place.site())
    return place


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


# --- what the service has kept


def test_kept_intermediates(place: Place) -> None:
    place.write("alice.pem", ALICE.pem)
    assert place.json()["substatus"] == 16
    folder = place.keep(MIDDLE)
    found = place.json()
    assert found["ok"]
    assert found["steps"][1]["from"] == "intermediate store"
    (file,) = folder.iterdir()
    file.rename(folder / f"{'0' * 64}.der")  # not what its name says
    assert place.json()["substatus"] == 16


def test_the_folder_is_left_as_it_is(place: Place) -> None:
    """Also with what the service would delete."""
    old = ROOT.issue("CN=Old", ca=True, until=-DAY)
    place.write("alice.pem", ALICE.pem)
    folder = place.keep(MIDDLE, old)
    (folder / f"{'1' * 64}.der").write_bytes(b"damaged")
    before = {each.name: each.stat().st_mtime_ns for each in folder.iterdir()}
    assert place.json()["ok"]
    assert place.json(at="2030-01-01")["substatus"] == 16  # the CA has expired, too
    assert {each.name: each.stat().st_mtime_ns for each in folder.iterdir()} == before
    assert len(before) == 3


def test_nothing_is_made(place: Place) -> None:
    assert place.json()["ok"]
    assert not (place.folder / "state").exists()


def test_a_folder_in_bad_hands(place: Place) -> None:
    place.write("alice.pem", ALICE.pem)
    folder = place.keep(MIDDLE)
    folder.chmod(0o777)
    found = place.json()
    assert found["substatus"] == 16
    assert found["notes"][0].startswith(
        "intermediate CAs that the service has kept are left out: folder of fetched intermediate "
        f"CAs, {folder}, may be changed by everybody"
    )


# --- what the service might fetch


@pytest.fixture
def server(place: Place) -> Iterator[Server]:
    """With /middle, /middle.crl and /root.crl; alice.pem lacks all three."""
    bodies: dict[str, bytes] = {}
    with serving(shop(bodies)) as server:
        url = server.url
        middle = ROOT.issue("CN=Middle", points(f"{url}/root.crl"), ca=True)
        alice = middle.issue("CN=alice", aia(f"{url}/middle"), points(f"{url}/middle.crl"))
        bodies |= {"/middle": middle.der, "/root.crl": ROOT.crl(), "/middle.crl": middle.crl()}
        place.write("alice.pem", alice.pem)
        place.write("middle.pem", middle.pem)
        yield server


def parameters(*lines: str) -> str:
    return "\n".join(["[parameters]", *lines, ""])


ASKING = "DisableSslCertChainCacheOnlyUrlRetrieval = 1"
REVOCATION = "verifyclientcertrevocation = true"


def test_offline_it_says_whom_the_service_would_ask(place: Place, server: Server) -> None:
    place.configure(parameters(ASKING), place.site(REVOCATION))
    found = place.json()
    assert (found["substatus"], found["fetched"]) == (16, [])
    might = "not asked without --fetch; the service might get it from there"
    assert found["notes"] == [f"{server.url}/middle: {might}"]
    place.configure(place.site(REVOCATION, 'client_intermediates = "middle.pem"'))
    found = place.json()
    assert found["substatus"] == 13
    assert found["notes"] == [
        f"{server.url}/middle.crl: {might}", f"{server.url}/root.crl: {might}",
    ]  # fmt: skip
    assert server.requests == []


def test_fetch(place: Place, server: Server) -> None:
    allowed = f'UrlRetrievalAllowed = "127.0.0.1:{server.port}"'
    place.configure(parameters(ASKING, allowed), place.site(REVOCATION))
    found = place.json("--fetch")
    assert found["ok"], found
    assert [each["url"].removeprefix(server.url) for each in found["fetched"]] == [
        "/middle", "/middle.crl", "/root.crl",
    ]  # fmt: skip
    assert found["site"]["served"]
    assert not (place.folder / "state").exists()  # kept nowhere


def test_fetch_by_the_sites_settings(place: Place, server: Server) -> None:
    allowed = f'UrlRetrievalAllowed = "127.0.0.1:{server.port}"'
    between = 'client_intermediates = "middle.pem"'
    no_lists = "verifyrevocationwithcachedclientcertonly = true"
    place.write("root.crl", ROOT.crl())
    off = "not asked, as DisableSslCertChainCacheOnlyUrlRetrieval is 0"
    cached = "not asked, as verifyrevocationwithcachedclientcertonly is on"
    crls = 'client_crls = ["root.crl"]'
    for sections, substatus, note in (
        ((parameters(allowed), place.site()), 16, f"{server.url}/middle: {off}"),
        ((parameters(allowed), place.site(REVOCATION, crls, between, no_lists)), 13,
         f"{server.url}/middle.crl: {cached}"),
    ):  # fmt: skip
        place.configure(*sections)
        for options in ((), ("--fetch",)):
            found = place.json(*options)
            assert (found["substatus"], found["notes"]) == (substatus, [note])
    place.configure(parameters(ASKING), place.site())
    (note,) = place.json("--fetch")["notes"]
    assert note.startswith(f"{server.url}/middle: names port {server.port}; only these are asked")
    assert "UrlRetrievalAllowed" in note
    assert server.requests == []


def test_the_sites_time_limit(place: Place, server: Server) -> None:
    slow = MIDDLE.issue("CN=alice", aia(f"{server.url}/slow"))
    place.write("alice.pem", slow.pem)
    allowed = f'UrlRetrievalAllowed = "127.0.0.1:{server.port}"'
    place.configure(parameters(ASKING, allowed), place.site("urlretrievaltimeout = 200"))
    (note,) = place.json("--fetch")["notes"]
    assert note.startswith(f"{server.url}/slow: ")
    assert re.search(r"within 0\.(1|2)", note), note
