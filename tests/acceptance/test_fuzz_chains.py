"""Chains that nobody would write by hand, over real handshakes: what is presented here goes through
OpenSSL of both sides, the worker, the front end and the verifier."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from OpenSSL import crypto

from tests.acceptance.conftest import Figure
from tests.acceptance.guarded import (
    ROOT,
    SECONDS,
    SINCE,
    UNTIL,
    Guarded,
    Visit,
    context_of,
    guarded,
    issue,
    visit,
)
from tests.acceptance.support import MODES
from tests.fastpath.verifier.rules.pki import Made, cross, self_signed
from tests.fastpath.verifier.rules.webs import damaged

pytestmark = pytest.mark.acceptance

EXAMPLES = int(os.environ.get("KSSL_FUZZ_EXAMPLES", "400"))
SOON = 3.0  # seconds for connection, handshake, verdict and answer
MOST = 100  # certificates, of some 400 bytes: OpenSSL takes 100 KiB

SITES = {"localhost": 'sslFlags = ["SslRequireCert"]\nclient_ca = "clients.pem"'}


def _authority(name: str) -> Made:
    return self_signed(f"CN={name}", since=SINCE, until=UNTIL)


def _crossed(subject: Made, issuer: Made) -> Made:
    # Dated from `pki.NOW` on: it expires, or has. Here it is company only.
    return Made(cross(subject, issuer), subject.key)


UPPER = issue(ROOT, "CN=Upper", ca=True)
LOWER = issue(UPPER, "CN=Lower", ca=True)
GOOD = issue(LOWER, "CN=alice")
NEEDED = [LOWER.der, UPPER.der]
CIRCLE = [_authority("a"), _authority("b")]
SAME = [issue(ROOT, "CN=Lower", ca=True) for _ in range(30)]  # by name, and not by key
LEAVES = [
    GOOD, issue(CIRCLE[0], "CN=circle"), _authority("alone"), issue(ROOT, "CN=direct"), LOWER,
    issue(SAME[0], "CN=below"), issue(SAME[0], "CN=a,O=" + "é" * 60),
]  # fmt: skip
_STRANGE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\xff" * 300)
POOL = [
    each.der
    for each in (
        LOWER, UPPER, ROOT, GOOD, *CIRCLE, *SAME, _crossed(*CIRCLE), _crossed(*reversed(CIRCLE)),
        _crossed(UPPER, CIRCLE[0]), _crossed(ROOT, CIRCLE[1]), *LEAVES,
        *(_authority("Root,O=Example") for _ in range(20)),
        issue(ROOT, "CN=strange", (_STRANGE, True)),
    )
]  # fmt: skip


@pytest.fixture(scope="module", params=MODES)
def service(
    request: pytest.FixtureRequest, app_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("fuzz")
    with guarded(folder / "service", SITES, app_port, mode=request.param) as running:
        yield running
        # It lives, and goes on as before.
        assert visit(running.port, context_of(folder, GOOD, *NEEDED)).status == 200
        running.check()


def _readable(der: bytes) -> bool:
    """For our own OpenSSL, which would not send it otherwise."""
    try:
        crypto.load_certificate(crypto.FILETYPE_ASN1, der).get_pubkey()
        ssl.create_default_context(cadata=der)
    except (crypto.Error, ssl.SSLError):
        return False
    return True


def _settings(share: int) -> settings:
    return settings(
        max_examples=EXAMPLES // share, deadline=None, database=None,
        phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def test_any_chain(service: Guarded, tmp_path: Path, figure: Figure) -> None:
    """An answer each: 200, or a page that says why."""
    found: dict[str, int] = {}
    slowest = 0.0
    spoiled = damaged(POOL).filter(_readable)
    pool = st.one_of(st.sampled_from(POOL), st.sampled_from(POOL), spoiled)

    @_settings(1)
    @given(st.sampled_from(LEAVES), st.lists(pool, max_size=MOST))
    def fuzz(leaf: Made, behind: list[bytes]) -> None:
        nonlocal slowest
        answer = visit(service.port, context_of(tmp_path, leaf, *behind))
        assert answer.word in ("200", "403.16", "403.17"), answer
        assert answer.seconds < SOON
        slowest = max(slowest, answer.seconds)
        found[answer.word] = found.get(answer.word, 0) + 1

    fuzz()
    figure(f"{found}, {slowest:.3f} s at most")
    assert sum(found.values()) >= EXAMPLES * 0.9  # hypothesis gives some up
    assert found["200"]
    assert found["403.16"]


def test_a_good_chain_in_any_company(service: Guarded, tmp_path: Path, figure: Figure) -> None:
    slowest = 0.0

    @_settings(2)
    @given(st.lists(st.sampled_from(POOL), max_size=29), st.randoms(use_true_random=False))
    def fuzz(others: list[bytes], chance: random.Random) -> None:
        nonlocal slowest
        behind = [*NEEDED, *others]
        chance.shuffle(behind)
        answer = visit(service.port, context_of(tmp_path, GOOD, *behind))
        assert answer.status == 200, answer.text
        assert answer.seconds < SOON
        slowest = max(slowest, answer.seconds)

    fuzz()
    figure(f"{EXAMPLES // 2} chains, {slowest:.3f} s at most")


@pytest.mark.parametrize("count", [31, 32, 99, 240, 400])
def test_a_number_of_certificates(
    service: Guarded, tmp_path: Path, figure: Figure, count: int
) -> None:
    """32 with the client's own are looked at. OpenSSL takes 100 KiB; more is an alert."""
    behind = list(itertools.islice(itertools.cycle([*NEEDED, *POOL]), count))
    answer = visit(service.port, context_of(tmp_path, GOOD, *behind))
    size = sum(map(len, behind))
    figure(f"{size:,} bytes: {answer.word or 'none'} after {answer.seconds:.3f} s")
    if count < 32:
        assert answer.status == 200
    elif size < 90_000:
        assert answer.word == "403.16"
        assert "at most 32" in answer.text
    else:
        assert answer.status == 0
    assert answer.seconds < SOON


# --- what no client's OpenSSL sends: in TLS 1.2 the certificates are in the clear, so somebody
# between can change them


def _spoiled(port: int, context: ssl.SSLContext, chance: random.Random) -> Visit:
    """A handshake in which bytes of the Certificate message are others on the way. It must fail."""
    began = time.monotonic()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    flights, ended = 0, "finished"
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                ended = error.reason or "error"
                break
            else:
                break
            flight = bytearray(outgoing.read())
            flights += bool(flight)
            if flights == 2:
                _spoil(flight, chance)
            with contextlib.suppress(ConnectionError):
                sock.sendall(flight)
            data = b""
            with contextlib.suppress(ConnectionError):
                data = sock.recv(65536)
            if not data:
                ended = "closed"
                break
            incoming.write(data)
    assert flights >= 2, ended
    return Visit(0, ended, time.monotonic() - began)


def _spoil(flight: bytearray, chance: random.Random) -> None:
    """The first record is the Certificate message: its lengths and all that is in it, but not the
    header of the record."""
    assert flight[0] == 22
    assert flight[5] == 11
    end = 5 + int.from_bytes(flight[3:5])
    for _ in range(chance.choice((1, 1, 2, 10, 200))):
        at = chance.choice((chance.randrange(6, min(end, 40)), chance.randrange(6, end)))
        flight[at] ^= chance.randrange(1, 256)


def test_spoiled_on_the_way(service: Guarded, tmp_path: Path, figure: Figure) -> None:
    context = context_of(tmp_path, GOOD, *NEEDED)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert visit(service.port, context).status == 200
    chance = random.Random(1)
    ends: dict[str, int] = {}
    slowest = 0.0
    for _ in range(EXAMPLES):
        found = _spoiled(service.port, context, chance)
        assert found.text != "finished"
        assert found.seconds < SOON, found
        slowest = max(slowest, found.seconds)
        ends[found.text] = ends.get(found.text, 0) + 1
    figure(f"{ends}, {slowest:.3f} s at most")
