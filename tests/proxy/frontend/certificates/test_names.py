"""Clients that name no site in the handshake, or one that there is not: whose policy they meet."""

from __future__ import annotations

import ssl
from dataclasses import replace

import pytest

from tests.proxy.frontend.certificates.served import AskingRig, every_site, fields_of, get, site
from tests.proxy.frontend.certificates.table import VERSIONS
from tests.proxy.frontend.certificates.wallet import Card, Wallet
from tests.proxy.frontend.clients import Answer, Client
from tests.proxy.frontend.upstreams import Upstream

every_version = pytest.mark.parametrize("version", VERSIONS)
every_name = pytest.mark.parametrize("name", ["", "nobody.localhost", "REQUIRE-PAGE.localhost"])


def visit(rig: AskingRig, version: str, card: Card | None, name: str, host: str) -> Answer:
    """``name``: SNI, "" for none. The certificate of the proxy may be of another name."""
    told = rig.context_of(version, card)
    context = ssl.create_default_context(cafile=rig.service.ca)
    context.check_hostname = False
    context.minimum_version = context.maximum_version = told.minimum_version
    if card is not None:
        context.load_cert_chain(card.chain, card.key)
    with Client(rig.port, context, name=name or None) as client:
        client.send(get(host))
        return client.read_answer()


@every_version
@every_name
def test_the_default_site_asks(
    asking: AskingRig, wallet: Wallet, telling: Upstream, version: str, name: str
) -> None:
    """Whoever leaves out the name is not let into a site that asks without its certificate."""
    sites = every_site(telling.port, wallet)
    host = "require-page.localhost"
    (asks,) = [each for each in sites if each.name == host]
    others = [each for each in sites if each.name != host]
    for served in ([asks, *others], [*others[:4], replace(asks, default=True), *others[4:]]):
        asking.serve(*served)
        assert visit(asking, version, None, name, host).status == 403
        good = visit(asking, version, wallet.cards["good"], name, host)
        assert fields_of(good)["x-client-cert-verdict"] == "ok"
        other = visit(asking, version, wallet.cards["good"], name, "ignore-page.localhost")
        assert other.status == 421


@every_version
@pytest.mark.parametrize("name", ["", "nobody.localhost", "open.localhost"])
def test_the_default_site_does_not_ask(
    asking: AskingRig, wallet: Wallet, telling: Upstream, version: str, name: str
) -> None:
    asking.serve(
        site("open.localhost", telling.port, wallet, "ignore", "page"),
        site("asks.localhost", telling.port, wallet, "negotiate", "page", number=2),
    )
    for card in (None, wallet.cards["good"]):
        assert visit(asking, version, card, name, "open.localhost").status == 200
        assert visit(asking, version, card, name, "asks.localhost").status == 421
