"""Which addresses are connected to, over fakes: no network, every decision seen."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from kssl.fastpath.verifier.fetch import Allowed, Fetcher, FetchError, Form, Kind, Limits
from kssl.fastpath.verifier.fetch.url import Address
from tests.fastpath.verifier.fetch.samples import certificate
from tests.fastpath.verifier.fetch.server import Server, moved, ok

URL = "http://ca.example/a"
GOOD, OTHER, BAD = "8.8.8.8", "2a00:1450::1", "10.0.0.1"


class World:
    """DNS and a way to addresses; whatever is allowed through meets one server on loopback."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.names: dict[str, list[Sequence[str]]] = {"ca.example": [[GOOD]]}
        self.looked_up: list[str] = []
        self.dialled: list[tuple[str, int]] = []
        self.unreachable: dict[str, OSError] = {}

    def resolve(self, host: str) -> Sequence[str]:
        self.looked_up.append(host)
        answers = self.names[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def connect(self, address: Address, port: int, seconds: float) -> socket.socket:
        assert 0 < seconds <= 2
        self.dialled.append((str(address), port))
        if str(address) in self.unreachable:
            raise self.unreachable[str(address)]
        return socket.create_connection(("127.0.0.1", self.server.port), 10)

    def fetcher(self, allowed: Allowed | None = None, limits: Limits | None = None) -> Fetcher:
        return Fetcher(limits, allowed, resolve=self.resolve, connect=self.connect)

    def error(self, url: str = URL, allowed: Allowed | None = None) -> str:
        with pytest.raises(FetchError) as info:
            self.fetcher(allowed).fetch(url, Kind.CERTIFICATE)
        assert str(info.value).isprintable()
        return str(info.value)


@pytest.fixture
def world() -> Iterator[World]:
    server = Server(ok(certificate(), "Cache-Control: max-age=1234"))
    yield World(server)
    server.stop()


def test_it_connects_to_the_address_that_was_checked(world: World) -> None:
    found = world.fetcher().fetch("http://CA.example:8080/a", Kind.CERTIFICATE)
    assert (found.body, found.form, found.seconds) == (certificate(), Form.DER, 1234)
    assert world.dialled == [(GOOD, 8080)]
    assert b"\r\nHost: ca.example:8080\r\n" in world.server.requests[0]
    assert repr(certificate()) not in repr(found)


def test_an_address_is_not_looked_up(world: World) -> None:
    world.fetcher().fetch(f"http://{GOOD}/a", Kind.CERTIFICATE)
    assert (world.looked_up, world.dialled) == ([], [(GOOD, 80)])


@pytest.mark.parametrize(
    "addresses",
    [[BAD], [GOOD, BAD], [BAD, GOOD], [GOOD, OTHER, "::1"], ["::ffff:127.0.0.1"],
     [GOOD] * 9 + [BAD], [GOOD, "169.254.169.254"], [GOOD, "0.1.2.3"], [GOOD, "fe80::1%eth0"],
     [f"8.8.8.{index}" for index in range(60)] + [BAD]],
)  # fmt: skip
def test_one_bad_address_refuses_the_name(world: World, addresses: list[str]) -> None:
    world.names["ca.example"] = [addresses]
    assert "ca.example has the address" in world.error()
    assert world.dialled == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1", "[fd00::1]", "[::ffff:127.0.0.1]",
     "0.1.2.3", "[::]", "100.100.100.200", "192.168.1.1", "[64:ff9b::7f00:1]", "localhost",
     "ca.example:22", "2130706433"],
)  # fmt: skip
def test_nothing_is_done_for_a_bad_url(world: World, host: str) -> None:
    world.error(f"http://{host}/a")
    assert (world.looked_up, world.dialled) == ([], [])


def test_the_sentence_for_a_metadata_service(world: World) -> None:
    allowed = Allowed(setting="fetch_allowed")
    assert world.error("http://169.254.169.254/latest/meta-data/", allowed) == (
        "http://169.254.169.254/latest/meta-data/: 169.254.169.254 is a link-local address; "
        "name it in fetch_allowed to allow it"
    )


@pytest.mark.parametrize("entry", ["ca.example", "10.0.0.0/8", "10.0.0.1"])
def test_what_is_allowed(world: World, entry: str) -> None:
    world.names["ca.example"] = [[BAD]]
    world.fetcher(Allowed.of([entry])).fetch(URL, Kind.CERTIFICATE)
    assert world.dialled == [(BAD, 80)]


def test_rebinding(world: World) -> None:
    """The second answer of the DNS would be another one: nobody asks for it."""
    world.names["ca.example"] = [[GOOD], [BAD]]
    answers = iter([moved("/b"), moved("http://ca.example/c"), ok(certificate())])

    def play(connection: socket.socket, head: bytes, stop: threading.Event) -> None:
        connection.sendall(next(answers))

    world.server.play = play
    world.fetcher().fetch(URL, Kind.CERTIFICATE)
    assert world.looked_up == ["ca.example"]
    assert world.dialled == [(GOOD, 80)] * 3
    assert [head.split()[1] for head in world.server.requests] == [b"/a", b"/b", b"/c"]
    assert "10.0.0.1, which is a private address" in world.error()


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1/", "http://ca.example:8080/", "http://other.example/", "https://ca.example/",
     "file:///etc/passwd", "//other.example/", "http://169.254.169.254/"],
)  # fmt: skip
def test_redirects_elsewhere(world: World, location: str) -> None:
    world.server.play = moved(location)
    assert "redirects to" in world.error()
    assert world.looked_up == ["ca.example"]
    assert world.dialled == [(GOOD, 80)]


def test_a_redirect_loop(world: World) -> None:
    world.server.play = moved("/a")
    assert "redirects more than 2 times" in world.error()
    assert len(world.server.requests) == 3


def test_the_next_address(world: World) -> None:
    world.names["ca.example"] = [[OTHER, GOOD]]
    world.unreachable[OTHER] = ConnectionRefusedError(111, "Connection refused")
    world.fetcher().fetch(URL, Kind.CERTIFICATE)
    assert world.dialled == [(OTHER, 80), (GOOD, 80)]


def test_no_more_than_four(world: World) -> None:
    addresses = [f"8.8.8.{index}" for index in range(9)]
    world.names["ca.example"] = [addresses]
    world.unreachable = dict.fromkeys(addresses, TimeoutError())
    assert "8.8.8.3 does not answer within 2.0 s" in world.error()
    assert [address for address, _ in world.dialled] == addresses[:4]


def test_no_socket_left(world: World) -> None:
    world.unreachable[GOOD] = OSError(errno.EMFILE, "Too many open files")
    with pytest.raises(FetchError, match=r"no socket \(Too many open files\)") as info:
        world.fetcher().fetch(URL, Kind.CERTIFICATE)
    assert info.value.ours


def test_an_address_of_this_machine(world: World) -> None:
    """A public one as well: whoever asks from here passes the firewall in front."""
    world.names["ca.example"] = [[GOOD]]

    class Own(socket.socket):
        def getsockname(self) -> tuple[str, int]:
            return (GOOD, 40000)

    def connect(address: Address, port: int, seconds: float) -> socket.socket:
        own = Own()
        own.connect(("127.0.0.1", world.server.port))
        return own

    def fetch(*entries: str) -> bytes:
        fetcher = Fetcher(None, Allowed.of(entries), resolve=world.resolve, connect=connect)
        return fetcher.fetch(URL, Kind.CERTIFICATE).body

    with pytest.raises(FetchError, match=r"8\.8\.8\.8 is this machine"):
        fetch()
    assert world.server.requests == []
    assert fetch(GOOD) == certificate()


def test_proxies_of_the_environment_are_not_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    world.fetcher().fetch(URL, Kind.CERTIFICATE)
    assert world.dialled == [(GOOD, 80)]


def test_the_total_counts_over_everything(world: World) -> None:
    """A clock that jumps two seconds whenever it is read."""
    time = iter(range(0, 1000, 2))
    fetcher = Fetcher(
        Limits(total=5), resolve=world.resolve, connect=world.connect, now=lambda: next(time)
    )
    with pytest.raises(FetchError, match="not there within 5 s"):
        fetcher.fetch(URL, Kind.CERTIFICATE)


def test_closed(world: World) -> None:
    fetcher = world.fetcher()
    fetcher.close()
    with pytest.raises(FetchError, match="kssl stops"):
        fetcher.fetch(URL, Kind.CERTIFICATE)
    assert (world.looked_up, world.dialled) == ([], [])
