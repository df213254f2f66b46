"""`kssl cert test --site`: CAs that the service has kept, and what it might fetch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fastpath.verifier.fetch.server import Server, serving
from tests.fastpath.verifier.retrieving import aia, points
from tests.fastpath.verifier.rules.pki import DAY
from tests.fastpath.verifier.test_retrieval_end_to_end import shop
from tests.proxy.cli.site_place import ALICE, MIDDLE, ROOT, Place, made_place


@pytest.fixture
def place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Place:
    monkeypatch.delenv("KSSL_CONFIG", raising=False)
    return made_place(tmp_path, capsys)


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
