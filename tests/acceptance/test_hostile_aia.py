"""Clients whose certificates lead a verifier to servers that mean it no good.

Each is refused, soon, and nothing is asked where nothing may be asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from kssl.bench.proc import peak_rss
from tests.acceptance.conftest import Figure
from tests.acceptance.guarded import (
    ROOT,
    SINCE,
    UNTIL,
    Guarded,
    Visit,
    context_of,
    crl,
    guarded,
    issue,
    visit,
)
from tests.acceptance.hostile import Hostile, Spy, from_shop, hostile, plays_of, spy
from tests.acceptance.support import MIB, MODES, mib
from tests.fastpath.verifier.fetch.server import moved, ok
from tests.fastpath.verifier.retrieving import aia, points
from tests.fastpath.verifier.rules.pki import DAY, Made, self_signed, sign

pytestmark = pytest.mark.acceptance

TIMEOUT = 2.0  # urlretrievaltimeout, in seconds, for all fetches of one verdict
BOUND = TIMEOUT + 2.0
AT_ONCE = 1.0  # where nobody is asked
MOST = 4  # URLs of certificates for one verdict (`kssl.fastpath.verifier.retrieval.Budget`)
REDIRECTS = 2  # that a fetch follows (`kssl.fastpath.verifier.fetch.limits.Limits`)
# Of the verifier: it holds a body of 64 KiB for each of four fetches, of 10 MiB if it is a CRL.
MEMORY = 120 * MIB
# What the kernels on both sides may hold of a body that nobody reads.
BUFFERS = 16 * MIB

_MILLISECONDS = f"urlretrievaltimeout = {TIMEOUT * 1000:.0f}"
_REQUIRED = f'sslFlags = ["SslRequireCert"]\nclient_ca = "clients.pem"\n{_MILLISECONDS}'
SITES = {
    "localhost": _REQUIRED,
    "lists.localhost": f"{_REQUIRED}\nverifyclientcertrevocation = true",
}


def parameters(*places: str) -> str:
    return (
        "DisableSslCertChainCacheOnlyUrlRetrieval = 1\n"
        f'UrlRetrievalAllowed = "127.0.0.1 {" ".join(places)}"'
    )


@dataclass(frozen=True, slots=True)
class Scene:
    """A service, the server that it may ask, and two that it may not: on another port, and on the
    same port of an address that nobody has named."""

    service: Guarded
    server: Hostile
    other_port: Spy
    other_address: Spy
    folder: Path
    mode: str

    def present(self, leaf: Made, name: str = "localhost") -> Visit:
        return visit(self.service.port, context_of(self.folder, leaf), name)

    def without_issuer(self, *urls: str) -> Visit:
        """A client's certificate whose issuer should be at ``urls``, and is at none."""
        middle = issue(ROOT, "CN=Nowhere", ca=True)
        return self.present(issue(middle, "CN=alice", aia(*urls)))

    def untouched(self) -> tuple[int, int]:
        return self.other_port.connections, self.other_address.connections


@pytest.fixture(scope="module", params=MODES)
def scene(
    request: pytest.FixtureRequest, app_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("hostile")
    with hostile() as server, spy("127.0.0.1") as port, spy("127.0.0.2", server.port) as address:
        server.plays.update(plays_of(server))
        server.plays["elsewhere"] = moved(f"http://127.0.0.1:{port.port}/secret")
        server.plays["address"] = moved(f"http://127.0.0.2:{server.port}/secret")
        server.plays["name"] = moved(f"http://localhost:{server.port}/secret")
        server.plays["metadata"] = moved("http://169.254.169.254/latest/meta-data/")
        server.plays["scheme"] = moved("https://127.0.0.1/")
        with guarded(
            folder / "service", SITES, app_port,
            mode=request.param, parameters=parameters(server.place),
        ) as service:  # fmt: skip
            yield Scene(service, server, port, address, folder, request.param)
            service.check()
            assert (port.connections, address.connections) == (0, 0)
            print(f"verifier: at most {mib(peak_rss(service.verifier))}")


def refused(scene: Scene, found: Visit, word: str, bound: float, figure: Figure) -> None:
    figure(f"{found.word} after {found.seconds:.2f} s")
    assert found.word == word, found.text
    assert found.seconds < bound
    assert scene.untouched() == (0, 0)
    # What could not be fetched tells of our network.
    assert str(scene.server.port) not in found.text
    assert "169.254" not in found.text
    peak = peak_rss(scene.service.verifier)
    assert peak < MEMORY, mib(peak)


# --- servers that may be asked

# What is done → requests at most.
SERVERS = {
    "slow": 1, "slow-head": 1, "never": 1, "endless": 1, "endless-head": 1, "endless-chunks": 1,
    "interim": 1, "gibibyte": 1, "gzip": 1, "garbage": 1, "html": 1, "nothing": 1, "closes": 1,
    "no-http": 1, "error": 1, "cut": 1, "unknown": 1,
    "chain": 1 + REDIRECTS, "loop": 1 + REDIRECTS,
    "elsewhere": 1, "address": 1, "name": 1, "metadata": 1, "scheme": 1,
}  # fmt: skip


@pytest.mark.parametrize("what", SERVERS)
def test_a_server(scene: Scene, figure: Figure, what: str) -> None:
    before = scene.server.sent
    found = scene.without_issuer(f"{scene.server.url}/{what}/0")
    refused(scene, found, "403.16", BOUND, figure)
    assert 1 <= len(scene.server.asked(what)) <= SERVERS[what]
    assert scene.server.sent - before < BUFFERS
    assert scene.server.asked("secret") == []


def test_the_same_again_asks_nobody(scene: Scene, figure: Figure) -> None:
    url = f"{scene.server.url}/unknown/again"
    for _ in range(3):
        refused(scene, scene.without_issuer(url), "403.16", BOUND, figure)
    assert scene.server.asked("unknown").count("/unknown/again") == 1


def test_many_urls(scene: Scene, figure: Figure) -> None:
    """Slow ones together have the time of one, and no more than four are asked."""
    found = scene.without_issuer(*(f"{scene.server.url}/slow/many{n}" for n in range(50)))
    refused(scene, found, "403.16", BOUND, figure)
    found = scene.without_issuer(*(f"{scene.server.url}/unknown/many{n}" for n in range(50)))
    refused(scene, found, "403.16", AT_ONCE, figure)
    assert len([path for path in scene.server.asked("unknown") if "many" in path]) <= MOST


# --- certificates that come, and do not help


def shop(scene: Scene, name: str, bodies: dict[str, Made | bytes]) -> str:
    """Serves ``bodies`` below ``name``; the URL."""
    for key, answer in from_shop(bodies).items():
        scene.server.plays[f"{name}-{key}"] = answer
    return f"{scene.server.url}/{name}"


def test_a_wrong_issuer(scene: Scene, figure: Figure) -> None:
    """Of the right name, from the right CA, and with another key."""
    url = f"{scene.server.url}/wrong"
    shop(scene, "wrong", {"a": issue(ROOT, "CN=Middle", ca=True)})
    leaf = issue(issue(ROOT, "CN=Middle", ca=True), "CN=alice", aia(f"{url}-a/0"))
    refused(scene, scene.present(leaf), "403.16", AT_ONCE, figure)
    assert scene.server.asked("wrong-a") == ["/wrong-a/0"]


def test_a_circle(scene: Scene, figure: Figure) -> None:
    url = f"{scene.server.url}/circle"
    a, b = (self_signed(f"CN={name}", since=SINCE, until=UNTIL) for name in "AB")

    def crossed(subject: Made, issuer: Made, where: str) -> Made:
        made = sign(
            subject.certificate.subject, issuer.certificate.subject, subject.key.public_key(),
            issuer.key, [(x509.BasicConstraints(True, None), True), aia(where)], SINCE, UNTIL,
        )  # fmt: skip
        return Made(made, subject.key)

    shop(
        scene, "circle",
        {"a": crossed(a, b, f"{url}-b/0"), "b": crossed(b, a, f"{url}-a/0")},
    )  # fmt: skip
    leaf = issue(a, "CN=alice", aia(f"{url}-a/0"))
    refused(scene, scene.present(leaf), "403.16", AT_ONCE, figure)
    assert scene.server.asked("circle-a") == ["/circle-a/0"]
    assert scene.server.asked("circle-b") == ["/circle-b/0"]


def test_ten_levels(scene: Scene, figure: Figure) -> None:
    """It would be trusted, with more patience than a client that comes without its chain is
    worth."""
    bodies: dict[str, Made | bytes] = {}
    last = ROOT
    for level in range(10):
        above = [aia(f"{scene.server.url}/ten-{level - 1}/0")] if level else []
        bodies[str(level)] = last = issue(last, f"CN=Level {level}", *above, ca=True)
    shop(scene, "ten", bodies)
    leaf = issue(last, "CN=alice", aia(f"{scene.server.url}/ten-9/0"))
    refused(scene, scene.present(leaf), "403.16", AT_ONCE, figure)
    asked = [level for level in range(10) if scene.server.asked(f"ten-{level}")]
    assert asked == [6, 7, 8, 9]
    assert visit(
        scene.service.port, context_of(scene.folder, leaf, *bodies.values())
    ).status == 200  # fmt: skip


def test_a_bundle_of_namesakes(scene: Scene, figure: Figure) -> None:
    """As many as there is room for, all of the issuer's name."""
    namesakes = b"".join(self_signed("CN=Middle").pem for _ in range(100))
    shop(scene, "bundle", {"a": namesakes})
    leaf = issue(issue(ROOT, "CN=Middle", ca=True), "CN=alice", aia(f"{scene.server.url}/bundle-a"))
    refused(scene, scene.present(leaf), "403.16", AT_ONCE, figure)
    assert scene.server.asked("bundle-a") == ["/bundle-a"]


# --- where nobody may be asked

# "{port}": of the server that may be asked, by the name 127.0.0.1 alone. The second: what the log
# says.
NOWHERE = {
    "https": ("https://127.0.0.1:{port}/x", "no http:// URL"),
    "ftp": ("ftp://127.0.0.1:{port}/x", "no http:// URL"),
    "file": ("file:///etc/passwd", "no http:// URL"),
    "ldap": ("ldap://127.0.0.1:{port}/cn=x", "no http:// URL"),
    "gopher": ("gopher://127.0.0.1:{port}/x", "no http:// URL"),
    "metadata": ("http://169.254.169.254/latest/meta-data/", "a link-local address"),
    "metadata-8080": ("http://169.254.169.254:8080/", "a link-local address"),
    "mapped": ("http://[::ffff:169.254.169.254]/", "a link-local address"),
    "mapped-hex": ("http://[::ffff:a9fe:a9fe]/", "a link-local address"),
    "nat64": ("http://[64:ff9b::169.254.169.254]/", "a link-local address behind NAT64"),
    "ec2-v6": ("http://[fd00:ec2::254]/", "a private address"),
    "azure": ("http://168.63.129.16/", "a service of the machine's host"),
    "private": ("http://10.0.0.1/", "a private address"),
    "decimal": ("http://2130706433:{port}/x", "a number for a host"),
    "decimal-metadata": ("http://2852039166/", "a number for a host"),
    "hexadecimal": ("http://0x7f000001:{port}/x", "a number for a host"),
    "hexadecimal-parts": ("http://0x7f.0.0.0x1:{port}/x", "a number for a host"),
    "octal": ("http://0177.0.0.1:{port}/x", "a number for a host"),
    "short": ("http://127.1:{port}/x", "a number for a host"),
    "zero": ("http://0.0.0.0/x", "an unspecified address"),
    "v6-loopback": ("http://[::1]/x", "a loopback address"),
    "v6-loopback-port": ("http://[::1]:{port}/x", "names port"),
    "next": ("http://127.0.0.2/x", "a loopback address"),
    "next-port": ("http://127.0.0.2:{port}/x", "names port"),
    "localhost": ("http://localhost/x", "a name of this network only"),
    "localhost-port": ("http://localhost:{port}/x", "names port"),
    "localhost-dot": ("http://LOCALHOST./x", "a name of this network only"),
    "ssh": ("http://127.0.0.1:22/", "names port 22"),
    "other-port": ("http://127.0.0.1:{other}/x", "names port"),
    "proxy": ("http://127.0.0.1:{proxy}/x", "names port"),
    "app": ("http://127.0.0.1:{app}/x", "names port"),
    "user": ("http://127.0.0.1:{port}@127.0.0.1:{other}/x", "a user name"),
    "user-2": ("http://x@127.0.0.1:{port}/x", "a user name"),
    "fragment": ("http://127.0.0.1:{port}#@127.0.0.1:{other}/", "a fragment"),
    "backslash": ("http://127.0.0.1:{other}\\@127.0.0.1:{port}/", "must be escaped"),
    "lines": ("http://127.0.0.1:{port}/x\r\nX-Evil: 1", "must be escaped"),
    "zone": ("http://[fe80::1%25lo]/x", "zone"),
    "no-name": ("http:///x", "a host that is no name"),
    "a-name-that-is-none": ("http://kssl.invalid/x", "was not found"),
}


@pytest.mark.parametrize("what", NOWHERE)
def test_nobody_is_asked(scene: Scene, figure: Figure, app_port: int, what: str) -> None:
    form, says = NOWHERE[what]
    url = form.format(
        port=scene.server.port, other=scene.other_port.port,
        proxy=scene.service.port, app=app_port,
    )  # fmt: skip
    before, said = scene.server.connections, len(scene.service.said)
    found = scene.without_issuer(url)
    # A name is looked up, which without a DNS server takes its time.
    bound = BOUND if says == "was not found" else AT_ONCE
    refused(scene, found, "403.16", bound, figure)
    assert scene.server.connections == before
    if says != "was not found":
        assert says in scene.service.said[said:]


# --- revocation lists


def listed(scene: Scene, *urls: str) -> Visit:
    """A client's certificate, right but for its list."""
    return scene.present(issue(ROOT, "CN=alice", points(*urls)), "lists.localhost")


@pytest.mark.parametrize("what", SERVERS)
def test_a_server_of_lists(scene: Scene, figure: Figure, what: str) -> None:
    before, asked = scene.server.sent, len(scene.server.asked(what))
    found = listed(scene, f"{scene.server.url}/{what}/1")
    refused(scene, found, "403.13", BOUND, figure)
    assert 1 <= len(scene.server.asked(what)) - asked <= SERVERS[what]
    assert scene.server.sent - before < BUFFERS + 10 * MIB  # of a list it takes so many
    assert scene.server.asked("secret") == []


_ONLY_CAS = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)
_UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0")
LISTS = {
    "delta": crl(ROOT, extensions=[(x509.DeltaCRLIndicator(1), True)]),
    "stale": crl(ROOT, since=-9 * DAY, until=-DAY),
    "young": crl(ROOT, since=DAY, until=2 * DAY),
    "other-issuer": crl(self_signed("CN=Other", since=SINCE, until=UNTIL)),
    "other-key": crl(self_signed("CN=Root,O=Example", since=SINCE, until=UNTIL)),
    "only-cas": crl(ROOT, extensions=[(_ONLY_CAS, True)]),
    "unknown-extension": crl(ROOT, extensions=[(_UNKNOWN, True)]),
    "cut": crl(ROOT)[:-1],
}


@pytest.mark.parametrize("what", LISTS)
def test_a_useless_list(scene: Scene, figure: Figure, what: str) -> None:
    name = f"list-{what}"
    scene.server.plays[name] = ok(LISTS[what])
    refused(scene, listed(scene, f"{scene.server.url}/{name}"), "403.13", AT_ONCE, figure)
    assert len(scene.server.asked(name)) == 1


def test_a_good_list(scene: Scene, figure: Figure) -> None:
    """Also behind a server that does not answer; and who is revoked by it is refused."""
    alice = issue(ROOT, "CN=alice", points(f"{scene.server.url}/good-list"))
    mallory = issue(ROOT, "CN=mallory", points(f"{scene.server.url}/good-list"))
    scene.server.plays["good-list"] = ok(crl(ROOT, mallory))
    found = scene.present(alice, "lists.localhost")
    figure(f"{found.word} after {found.seconds:.2f} s")
    assert found.status == 200, found.text
    refused(scene, scene.present(mallory, "lists.localhost"), "403.13", AT_ONCE, figure)
    assert len(scene.server.asked("good-list")) == 1


# --- and what is good


@pytest.mark.parametrize("mode", MODES)
def test_a_good_issuer_is_kept(app_port: int, tmp_path: Path, figure: Figure, mode: str) -> None:
    """For the next client, and beyond the end of the service."""
    with hostile() as server:
        upper = issue(ROOT, "CN=Upper", ca=True)
        lower = issue(upper, "CN=Lower", aia(f"{server.url}/upper"), ca=True)
        alice, bob = (issue(lower, f"CN={name}", aia(f"{server.url}/lower")) for name in "ab")
        stranger = self_signed("CN=Stranger", since=SINCE, until=UNTIL)
        below = issue(stranger, "CN=Below", aia(f"{server.url}/stranger"), ca=True)
        mallory = issue(below, "CN=m", aia(f"{server.url}/below"))
        bodies: dict[str, Made | bytes] = {
            "upper": upper, "lower": lower.pem, "stranger": stranger, "below": below
        }  # fmt: skip
        server.plays.update(from_shop(bodies))
        folder, options = tmp_path / "service", parameters(server.place)
        with guarded(folder, SITES, app_port, mode=mode, parameters=options) as service:
            found = visit(service.port, context_of(tmp_path, alice))
            figure(f"{found.word} after {found.seconds:.2f} s, by two requests")
            assert found.status == 200, found.text
            assert visit(service.port, context_of(tmp_path, bob)).status == 200
            assert visit(service.port, context_of(tmp_path, mallory)).word == "403.16"
        assert [each.split(b" ")[1] for each in server.requests] == [
            b"/lower", b"/upper", b"/below", b"/stranger",
        ]  # fmt: skip
        # A stranger's CAs are not kept.
        assert len(list((folder / "state" / "intermediates").iterdir())) == 2
    with guarded(folder, SITES, app_port, mode=mode, parameters=options) as service:
        for leaf in (alice, bob):
            found = visit(service.port, context_of(tmp_path, leaf))
            assert found.status == 200, found.text
            assert found.seconds < AT_ONCE


def test_nothing_is_fetched_unless_it_is_switched_on(app_port: int, tmp_path: Path) -> None:
    with hostile() as server:
        middle = issue(ROOT, "CN=Middle", ca=True)
        server.plays["middle"] = ok(middle.der)
        leaf = issue(middle, "CN=alice", aia(f"{server.url}/middle"))
        options = f'UrlRetrievalAllowed = "{server.place}"'
        with guarded(
            tmp_path / "service", SITES, app_port, mode="kernel", parameters=options
        ) as service:
            assert visit(service.port, context_of(tmp_path, leaf)).word == "403.16"
            assert visit(service.port, context_of(tmp_path, leaf, middle)).status == 200
        assert server.connections == 0
