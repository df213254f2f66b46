"""`kssl cert test --fetch`: a web server on loopback, on a port that is allowed for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kssl.fastpath.verifier.fetch import Allowed
from kssl.proxy.cli import cert_test_fetch, main
from tests.fastpath.verifier.fetch.server import Server, serving
from tests.fastpath.verifier.retrieving import aia, points
from tests.fastpath.verifier.rules.pki import Made, self_signed
from tests.fastpath.verifier.test_retrieval_end_to_end import ROOT, chain, shop
from tests.proxy.cli.conftest import Kssl

LOOPBACK = ("--fetch-allow", "127.0.0.1")


@dataclass
class Place:
    """alice.pem and ca.pem in `folder`, and a server with what is missing."""

    folder: Path
    server: Server
    bodies: dict[str, bytes]
    alice: Made
    capsys: pytest.CaptureFixture[str]

    def test(self, *arguments: str) -> tuple[int, str]:
        """Exit code, and what is printed."""
        files = (str(self.folder / "alice.pem"), "--ca", str(self.folder / "ca.pem"))
        code = main(["cert", "test", *files, "--at", "2026-06-01T12:00Z", *arguments])
        return code, self.capsys.readouterr().out

    def json(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.test("--json", *arguments)[1])
        return found


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Place]:
    bodies: dict[str, bytes] = {}
    with serving(shop(bodies)) as server:
        alice, found = chain(server.url)
        bodies.update(found)
        for name, made in (("alice.pem", alice), ("ca.pem", ROOT)):
            (tmp_path / name).write_bytes(made.pem)
            (tmp_path / name).chmod(0o644)
        monkeypatch.setattr(
            cert_test_fetch, "allowed",
            lambda entries: Allowed.of(entries, ports=[server.port], setting="--fetch-allow"),
        )  # fmt: skip
        yield Place(tmp_path, server, bodies, alice, capsys)


def test_offline_without_the_option(place: Place) -> None:
    found = place.json()
    assert (found["substatus"], found["fetched"]) == (16, [])
    assert place.json("--revocation")["substatus"] == 16
    assert place.server.requests == []


def test_a_missing_issuer(place: Place) -> None:
    code, text = place.test("--fetch", *LOOPBACK)
    assert code == 0, text
    words = " ".join(text.split())
    size, url = len(place.bodies["/lower"]), place.server.url
    assert f"fetched the issuer 'CN=Lower' of 'CN=alice': {size} bytes from {url}/lower" in words
    assert words.count("found fetched, from where is told below") == 2
    assert len(place.server.requests) == 2


def test_json(place: Place) -> None:
    found = place.json("--fetch", *LOOPBACK, "--revocation")
    assert found["ok"], found
    assert [step["from"] for step in found["steps"]] == [
        "presented", "fetched", "fetched", "trust store",
    ]  # fmt: skip
    assert [step["revocation"] for step in found["steps"]] == ["good", "good", "good", None]
    url = place.server.url
    assert [each["url"].removeprefix(url) for each in found["fetched"]] == [
        "/lower", "/upper", "/lower.crl", "/upper.crl", "/root.crl",
    ]  # fmt: skip
    assert found["fetched"][2] == {
        "url": f"{url}/lower.crl",
        "kind": "crl",
        "bytes": len(place.bodies["/lower.crl"]),
        "what": "the CRL of 'CN=Lower'",
    }
    assert found["notes"] == []


def test_revocation_without_lists(place: Place) -> None:
    place.bodies["/lower.crl"] = place.bodies["/revoked.crl"]
    assert place.json("--fetch", *LOOPBACK, "--revocation")["substatus"] == 13
    del place.bodies["/lower.crl"]
    found = place.json("--fetch", *LOOPBACK, "--revocation")
    assert found["substatus"] == 13
    assert "nobody can tell" in found["reason"]
    (note,) = found["notes"]
    assert note.startswith(f"{place.server.url}/lower.crl: ")


def test_why_not(place: Place) -> None:
    code, text = place.test("--fetch")
    assert code == 1
    words = " ".join(text.split())
    assert "127.0.0.1 is a loopback address; name it in --fetch-allow to allow it" in words
    assert "fetched" not in words
    assert place.server.requests == []


def test_as_a_process(kssl: Kssl, tmp_path: Path) -> None:
    """Without any allowance: nothing leaves this machine, as these addresses are refused."""
    middle = self_signed("CN=Middle")
    leaf = middle.issue("CN=a", aia("http://192.168.0.1/a", "http://a:22/"), points("http://b/"))
    path = tmp_path / "leaf.pem"
    path.write_bytes(leaf.pem)
    result = kssl("cert", "test", str(path), "--fetch", "--revocation", "--json")
    assert result.returncode == 1
    assert json.loads(result.stdout)["notes"] == [
        "http://192.168.0.1/a: 192.168.0.1 is a private address; name it in --fetch-allow to "
        "allow it",
        "http://a:22/: names port 22; only these are asked: 80, 8080; name a:22 in --fetch-allow "
        "to allow it",
    ]


def test_usage_errors(kssl: Kssl, tmp_path: Path) -> None:
    path = tmp_path / "a.pem"
    path.write_bytes(ROOT.pem)
    for arguments, words in (
        (("--fetch-allow", "10.0.0.1"), "--fetch-allow goes with --fetch"),
        (("--fetch", "--fetch-allow", "10.0.0.1/8"), "--fetch-allow: '10.0.0.1/8' is no network"),
    ):
        result = kssl("cert", "test", str(path), *arguments)
        assert (result.returncode, result.stdout) == (2, "")
        assert words in result.stderr
