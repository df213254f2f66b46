"""Replies of every kind that ends in its own way, for clients of all sorts.

/length   Content-Length, also for HEAD
/chunked  a last chunk
/close    nothing but the end of the connection
/304      no body, though a length is told
/upload   refused by the proxy with 413, before the body has been read
/page     HTML that fetches the others
/pause    an answer that takes longer than connections may be idle
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from kssl.proxy.service.spawn import spawn_proxy
from tests.acceptance.services import Running, wait_for
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide, chunked, response

BODY = b"0123456789abcdef" * 2560
MOST = 1000  # bytes of a request body
UNREAD = bytes(300_000)
IDLE = 1  # seconds
AS_EXPECTED = "all as expected"  # what the page says then

_PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
_PAGE = b"""<!doctype html><title>replies</title><body><script>
const said = [];
function ask(method, path, status, size, body) {
  const request = new XMLHttpRequest();  // synchronous: the page is not loaded before the end
  request.open(method, path, false);
  request.overrideMimeType("text/plain; charset=x-user-defined");
  try { request.send(body); } catch (error) { said.push(path + ": " + error); return; }
  if (request.status !== status || (size >= 0 && request.responseText.length !== size))
    said.push(`${method} ${path}: ${request.status}, ${request.responseText.length} bytes`);
}
function all() {
  ask("GET", "/length", 200, SIZE);
  ask("HEAD", "/length", 200, 0);
  ask("GET", "/chunked", 200, SIZE);
  ask("GET", "/close", 200, SIZE);
  ask("GET", "/304", 304, 0);
  ask("POST", "/upload", 413, -1, "x".repeat(UNREAD));
}
all();
ask("GET", "/length", 200, SIZE);
ask("GET", "/pause", 200, -1);  // other connections are closed for being idle meanwhile
all();
document.body.append(said.length ? said.join("; ") : "all as " + "expected");
</script>""".replace(b"SIZE", b"%d" % len(BODY)).replace(b"UNREAD", b"%d" % len(UNREAD))


class Replies:
    """A proxy in front of the app."""

    def __init__(self, server: Running) -> None:
        self.server = server

    @property
    def url(self) -> str:
        return f"https://localhost:{self.server.port}"

    def wait_until_closed(self, left: int = 0) -> None:
        """Until the proxy has ended all connections but so many, for being idle."""

        def closed() -> bool:
            return bool(self.server.ask()["connections"]["open"] <= left)

        wait_for(closed, "the idle connections are closed")


@contextlib.contextmanager
def replies(mode: str, folder: Path) -> Iterator[Replies]:
    """Served until the block ends."""
    found: list[Replies] = []

    def answer(side: UpstreamSide) -> None:
        _answers(side, lambda: found[0].wait_until_closed(left=1))

    folder.mkdir()
    file = folder / "kssl.toml"
    with Upstream(answer) as app:
        file.write_text(
            "[[site]]\n"
            'name = "replies"\n'
            'bindings = ["127.0.0.1:0"]\n'
            f"upstreams = [{json.dumps(f'http://127.0.0.1:{app.port}')}]\n"
            f"[site.limits]\nmaxAllowedContentLength = {MOST}\n"
        )
        options = ("--config", str(file), "--mode", mode, "--set", f"IdleConnectionTimeout={IDLE}")
        with spawn_proxy(None, *options, listen=None, state_dir=folder / "state") as process:
            found.append(Replies(Running(process, folder / "state")))
            yield found[0]


def _answers(side: UpstreamSide, pause: Callable[[], None]) -> None:
    while True:
        try:
            head, _ = side.read_request()
        except TimeoutError:  # one that the proxy keeps for later
            return
        method, target, _ = head.split(b" ", 2)
        if target == b"/close":
            side.send(_PLAIN + b"Connection: close\r\n\r\n" + BODY)
            return
        if target == b"/chunked":
            pieces = chunked([BODY[:1000], BODY[1000:]])
            side.send(_PLAIN + b"Transfer-Encoding: chunked\r\n\r\n" + pieces)
        elif target == b"/304":
            side.send(b'HTTP/1.1 304 Not Modified\r\nContent-Length: 4711\r\nETag: "a"\r\n\r\n')
        elif target == b"/page":
            side.send(response(_PAGE, b"Content-Type: text/html"))
        elif target == b"/pause":
            pause()
            side.send(response(b"ready"))
        else:
            whole = response(BODY, b"Content-Type: text/plain")
            side.send(whole[: -len(BODY)] if method == b"HEAD" else whole)
