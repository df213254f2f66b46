"""``python -m bench.client URL``: a small load generator, for machines without wrk.

One thread with a blocking socket for each connection. It is slower than wrk, which changes
requests per second but hardly the proxy's CPU time for each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import socket
import ssl
import threading
import time
from urllib.parse import urlsplit

from bench.scenarios import VARIED

_TIMEOUT_SECONDS = 10.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class _Connection:
    """One keep-alive connection."""

    def __init__(self, host: str, port: int, path: str, context: ssl.SSLContext) -> None:
        plain = socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS)
        try:
            self._socket = context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        self._varied, self._number = path.startswith(VARIED), 0
        more = "X-Request-Number: %d\r\n" if self._varied else ""
        self._request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{more}\r\n".encode()
        self._buffer = bytearray(256 * 1024)

    def fetch(self) -> None:
        """One request and its whole reply. Raises OSError or ValueError."""
        self._number += 1
        self._socket.sendall(self._request % self._number if self._varied else self._request)
        head, end = b"", -1
        while end < 0:
            head += self._socket.recv(16384)
            end = head.find(b"\r\n\r\n")
            if not head:
                raise ConnectionError("closed before the reply")
        length = _LENGTH.search(head[: end + 2])
        if not head.startswith(b"HTTP/1.1 200") or length is None:
            raise ValueError(f"not a good reply: {head[:60]!r}")
        left = int(length[1]) - (len(head) - end - 4)
        while left > 0:
            got = self._socket.recv_into(self._buffer)
            if not got:
                raise ConnectionError("closed within a reply")
            left -= got
        if left:
            raise ValueError("more bytes than the reply's length")

    def close(self) -> None:
        self._socket.close()


def run(url: str, connections: int, seconds: float, ca: str | None) -> dict[str, object]:
    """Ask until the time is over; replies that are late by then count, and so does their time."""
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=ca)
    counts, errors = [0] * connections, list[str]()
    deadline = time.perf_counter() + seconds

    def work(number: int) -> None:
        host, path = parts.hostname or "", parts.path or "/"
        try:
            with contextlib.closing(_Connection(host, parts.port or 443, path, context)) as one:
                while time.perf_counter() < deadline:
                    one.fetch()
                    counts[number] += 1
        except (OSError, ValueError) as error:
            errors.append(f"{type(error).__name__}: {error}")

    began = time.perf_counter()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - began
    return {"requests": sum(counts), "seconds": taken, "errors": errors}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--ca")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    result = run(arguments.url, arguments.connections, arguments.seconds, arguments.ca)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
