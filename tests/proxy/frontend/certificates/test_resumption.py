"""A client that comes back with its session presents nothing, and is told apart all the same."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography import x509

from kssl.proxy.frontend.hello import HelloCollector
from tests.fastpath.verifier.rules.pki import self_signed
from tests.proxy.frontend.certificates.conftest import Rigs
from tests.proxy.frontend.certificates.served import AskingRig, every_site, fields_of, get, site
from tests.proxy.frontend.certificates.table import VERSIONS
from tests.proxy.frontend.certificates.wallet import Card, Wallet
from tests.proxy.frontend.clients import Answer, CutError
from tests.proxy.frontend.upstreams import Upstream

TIMES = 4
every_version = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(
    params=[("kernel", 1), ("kernel", 3), ("user", 1), ("user", 3)],
    ids=lambda pair: f"{pair[0]}-{pair[1]}",
)
def asking(request: pytest.FixtureRequest, asking_rigs: Rigs) -> Iterator[AskingRig]:
    rig = asking_rigs(*request.param)
    yield rig
    rig.settle()


@dataclass
class Regular:
    """One client; `session` is of the last visit."""

    rig: AskingRig
    version: str
    card: Card | None
    session: ssl.SSLSession | None = field(default=None, init=False)

    def visit(self, host: str) -> tuple[bool, Answer | str]:
        """Whether the session was resumed, and the answer or the alert. The end is in order."""
        answer: Answer | str
        if self.session is not None:
            self._must_be_offered(host)
        visitor = self.rig.visitor(host, self.version, self.card, session=self.session)
        with visitor as client:
            try:
                client.send(get(host))
                answer = client.read_answer()
            except CutError as cut:
                answer = str(cut)
            else:
                client.close_notify()
                client.read_to_end()
            resumed, self.session = client.resumed, client.session
        self.rig.wait_until_over()
        return resumed, answer

    def _must_be_offered(self, host: str) -> None:
        """Else that it is not resumed would mean nothing."""
        more = {"session": self.session, "handshake": False}
        collector = HelloCollector()
        with self.rig.visitor(host, self.version, self.card, **more) as client:
            assert collector.add(client.client_hello())
        # In TLS 1.3 the first is made up, for old middleboxes (RFC 9846 appendix E.4).
        assert len(collector.session_ids) == (2 if self.version == "1.3" else 1)


def told(answer: Answer | str) -> dict[str, str]:
    assert isinstance(answer, Answer)
    assert answer.status == 200
    return {name: value for name, value in fields_of(answer).items() if "client-cert" in name}


@every_version
@pytest.mark.parametrize(
    ("host", "presents", "names"),
    [
        ("require-page.localhost", "good", 3),
        ("require-alert.localhost", "good", 3),
        ("negotiate-page.localhost", "tower of 10", 3),
        ("negotiate-page.localhost", "none", 1),
        ("require-pass.localhost", "none", 1),
        ("require-pass.localhost", "other CA", 2),
        ("negotiate-pass.localhost", "expired", 2),
        ("require-pass.localhost", "malformed", 2),
        ("ignore-page.localhost", "good", 0),
    ],
)
def test_the_app_is_told_the_same(
    asking: AskingRig, wallet: Wallet, telling: Upstream,
    version: str, host: str, presents: str, names: int,
) -> None:  # fmt: skip
    asking.serve(*every_site(telling.port, wallet))
    regular = Regular(asking, version, wallet.cards.get(presents))
    resumed, answer = regular.visit(host)
    first = told(answer)
    assert (resumed, len(first)) == (False, names)
    known = presents in ("good", "tower of 10", "none")  # a session keeps nothing of strangers
    for _ in range(TIMES):
        resumed, answer = regular.visit(host)
        assert (resumed, told(answer)) == (known, first)


@every_version
@pytest.mark.parametrize(("size", "resumed"), [(10_000, True), (30_000, False)])
def test_a_session_does_not_keep_much(
    asking: AskingRig, wallet: Wallet, telling: Upstream, tmp_path: Path,
    version: str, size: int, resumed: bool,
) -> None:  # fmt: skip
    """Certificates without use, behind good ones."""
    asking.serve(*every_site(telling.port, wallet))
    card = wallet.cards["good"]
    names = [x509.DNSName(f"{number:03}.{'x' * 50}.example") for number in range(size // 69)]
    useless = self_signed("CN=Useless", (x509.SubjectAlternativeName(names), False))
    assert abs(len(useless.der) - size) < size // 10
    chain = tmp_path / "chain.pem"
    chain.write_bytes(card.chain.read_bytes() + useless.pem)
    regular = Regular(asking, version, replace(card, chain=chain))
    for number in range(TIMES):
        again, answer = regular.visit("require-page.localhost")
        assert told(answer)["x-client-cert-verdict"] == "ok"
        assert again is (resumed and number > 0)


@every_version
@pytest.mark.parametrize(
    ("presents", "page", "resumes"), [("other CA", b"403.16", False), ("none", b"403.7", True)]
)
def test_the_same_page(
    asking: AskingRig, wallet: Wallet, telling: Upstream,
    version: str, presents: str, page: bytes, resumes: bool,
) -> None:  # fmt: skip
    asking.serve(*every_site(telling.port, wallet))
    regular = Regular(asking, version, wallet.cards.get(presents))
    for number in range(TIMES):
        resumed, answer = regular.visit("require-page.localhost")
        assert isinstance(answer, Answer)
        assert (resumed, answer.status) == (resumes and number > 0, 403)
        assert b"<title>" + page + b" " in answer.body
    assert telling.accepted == 0


@every_version
@pytest.mark.parametrize("notify", [0, 1])
@pytest.mark.parametrize(("presents", "alert"), [("revoked", "REVOKED"), ("none", "")])
def test_nothing_is_resumed_after_an_alert(
    asking: AskingRig, wallet: Wallet, telling: Upstream,
    version: str, presents: str, alert: str, notify: int,
) -> None:  # fmt: skip
    """Not even where sessions survive every other end."""
    asking.serve(*every_site(telling.port, wallet), enable_ssl_close_notify=notify)
    regular = Regular(asking, version, wallet.cards.get(presents))
    for _ in range(TIMES):
        resumed, answer = regular.visit("require-alert.localhost")
        assert isinstance(answer, str)
        assert not resumed
        assert "ALERT" in answer
        assert alert in answer
    assert telling.accepted == 0


@every_version
@pytest.mark.parametrize(
    ("begun", "other"),
    [
        ("negotiate-page", "require-page"),
        ("require-page", "negotiate-page"),
        ("require-pass", "require-page"),
        ("require-page", "ignore-page"),
        ("ignore-page", "require-page"),
    ],
)
def test_nothing_is_resumed_under_another_policy(
    asking: AskingRig, wallet: Wallet, telling: Upstream, version: str, begun: str, other: str
) -> None:
    """It is a full handshake, in which the certificate is presented again."""
    asking.serve(*every_site(telling.port, wallet))
    for _ in range(TIMES):  # with several workers: whichever is next
        regular = Regular(asking, version, wallet.cards["good"])
        assert regular.visit(f"{begun}.localhost")[0] is False
        resumed, answer = regular.visit(f"{other}.localhost")
        assert resumed is False
        verdict = told(answer).get("x-client-cert-verdict")
        assert verdict == (None if other.startswith("ignore") else "ok")


@every_version
def test_a_policy_that_has_changed_is_another(
    asking: AskingRig, wallet: Wallet, telling: Upstream, version: str
) -> None:
    """A rule against a client stops it at once, though its session is there."""
    host = "site.localhost"
    asking.serve(site(host, telling.port, wallet, "require", "page"))
    regular = Regular(asking, version, wallet.cards["good"])
    assert [regular.visit(host)[0] for _ in range(2)] == [False, True]
    deny = ("issuer:CN=Between,O=Example",)
    asking.serve(site(host, telling.port, wallet, "require", "page", deny=deny))
    resumed, answer = regular.visit(host)
    assert isinstance(answer, Answer)
    assert (resumed, answer.status) == (False, 403)
    assert b"<title>403.12 " in answer.body


@every_version
@pytest.mark.parametrize("failure", ["page", "alert"])
def test_who_is_revoked_meanwhile_is_refused(
    asking: AskingRig, telling: Upstream, tmp_path: Path, version: str, failure: str
) -> None:
    """The certificate is as it was when the session began; the verdict is of today."""
    wallet, host = Wallet(tmp_path / "files"), "site.localhost"
    served = site(host, telling.port, wallet, "require", failure)
    asking.serve(served)
    regular = Regular(asking, version, wallet.cards["good"])
    assert [regular.visit(host)[0] for _ in range(2)] == [False, True]
    wallet.revoke("good")
    asking.serve(served)
    resumed, answer = regular.visit(host)
    assert resumed
    if failure == "page":
        assert isinstance(answer, Answer)
        assert b"<title>403.13 " in answer.body
    else:
        assert answer == "SSLV3_ALERT_CERTIFICATE_REVOKED"
