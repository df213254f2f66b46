"""RejectClientCertificates=1: whoever presents a certificate is refused, who has none is served."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from kssl.config.parameter import Profile
from kssl.config.profiles import NO_CLIENT_CERTIFICATES, REJECTED
from tests.proxy.frontend.certificates.served import AskingRig, get
from tests.proxy.frontend.certificates.wallet import Wallet
from tests.proxy.frontend.clients import CutError
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import Upstream

HOST = "localhost"
every_version = pytest.mark.parametrize("version", ["1.2", "1.3"])


@pytest.fixture(
    scope="module",
    params=[
        ("kernel", Profile.NATIVE, REJECTED),
        ("user", Profile.NATIVE, REJECTED),
        ("kernel", Profile.WS2003SP1, NO_CLIENT_CERTIFICATES),
        ("user", Profile.WS2003SP1, REJECTED),
    ],
    ids=lambda each: f"{each[0]}-{each[1]}",
)
def rejecting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[AskingRig, str]]:
    """The proxy, and the reason that it gives."""
    mode, profile, reason = request.param
    rig = AskingRig(
        mode, tmp_path_factory.mktemp("state"), profile=profile, reject_client_certificates=1
    )
    yield rig, reason
    rig.stop()


@every_version
@pytest.mark.parametrize("presented", ["good", "self-signed"])
def test_who_presents_one(
    rejecting: tuple[AskingRig, str],
    telling: Upstream,
    wallet: Wallet,
    caplog: pytest.LogCaptureFixture,
    version: str,
    presented: str,
) -> None:
    rig, reason = rejecting
    rig.configure(port=telling.port)
    with caplog.at_level(logging.WARNING, "kssl"):
        with rig.visitor(HOST, version, wallet.cards[presented]) as client:
            client.send(get(HOST))
            with pytest.raises(CutError, match="ACCESS_DENIED"):
                client.read_answer()
        wait_for(lambda: not rig.front.connections, "its end")
    (line,) = rig.errors.lines
    assert (line["reason"], line["status"]) == ("Cert_Rejected", 0)
    assert f"a client certificate was presented: {reason}" in caplog.text


@every_version
def test_who_has_none(rejecting: tuple[AskingRig, str], telling: Upstream, version: str) -> None:
    rig, _ = rejecting
    rig.configure(port=telling.port)
    with rig.visitor(HOST, version, None) as client:
        client.send(get(HOST, "/", "X-Client-Cert-Verdict: ok"))
        answer = client.read_answer()
        client.close_notify()
        client.read_to_end()
    assert answer.status == 200
    assert b"client-cert" not in answer.body.lower()
    assert rig.errors.lines == []
