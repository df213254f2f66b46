"""Over loopback, which the tests allow: a web server of a CA, and the real fetcher."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence

from kssl.fastpath.verifier.fetch import Allowed, Fetcher, FetchPool, Kind
from kssl.fastpath.verifier.retrieval import Budget, Retrieval, retrieve
from kssl.fastpath.verifier.rules.crl import CrlSet
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.verdict import Outcome
from tests.fastpath.verifier.fetch.server import Play, ok, serving
from tests.fastpath.verifier.retrieving import aia, points
from tests.fastpath.verifier.rules.pki import NOW, Made, self_signed

ROOT = self_signed("CN=Root,O=Example")


def shop(bodies: Mapping[str, bytes]) -> Play:
    """Serves by path; what is not there is a 404, "/slow" never answers."""

    def play(connection: socket.socket, head: bytes, stop: threading.Event) -> None:
        path = head.split(b" ")[1].decode()
        if path == "/slow":
            stop.wait(20)
        elif path in bodies:
            connection.sendall(ok(bodies[path]))
        else:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    return play


def chain(url: str) -> tuple[Made, dict[str, bytes]]:
    """A client's certificate below two CAs, and what is at `url`."""
    upper = ROOT.issue("CN=Upper", aia(f"{url}/root"), points(f"{url}/root.crl"), ca=True)
    lower = upper.issue("CN=Lower", aia(f"{url}/upper"), points(f"{url}/upper.crl"), ca=True)
    alice = lower.issue("CN=alice", aia(f"{url}/lower"), points(f"{url}/lower.crl"))
    bodies = {
        "/upper": upper.der, "/lower": lower.pem,
        "/root.crl": ROOT.crl(), "/upper.crl": upper.crl(), "/lower.crl": lower.crl(),
        "/revoked.crl": lower.crl(alice.certificate),
    }  # fmt: skip
    return alice, bodies


def retrieved(
    leaf: Made, port: int, allow: Sequence[str] = ("127.0.0.1",), budget: Budget | None = None
) -> Retrieval:
    pool = FetchPool(Fetcher(allowed=Allowed.of(allow, ports=[port], setting="--here")), threads=1)
    policy = Policy.prepare([ROOT.certificate], crls=CrlSet.parse([]))
    try:
        return retrieve(
            [leaf.der], policy, NOW,
            lambda url, seconds: pool.get(url, Kind.CERTIFICATE, seconds),
            lambda url, seconds: pool.get(url, Kind.CRL, seconds),
            budget=budget,
        )  # fmt: skip
    finally:
        assert pool.close()


def test_good_and_revoked() -> None:
    bodies: dict[str, bytes] = {}
    with serving(shop(bodies)) as server:
        alice, found = chain(server.url)
        bodies.update(found)
        good = retrieved(alice, server.port)
        paths = [head.split(b" ")[1].decode() for head in server.requests]
        bodies["/lower.crl"] = found["/revoked.crl"]
        revoked = retrieved(alice, server.port)
    assert good.verdict.ok, (good.verdict.reason, good.notes)
    assert paths == ["/lower", "/upper", "/lower.crl", "/upper.crl", "/root.crl"]
    assert [each.url.removeprefix(server.url) for each in good.fetched] == paths
    assert revoked.verdict.outcome is Outcome.REVOKED
    assert "'CN=alice' was revoked" in revoked.verdict.reason


def test_not_there() -> None:
    with serving(shop({})) as server:
        result = retrieved(chain(server.url)[0], server.port)
    assert result.verdict.outcome is Outcome.UNTRUSTED
    assert len(result.notes) == 1
    assert result.notes[0].startswith(f"{server.url}/lower: ")
    assert "404" in result.notes[0]


def test_a_private_address() -> None:
    with serving(shop({})) as server:
        alice, _ = chain(server.url)
        result = retrieved(alice, server.port, allow=())
        assert server.requests == []
    assert result.verdict.outcome is Outcome.UNTRUSTED
    assert result.notes == (
        f"{server.url}/lower: 127.0.0.1 is a loopback address; name it in --here to allow it",
    )


def test_a_server_that_does_not_answer() -> None:
    with serving(shop({})) as server:
        leaf = ROOT.issue("CN=a", aia(f"{server.url}/slow")).issue(
            "CN=b", aia(f"{server.url}/slow", f"{server.url}/never")
        )
        result = retrieved(leaf, server.port, budget=Budget(seconds=0.3))
    assert result.verdict.outcome is Outcome.UNTRUSTED
    assert "not there within 0." in result.notes[0]
    assert result.notes[1].startswith(f"{server.url}/never: not ")
