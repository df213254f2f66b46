"""Several requests on one connection whose client was judged, and requests for another site."""

from __future__ import annotations

import pytest

from tests.proxy.frontend.certificates.served import (
    AskingRig,
    every_site,
    fields_of,
    get,
    post,
    site,
)
from tests.proxy.frontend.certificates.table import VERSIONS
from tests.proxy.frontend.certificates.wallet import Wallet
from tests.proxy.frontend.clients import CutError
from tests.proxy.frontend.upstreams import Upstream

every_version = pytest.mark.parametrize("version", VERSIONS)
PAGE = b"403.16 Forbidden"


@every_version
@pytest.mark.parametrize(
    ("host", "presents", "verdict", "told"),
    [
        ("require-page.localhost", "good", "ok", True),
        ("require-alert.localhost", "tower of 10", "ok", True),
        ("negotiate-page.localhost", "none", "none", False),
        ("require-pass.localhost", "none", "none", False),
        ("require-pass.localhost", "revoked", "403.13", True),
        ("ignore-page.localhost", "good", None, False),
    ],
)
def test_each_request_brings_the_same(
    asking: AskingRig, wallet: Wallet, telling: Upstream,
    version: str, host: str, presents: str, verdict: str | None, told: bool,
) -> None:  # fmt: skip
    asking.serve(*every_site(telling.port, wallet))
    with asking.visitor(host, version, wallet.cards.get(presents)) as client:
        client.send(get(host))
        first = fields_of(client.read_answer())
        assert (first.get("x-client-cert-verdict"), "client-cert" in first) == (verdict, told)
        client.send(get(host, "/other", "X-Other: 1"))
        other = fields_of(client.read_answer())
        assert other.pop("x-other") == "1"
        assert other == first
        client.send(get(host) * 3)  # pipelined
        assert [fields_of(client.read_answer()) for _ in range(3)] == [first] * 3
        client.send(post(host, b"body"))
        assert fields_of(client.read_answer()).items() >= first.items()
        client.close_notify()
        client.read_to_end()


@every_version
@pytest.mark.parametrize("flags", ["negotiate", "require"])
def test_a_refused_client_gets_one_page_and_the_end(
    asking: AskingRig, wallet: Wallet, telling: Upstream, version: str, flags: str
) -> None:
    """However many requests it pipelines; none of them reaches the app."""
    asking.serve(*every_site(telling.port, wallet))
    host = f"{flags}-page.localhost"
    with asking.visitor(host, version, wallet.cards["other CA"]) as client:
        client.send(get(host, "/1") + get(host, "/2") + get(host, "/3"))
        answer = client.read_answer()
        assert (answer.status, answer.get(b"connection")) == (403, b"close")
        assert PAGE in answer.body
        assert client.read_to_end() == (b"", "close_notify")
    assert telling.accepted == 0
    (line,) = asking.errors.lines
    assert (line["status"], line["reason"], line["uri"]) == (403, "Cert_Untrusted", b"/1")


@every_version
def test_a_refused_client_gets_the_page_whatever_it_asks(
    asking: AskingRig, wallet: Wallet, telling: Upstream, version: str
) -> None:
    asking.serve(*every_site(telling.port, wallet))
    host = "require-page.localhost"
    requests = {
        "GET": get(host),
        "POST": post(host, b"body"),
        "upgrade": get(host, "/ws", "Connection: Upgrade", "Upgrade: websocket"),
        "expect": get(host, "/", "Content-Length: 5", "Expect: 100-continue"),
        "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
        "absolute": get(host, f"https://{host}/"),
    }
    for what, request in requests.items():
        with asking.visitor(host, version, wallet.cards["self-signed"]) as client:
            client.send(request)
            answer = client.read_answer()
            assert (answer.status, answer.interim) == (403, []), what
            assert PAGE in answer.body, what
            assert client.read_to_end() == (b"", "close_notify"), what
    with asking.visitor(host, version, wallet.cards["self-signed"]) as client:
        client.send(get(host).replace(b"GET", b"HEAD"))
        answer = client.read_answer(b"HEAD")
        assert (answer.status, client.read_to_end()) == (403, (b"", "close_notify"))
    assert telling.accepted == 0


@every_version
def test_no_request_of_a_client_that_gets_an_alert_is_looked_at(
    asking: AskingRig, wallet: Wallet, telling: Upstream, version: str
) -> None:
    """Not even one that came together with the end of the handshake."""
    asking.serve(*every_site(telling.port, wallet))
    host = "require-alert.localhost"
    for _ in range(5):
        with asking.visitor(host, version, wallet.cards["expired"]) as client:
            client.send(get(host) * 3)
            with pytest.raises(CutError, match="ALERT_CERTIFICATE_EXPIRED"):
                client.more()
    assert telling.accepted == 0
    assert {line["reason"] for line in asking.errors.lines} == {"Cert_Expired"}
    assert asking.log_lines == []


def test_a_client_cannot_say_it_itself(
    asking: AskingRig, wallet: Wallet, telling: Upstream
) -> None:
    asking.serve(*every_site(telling.port, wallet))
    forged = ("Client-Cert: :AAAA:", "X-Client-Cert-Verdict: ok", "X-Client-Cert-Subject: CN=root")
    for flags, verdict in (("ignore", None), ("negotiate", "none")):
        host = f"{flags}-page.localhost"
        with asking.visitor(host, "1.3", None) as client:
            client.send(get(host, "/", *forged))
            answer = client.read_answer()
            assert answer.status == 200
            fields = fields_of(answer)
            told = {name: fields[name] for name in fields if "client-cert" in name}
            assert told == ({"x-client-cert-verdict": verdict} if verdict else {})


@every_version
@pytest.mark.parametrize("presents", ["good", "none", "other CA"])
@pytest.mark.parametrize(
    ("begun", "asked"),
    [
        ("require-page", "negotiate-page"),
        ("negotiate-page", "require-page"),
        ("require-page", "require-pass"),
        ("require-page", "ignore-page"),
        ("negotiate-pass", "ignore-page"),
        ("ignore-page", "negotiate-page"),
        ("ignore-page", "require-pass"),
    ],
)
def test_another_policy_is_421(
    asking: AskingRig, wallet: Wallet, telling: Upstream,
    version: str, presents: str, begun: str, asked: str,
) -> None:  # fmt: skip
    asking.serve(*every_site(telling.port, wallet))
    card = wallet.cards.get(presents)
    with asking.visitor(f"{begun}.localhost", version, card) as client:
        client.send(get(f"{asked}.localhost", "/secret"))
        assert client.read_answer().status == 421
        assert client.read_to_end() == (b"", "close_notify")
    assert telling.accepted == 0
    (line,) = asking.errors.lines
    assert (line["status"], line["reason"], line["uri"]) == (421, "Misdirected", b"/secret")


@every_version
def test_421_also_behind_a_good_request(
    asking: AskingRig, wallet: Wallet, telling: Upstream, version: str
) -> None:
    asking.serve(*every_site(telling.port, wallet))
    own, other = "require-page.localhost", "negotiate-page.localhost"
    with asking.visitor(own, version, wallet.cards["good"]) as client:
        client.send(get(own) + get(other))
        assert [client.read_answer().status for _ in range(2)] == [200, 421]
        assert client.read_to_end() == (b"", "close_notify")


@every_version
def test_sites_with_one_policy_share_connections(
    asking: AskingRig, wallet: Wallet, telling: Upstream, version: str
) -> None:
    hosts = ("one.localhost", "two.localhost")
    asking.serve(*(site(each, telling.port, wallet, "require", "page") for each in hosts))
    with asking.visitor(hosts[0], version, wallet.cards["good"]) as client:
        verdicts = []
        for host in (*hosts, *hosts):
            client.send(get(host))
            verdicts.append(fields_of(client.read_answer())["x-client-cert-verdict"])
        assert verdicts == ["ok"] * 4
    with asking.visitor(hosts[0], version, wallet.cards["other CA"]) as client:
        client.send(get(hosts[1]))
        assert client.read_answer().status == 403
