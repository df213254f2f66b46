"""``python -m kssl.proxy.demo.server``: the demo application under uvicorn, on 127.0.0.1.

Other code starts it with :func:`kssl.proxy.demo.process.start_demo_app`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence

import uvicorn

from kssl.proxy.demo.app import WS_MAX_SIZE, DemoApp
from kssl.proxy.demo.process import DemoProcess, DemoStartError, start_demo_app

__all__ = ["DemoProcess", "DemoStartError", "main", "start_demo_app"]

HOST = "127.0.0.1"

# Longer than any proxy keeps an idle upstream connection: the app must not close one at the
# moment when the proxy sends the next request on it.
_KEEP_ALIVE_SECONDS = 120


class _Server(uvicorn.Server):
    """uvicorn, with our announcement and our way to stop."""

    def __init__(self, config: uvicorn.Config, ready_fd: int | None, lifeline_fd: int | None):
        super().__init__(config)
        self._ready_fd = ready_fd
        self._lifeline_fd = lifeline_fd

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do not let uvicorn raise the signal again at the end: that prints a traceback."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept, then say so."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self.stop)
        if self._lifeline_fd is not None:
            loop.add_reader(self._lifeline_fd, self._on_lifeline, self._lifeline_fd)
        await super().startup(sockets=sockets)
        for listener in sockets or []:
            self._announce(listener.getsockname()[1])

    def stop(self) -> None:
        """Finish, within about a second."""
        # What uvicorn then logs about cut requests is of no interest to anybody.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        self.should_exit = True

    def _on_lifeline(self, fd: int) -> None:
        # Nobody writes here: readable means that the other end has gone, and with it the parent.
        if not os.read(fd, 64):
            asyncio.get_running_loop().remove_reader(fd)
            self.stop()

    def _announce(self, port: int) -> None:
        if self._ready_fd is None:
            scheme = "https" if self.config.is_ssl else "http"
            print(f"{scheme}://{HOST}:{port}/", flush=True)
            return
        # A parent that has died meanwhile is the lifeline's business.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._ready_fd, f"{port}\n".encode())
        os.close(self._ready_fd)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal, or until the parent has gone."""
    parser = argparse.ArgumentParser(prog="python -m kssl.proxy.demo.server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--ready-fd", type=int, help="write the port here, then close it")
    parser.add_argument("--lifeline-fd", type=int, help="exit at the end of this file")
    parser.add_argument("--certfile", help="serve HTTPS with this certificate")
    parser.add_argument("--keyfile", help="its private key")
    options = parser.parse_args(argv)

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, options.port))
    except OSError as error:
        print(f"demo app: {HOST}:{options.port}: {error.strerror}", file=sys.stderr)
        listener.close()
        return 1
    config = uvicorn.Config(
        DemoApp(),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=WS_MAX_SIZE,
        # The page and the tests show bytes as they were sent.
        ws_per_message_deflate=False,
        lifespan="off",
        log_level="warning",
        access_log=False,
        # Requests are shown as they arrived, not as X-Forwarded-* would have them.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
        ssl_certfile=options.certfile,
        ssl_keyfile=options.keyfile,
    )
    _Server(config, options.ready_fd, options.lifeline_fd).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
