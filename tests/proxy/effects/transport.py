"""The parameters of connections and their records, most of them read when the service starts."""

from __future__ import annotations

import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from OpenSSL import SSL

from kssl.config.parameter import Profile
from tests.proxy.effects.service import Running, Services, error_lines
from tests.proxy.frontend.clients import SECONDS, Client, request

_HEADER = 5  # bytes of a record's header
_EXPANSION = 17  # bytes of a TLS 1.3 record that are neither header nor content: type and tag
_RECORD = 1 << 14  # bytes, the most content of a record (RFC 9846 section 5.1)


def mode_seen(service: Running) -> tuple[bytes, str]:
    """What the app is told, and what the service says about itself."""
    before = len(service.app.sides)
    assert service.passes(b"/").status == 200
    head = bytes(service.app.sides[before].received)
    (line,) = [line for line in head.split(b"\r\n") if line.startswith(b"X-Kssl-Mode: ")]
    return line.removeprefix(b"X-Kssl-Mode: "), service.record.mode


def enable_kernel_ssl(services: Services) -> None:
    with services.start(EnableKernelSSL=1) as service:
        assert mode_seen(service) == (b"kernel", "kernel")
    with services.start(EnableKernelSSL=0) as service:
        assert mode_seen(service) == (b"user", "user")
        assert service.process.engine == "worker"
    with services.start(Profile.WS2008, EnableKernelSSL=0) as service:
        assert mode_seen(service) == (b"kernel", "kernel")
    assert "EnableKernelSSL=0 is obsolete" in service.stderr


def user_mode_hops(services: Services) -> None:
    """The filter is a process of its own, and only there in user mode."""
    with services.start(EnableKernelSSL=0, UserModeHops=1) as service:
        assert service.process.filter_pids == []
        assert mode_seen(service) == (b"user", "user")
    with services.start(EnableKernelSSL=0, UserModeHops=2) as service:
        assert len(set(service.process.pids)) == 3
        assert mode_seen(service) == (b"user", "user")
    with services.start(UserModeHops=2) as service:
        assert service.process.filter_pids == []
    assert "UserModeHops=2 has no effect in kernel mode" in service.stderr


def enable_ssl_close_notify(services: Services) -> None:
    """1: the proxy says goodbye, and resumes the sessions of those who do. 0: neither matters."""
    with services.start(EnableSslCloseNotify=1) as service:
        assert ending_of(service) == "close_notify"
        assert resumes(service, clean=True)
        assert not resumes(service, clean=False)
    reasons = [line["s-reason"] for line in error_lines(service.state / "LogFiles")]
    assert set(reasons) == {"Unclean_Close"}
    with services.start(EnableSslCloseNotify=0) as service:
        assert ending_of(service) == "cut"
        assert resumes(service, clean=False)
    assert not error_lines(service.state / "LogFiles")


# The first four are Mozilla's; those between the second and the sixth are of TLS 1.2 too.
GROUPS = [
    *("X25519MLKEM768", "x25519", "secp256r1", "secp384r1"),
    *("secp521r1", "x448", "ffdhe2048", "ffdhe3072"),
]


def tls_preset(services: Services) -> None:
    """Each version and group for itself, as a client that has no other."""
    for preset, groups, tls12 in (
        ("", GROUPS, True),
        ("intermediate", GROUPS[:4], True),
        ("modern", GROUPS[:4], False),
    ):
        with services.start(TlsPreset=preset) as service:
            service.passes(b"/")
            taken = [agreed(service, SSL.TLS1_3_VERSION, group) for group in GROUPS]
            assert taken == [group if group in groups else "" for group in GROUPS]
            for group in GROUPS[1:6]:
                # The certificate's is needed beside it.
                taken12 = agreed(service, SSL.TLS1_2_VERSION, group, "secp256r1")
                expected = group if group in groups else "secp256r1"
                assert taken12 == (expected if tls12 else "")
            assert not agreed(service, SSL.TLS1_1_VERSION, "secp256r1")


def agreed(service: Running, version: int, *groups: str) -> str:
    """The group that a client gets which has this version and these groups alone; "": none."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    client = SSL.Connection(context, None)
    set_groups = SSL._lib.SSL_set1_curves_list  # type: ignore[attr-defined]
    assert set_groups(client._ssl, ":".join(groups).encode())
    client.set_connect_state()
    client.set_tlsext_host_name(b"localhost")
    with socket.create_connection(("127.0.0.1", service.process.port), SECONDS) as sock:
        while True:
            try:
                client.do_handshake()
            except SSL.WantReadError:
                sock.sendall(client.bio_read(1 << 16))
                client.bio_write(sock.recv(1 << 16))
            except SSL.Error as error:
                assert "alert" in str(error)  # noqa: PT017
                return ""
            else:
                return client.get_group_name() or ""


def ending_of(service: Running) -> str:
    """How a connection ends that the proxy closes."""
    with service.client() as client:
        client.send(request(b"GET", b"/", b"Connection: close"))
        received, ending = client.read_to_end()
    assert received.endswith(b"abc")
    return ending


def resumes(service: Running, *, clean: bool) -> bool:
    """Whether a session is resumed whose connection the client has closed, with close_notify or
    without."""
    with connect(service, None) as first:
        assert not first.session_reused
        ask(first)
        session = first.session
        if clean:
            first.unwrap().close()
    service.passes(b"/")  # what comes later is served later: the proxy has seen the end by now
    with connect(service, session) as second:
        ask(second)
        return bool(second.session_reused)


def connect(service: Running, session: ssl.SSLSession | None) -> ssl.SSLSocket:
    sock = socket.create_connection(("127.0.0.1", service.process.port), timeout=SECONDS)
    return service.context.wrap_socket(sock, server_hostname="localhost", session=session)


def ask(sock: ssl.SSLSocket) -> None:
    sock.sendall(request())
    received = b""
    while not received.endswith(b"abc"):
        piece = sock.recv(1 << 16)
        assert piece
        received += piece


def disable_ssl_cert_chain_cache_only_url_retrieval(services: Services) -> None:
    """Where nobody asks for a client certificate, 1 says that it has no effect."""
    name = "DisableSslCertChainCacheOnlyUrlRetrieval"
    for value in (0, 1):
        with services.start(**{name: value}) as service:
            service.passes(b"/")
        assert (f"{name}=1 has no effect" in service.stderr) == bool(value)


def max_bytes_per_send(services: Services) -> None:
    """No record of a response has more content. The head of the answer may be in one of its own."""
    size = 3 * _RECORD
    for limit in (1_000, 5_000):
        with services.start(MaxBytesPerSend=limit) as service:
            contents = record_contents(service, size)
            assert max(contents) == limit
            assert sum(contents) >= size
    with services.start() as service:
        assert max(record_contents(service, size)) == _RECORD


def record_contents(service: Running, size: int) -> list[int]:
    """Bytes of content in each record of an answer with `size` bytes of body."""
    with WireClient(service.process.port, service.context) as client:
        client.ask()  # with it came the tickets
        client.wire.clear()
        assert len(client.ask(b"GET", b"/bytes/%d" % size).body) == size
        assert client.version == "TLSv1.3"
        wire, lengths = bytes(client.wire), []
    while wire:
        assert wire[0] == 23  # application data
        length = int.from_bytes(wire[3:_HEADER])
        lengths.append(length - _EXPANSION)
        wire = wire[_HEADER + length :]
    return lengths


class WireClient(Client):
    """Keeps the records as they come."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.wire = bytearray()
        super().__init__(port, context)

    @property
    def version(self) -> str | None:
        return self._tls.version()

    def _fill(self) -> None:
        data = self.sock.recv(1 << 18)
        assert data
        self.wire += data
        self._in.write(data)


# Open files that leave room for 1,025 clients beside what a service keeps for itself and upstreams.
_FILES = 2048


@contextmanager
def many_files() -> Iterator[None]:
    """The usual soft limit is 1,024."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = before
    if 0 <= hard < _FILES:
        pytest.skip(f"{_FILES} open files are needed, and the hard limit is {hard} (ulimit -Hn)")
    if 0 <= soft < _FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def max_connections(services: Services) -> None:
    """The least that can be set, one more, and without a limit. In a service of its own: nobody
    else's connections count."""
    check_one_too_many(services, 1024, "MaxConnections (1024) reached", MaxConnections=1024)


def max_connection_memory(services: Services) -> None:
    """16 MiB are enough for so many connections, 40 KiB each, and no more."""
    most = (16 << 20) // (40 << 10)
    told = "MaxConnectionMemory (16 MiB) reached"
    check_one_too_many(services, most, told, MaxConnectionMemory=16)


def check_one_too_many(services: Services, most: int, told: str, **limit: int) -> None:
    """``limit``: a parameter that allows so many connections, and any number when it is 0."""
    with many_files(), services.start(**limit) as service, ExitStack() as stack:
        address = ("127.0.0.1", service.process.port)
        for _ in range(most - 1):
            stack.enter_context(socket.create_connection(address))
        last = stack.enter_context(service.client())
        with service.more("Connections_Refused"):
            refused = stack.enter_context(socket.create_connection(address, timeout=SECONDS))
            with suppress(ConnectionResetError):
                assert refused.recv(1) == b""
        assert last.ask().body == b"abc"
        service.set(**dict.fromkeys(limit, 0))
        service.passes(b"/")
    assert told in service.stderr
