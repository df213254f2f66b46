"""The victims: clients as they are, asked for one reply, with a time limit.

Each tells what it would believe and whether it has noticed anything. What a client's version
makes of a missing close_notify is not known here: that is what the demonstration shows.
"""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

HOST, NAME = "127.0.0.1", "localhost"
PATH = "/order"
_SECONDS = 5.0
_READ = 1 << 16  # bytes
_MAX_ERROR = 120  # characters
# ERR_error_string(3): error:CODE:library:function:reason, and what the program adds.
_OPENSSL_ERROR = re.compile(r"\berror:[0-9A-F]{8}:[^:]*:[^:]*:([^:,]+)")
_REQUEST_1_0 = f"GET {PATH} HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode()


@dataclass(frozen=True, slots=True)
class Outcome:
    """`body` is what came of it; `error` is why the client does not believe it, or empty."""

    body: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """`ask` gets a port of 127.0.0.1 and the file of the CA.

    `framed`: asks with HTTP/1.1, where the body's own framing tells its end.
    `deaf_to_resets`: may take even a reset for the end. `program`: what must be installed.
    """

    name: str
    what: str
    ask: Callable[[int, str], Outcome]
    framed: bool = False
    deaf_to_resets: bool = False
    program: str = ""

    @property
    def installed(self) -> bool:
        return not self.program or shutil.which(self.program) is not None


def _curl(*options: str) -> Callable[[int, str], Outcome]:
    def ask(port: int, ca: str) -> Outcome:
        url = f"https://{NAME}:{port}{PATH}"
        # -q: the user's own settings are not part of the story.
        command = ["curl", "-q", "-sS", "--fail", "--noproxy", "*", "--cacert", ca, *options, url]
        return _run(command, b"")

    return ask


def _s_client(port: int, ca: str) -> Outcome:
    command = ["openssl", "s_client", "-quiet", "-verify_quiet", "-verify_return_error"]
    command += ["-CAfile", ca, "-servername", NAME, "-connect", f"{HOST}:{port}"]
    found = _run(command, _REQUEST_1_0)
    return _reply(found.body.encode("latin-1"), found.error)


def _run(command: list[str], said: bytes) -> Outcome:
    try:
        done = subprocess.run(
            command, input=said, capture_output=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return Outcome("", f"no end within {_SECONDS:g} s")
    body = done.stdout.decode("latin-1")
    if done.returncode == 0:
        return Outcome(body)
    lines = done.stderr.decode("latin-1").strip().splitlines() or [""]
    # curl's own line stands first, with advice below it; OpenSSL's stand last.
    told = next((line for line in lines if line.startswith("curl: ")), lines[-1])
    return Outcome(body, f"exit {done.returncode}: {_told(told)}")


def _told(line: str) -> str:
    """The reason in ``curl: (18) transfer closed …``, and in OpenSSL's ``40D7…:error:0A000126:SSL
    routines:ssl3_read_n:unexpected eof while reading:../ssl/record/…:318:``, which curl repeats."""
    of_openssl = _OPENSSL_ERROR.search(line)
    if of_openssl is not None:
        line = of_openssl[1]
    return re.sub(r"^curl: \(\d+\) ", "", line)[:_MAX_ERROR]


def _connect(port: int, ca: str, *, ragged: bool) -> ssl.SSLSocket:
    plain = socket.create_connection((HOST, port), _SECONDS)
    try:
        return ssl.create_default_context(cafile=ca).wrap_socket(
            plain, server_hostname=NAME, suppress_ragged_eofs=ragged
        )
    except BaseException:
        plain.close()
        raise


def _http_client(port: int, ca: str) -> Outcome:
    """http.client as it comes."""
    context = ssl.create_default_context(cafile=ca)
    connection = http.client.HTTPSConnection(NAME, port, timeout=_SECONDS, context=context)
    body = b""
    try:
        connection.request("GET", PATH)
        response = connection.getresponse()
        body = response.read()
    except http.client.IncompleteRead as cut:
        return Outcome(cut.partial.decode("latin-1"), str(cut))
    except (OSError, http.client.HTTPException) as error:
        return _failed(b"", error)
    finally:
        connection.close()
    status = "" if response.status == http.client.OK else f"HTTP {response.status}"
    return Outcome(body.decode("latin-1"), status)


def _http_1_0(*, ragged: bool) -> Callable[[int, str], Outcome]:
    def ask(port: int, ca: str) -> Outcome:
        received = b""
        try:
            with _connect(port, ca, ragged=ragged) as tls:
                tls.sendall(_REQUEST_1_0)
                while piece := tls.recv(_READ):
                    received += piece
        except OSError as error:
            return _failed(received, error)
        return _reply(received)

    return ask


def _naive(port: int, ca: str) -> Outcome:
    """Takes FIN for the end, as whoever reads TLS like plain TCP. A reset it sees."""
    context = ssl.create_default_context(cafile=ca)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=NAME)
    received, asked = b"", False
    try:
        with socket.create_connection((HOST, port), _SECONDS) as plain:
            while True:
                try:
                    if not asked:
                        tls.do_handshake()
                        tls.write(_REQUEST_1_0)
                        asked = True
                    while piece := tls.read(_READ):
                        received += piece
                    break  # close_notify
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                if not (data := plain.recv(_READ)):
                    break  # FIN: it must be the end
                incoming.write(data)
    except OSError as error:
        return _failed(received, error)
    return _reply(received)


def _failed(received: bytes, error: Exception) -> Outcome:
    text = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return _reply(received, f"{type(error).__name__}: {text}"[:_MAX_ERROR])


def _reply(received: bytes, error: str = "") -> Outcome:
    """What a client makes of a whole reply of HTTP/1.x that it has read to its end."""
    head, _, body = received.partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0].decode("latin-1")
    if not error and " 200 " not in f"{status} ":
        error = status[:_MAX_ERROR] or "no reply"
    return Outcome(body.decode("latin-1"), error)


CLIENTS = (
    Client("curl", "as usual", _curl(), framed=True, program="curl"),
    Client("curl --http1.0", "HTTP/1.0", _curl("--http1.0"), program="curl"),
    Client("openssl s_client", "HTTP/1.0 by hand", _s_client, program="openssl"),
    Client("http.client", "Python as it comes", _http_client, framed=True),
    # Python 3.10, 3.11 and early 3.12 make no difference between a reset and an end here.
    Client(
        "python ssl",
        "HTTP/1.0, suppress_ragged_eofs=True as it comes",
        _http_1_0(ragged=True),
        deaf_to_resets=True,
    ),
    Client("python strict", "HTTP/1.0, suppress_ragged_eofs=False", _http_1_0(ragged=False)),
    Client("naive", "HTTP/1.0, takes FIN for the end", _naive),
)
