"""`Front.apply` and `Service.reload`: another configuration, and nothing is dropped."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kssl.config.errors import ConfigError
from kssl.config.model import Binding, Configuration, Logs, Site
from kssl.config.parameter import Profile
from kssl.config.parameters import Parameters
from kssl.config.target import Listen, Target
from kssl.fastpath.ipc.supervisor import Supervisor, WorkerRefusedError
from tests.proxy.frontend.clients import request
from tests.proxy.frontend.plain import PlainClient
from tests.proxy.frontend.rig import NOBODY, PLAIN, TLS, Rig, one_site, wait_for
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide, answer_all, response

both_modes = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)


def target(upstream: Upstream) -> Target:
    return Target("http", "127.0.0.1", upstream.port)


# -- apply -------------------------------------------------------------------------------------


@both_modes
def test_under_load(proxy: Rig) -> None:
    """Ten clients ask all the time while the sites change: each request is answered, by the site
    of before or of after."""
    stop = threading.Event()
    failures: list[object] = []
    answered = [0] * 10

    def load(number: int) -> None:
        try:
            while not stop.is_set():
                with proxy.client() as client:
                    for _ in range(20):
                        answer = client.ask()
                        if answer.body not in (b"a", b"b"):
                            failures.append(answer)
                        answered[number] += 1
        except Exception as error:  # told below
            failures.append(error)

    with Upstream(answer_all(response(b"a"))) as a, Upstream(answer_all(response(b"b"))) as b:
        sites = [one_site(target(a)), one_site(target(b)), one_site(target(a))]
        proxy.serve_sites(sites[0])
        threads = [threading.Thread(target=load, args=(n,)) for n in range(10)]
        for thread in threads:
            thread.start()
        for site in sites * 5:
            before = sum(answered)
            wait_for(lambda before=before: sum(answered) > before + 20, "requests")  # type: ignore[misc]
            proxy.call(lambda site=site: proxy.apply(site))  # type: ignore[misc]
        stop.set()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert len(proxy.front.pools) == 1
        assert a.accepted
        assert b.accepted
        wait_for(lambda: all(side.ended.is_set() for side in b.sides), "the old pool is closed")


@both_modes
def test_a_request_in_progress_keeps_its_upstream(proxy: Rig) -> None:
    go_on = threading.Event()

    def slow(side: UpstreamSide) -> None:
        side.read_request()
        side.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        assert go_on.wait(60)
        side.send(b"a")
        side.read_to_end()

    with Upstream(slow) as a, Upstream(answer_all(response(b"b"))) as b, proxy.client() as client:
        proxy.serve_sites(one_site(target(a)))
        client.send(request())
        client.take_until(b"\r\n\r\na")
        proxy.call(lambda: proxy.apply(one_site(target(b))))
        go_on.set()
        assert client.take(1) == b"a"
        assert client.ask().body == b"b"
        assert a.sides[0].ended.wait(60)  # nobody needs it any more


@both_modes
def test_limits_take_effect_on_a_remembered_head(proxy: Rig) -> None:
    long = b"X-Long: " + b"x" * 500
    with Upstream(answer_all(response(b"a"))) as a, proxy.client() as client:
        site = one_site(target(a))
        proxy.serve_sites(site)
        for _ in range(2):
            assert client.ask(b"GET", b"/", long).status == 200
        few = replace(proxy.front.parameters, max_field_length=100, idle_connection_timeout=1)
        configuration = Configuration(parameters=few, sites=(site,))
        front = proxy.front
        proxy.call(lambda: front.apply(configuration, front.endpoints))
        assert client.ask(b"GET", b"/", long).status == 400
        with proxy.client() as other:
            assert other.ask().status == 200
            assert other.read_to_end() == (b"", "close_notify")  # idle, after a second
    assert [line["reason"] for line in proxy.errors.lines] == [
        "FieldLength",
        "Timer_ConnectionIdle",
    ]


@both_modes
def test_what_is_not_live_stays(proxy: Rig) -> None:
    site = one_site(NOBODY)
    proxy.serve_sites(site)
    front = proxy.front
    other = Parameters(max_bytes_per_send=1, disable_server_header=1)

    def apply() -> None:
        front.apply(Configuration(parameters=other, sites=(site,)), front.endpoints)

    proxy.call(apply)
    assert front.parameters.max_bytes_per_send == 131072
    assert front.parameters.disable_server_header == 1
    front.profile = Profile.WS2008  # Windows reads all of them when the service starts
    try:
        other = Parameters(disable_server_header=2)
        proxy.call(apply)
        assert front.parameters.disable_server_header == 1
    finally:
        front.profile = Profile.NATIVE


@both_modes
def test_handshakes_wait_while_the_workers_are_told(proxy: Rig) -> None:
    with Upstream(answer_all(response(b"a"))) as a:
        proxy.serve_sites(one_site(target(a)))
        proxy.call(proxy.front.begin_reload)
        with proxy.client(handshake=False) as early, proxy.client(handshake=False) as gone:
            for client in (early, gone):
                client.sock.sendall(client.client_hello())
            wait_for(lambda: len(proxy.front._held or ()) == 2, "both wait")
            gone.reset()
            proxy.call(proxy.front.end_reload)
            early.handshake()
            assert early.ask().body == b"a"


@both_modes
def test_an_endpoint_that_is_given_up(proxy: Rig) -> None:
    """Idle connections end; one that has not asked yet, and a request in progress, are served."""
    go_on = threading.Event()

    def slow(side: UpstreamSide) -> None:
        side.read_request()
        assert go_on.wait(60)
        side.send(response(b"a"))
        side.read_to_end()

    with Upstream(answer_all(response(b"a"))) as a, Upstream(slow) as b, ExitStack() as stack:
        plain = replace(one_site(target(a)), bindings=(PLAIN,), ssl_flags=frozenset())
        proxy.serve_sites(one_site(target(a)), replace(plain, name="plain"))
        idle, fresh, busy = (stack.enter_context(PlainClient(proxy.plain_port)) for _ in range(3))
        assert idle.ask().body == b"a"
        wait_for(lambda: len(proxy.front.connections) == 3, "all are accepted")
        slowly = replace(plain, name="plain", upstreams=(target(b),))
        proxy.call(lambda: proxy.apply(one_site(target(a)), slowly))
        busy.send(request())
        wait_for(lambda: b.accepted, "the request is there")
        proxy.call(lambda: proxy.apply(one_site(target(a))))
        assert idle.at_end()
        go_on.set()
        for client in (busy, fresh):
            if client is fresh:
                client.send(request())
            answer = client.read_answer()
            assert answer.body == b"a"
            assert answer.get(b"connection") == b"close"
            assert client.at_end()


# -- the service -------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig("kernel", tmp_path)
    try:
        yield rig
    finally:
        rig.stop()


def reload(rig: Rig, *sites: Site, logs: Logs | None = None) -> None:
    configuration = Configuration(
        parameters=rig.front.parameters, sites=sites, logs=logs or Logs("off")
    )
    rig.wait(rig.service.reload(configuration))


def test_reload(own: Rig, tmp_path: Path) -> None:
    """Bindings come and go, and the log is opened anew under its name."""
    log = tmp_path / "access.log"
    logs = Logs(log)
    with Upstream(answer_all(response(b"a"))) as a:
        site = one_site(target(a))
        new = Binding(Listen("127.0.0.2", 0))
        reload(own, replace(site, bindings=(TLS, new)), logs=logs)
        described = own.service.describe()
        assert len(described["urls"]) == 2
        assert described["url"] == described["urls"][0]
        with own.client() as client:
            assert client.ask().body == b"a"
            wait_for(lambda: log.exists() and log.read_bytes(), "the line")
            assert log.stat().st_mode & 0o777 & ~0o640 == 0
            log.rename(tmp_path / "access.log.1")
            port = own.plain_port
            reload(own, site, logs=logs)
            assert client.ask().body == b"a"
        wait_for(lambda: log.read_bytes().count(b"\n") == 1, "a line in the new file")
        assert (tmp_path / "access.log.1").read_bytes().count(b"\n") == 1
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
        assert [each.endpoint.binding for each in own.service._listeners] == [TLS]


def test_a_reload_that_fails_changes_nothing(own: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    with Upstream(answer_all(response(b"a"))) as a, own.client() as client:
        site = one_site(target(a))
        reload(own, site)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            used = Binding(Listen("127.0.0.1", taken.getsockname()[1]))
            for bad in (replace(site, bindings=(TLS, used)),):
                with pytest.raises(ConfigError):
                    reload(own, bad)

        async def refuse(self: Supervisor, settings: object) -> None:
            raise WorkerRefusedError("a bad certificate")

        monkeypatch.setattr(Supervisor, "reconfigure", refuse)
        with pytest.raises(ConfigError, match="a bad certificate"):
            reload(own, replace(site, bindings=(TLS, Binding(Listen("127.0.0.2", 0)))))
        assert client.ask().body == b"a"
        assert len(own.front.endpoints) == len(own.service._listeners) == 1
        with own.client() as other:
            assert other.ask().body == b"a"


def test_a_worker_that_cannot_go_back_is_replaced(
    own: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two accepts, the second does not, and what the first had is gone meanwhile."""
    with Upstream(answer_all(response(b"a"))) as a:
        site = one_site(target(a))
        reload(own, site)
        first = own.service._helpers.workers[0]
        before = first._settings
        accepts, asked = first.reconfigure, []

        async def reconfigure(self: Supervisor, settings: Any) -> Any:
            asked.append(self)
            if len(asked) > 1:
                raise WorkerRefusedError("a file is gone")
            return await accepts(settings)

        monkeypatch.setattr(Supervisor, "reconfigure", reconfigure)
        second = Supervisor(before)
        own.service._helpers.workers.append(second)
        try:
            with pytest.raises(ConfigError, match="a file is gone"):
                reload(own, replace(site, hostnames=("other.localhost",)))
        finally:
            own.service._helpers.workers.remove(second)
        assert asked == [first, second, first]
        assert first._settings == before
        wait_for(lambda: first.restarts == 1, "another worker")
        with own.client() as client:
            assert client.ask().body == b"a"


def test_the_access_log_s_stream_is_not_closed(own: Rig) -> None:
    stream = io.BytesIO()
    own.call(lambda: own.front.journal.reopen_access_log(stream))
    own.call(lambda: own.front.journal.reopen_access_log(None))
    assert not stream.closed
    assert not own.front.journal.access_log.enabled
