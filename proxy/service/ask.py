"""Asking a running service what it is doing, by its admin socket (`admin`)."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

from kssl.config.errors import ConfigError, reason
from kssl.config.running import RunningService
from kssl.proxy.service.admin import LIMIT, admin_path, short_name

# Seconds: others may be in front of us, and take all the time that they have.
ASK_LIMIT = 2 * LIMIT

# Bytes: some 100,000 upstreams.
_MAX_DOCUMENT = 16 << 20

_POLL = 0.02


class NoAnswerError(ConfigError):
    """It runs, and does not say what it is doing."""


def ask(state_dir: Path, service: RunningService, seconds: float = ASK_LIMIT) -> dict[str, Any]:
    """The document (`snapshot`). Blocks for `seconds` at most. Raises NoAnswerError."""
    path, who = admin_path(state_dir, service.pid), f"the service (process {service.pid})"
    try:
        content = _read(path, time.monotonic() + seconds)
        document = json.loads(content)
    except FileNotFoundError:
        raise NoAnswerError(
            f"{who} has no admin socket {path}; its log says why, or it is of an older version"
        ) from None
    except TimeoutError:
        raise NoAnswerError(
            f"{who} has not answered within {seconds:g} s; it hangs, or has too much to do"
        ) from None
    except OSError as error:
        raise NoAnswerError(f"{who} cannot be asked: {path}: {reason(error)}") from None
    except (ValueError, RecursionError):  # the latter of lists in lists, without end
        raise NoAnswerError(f"{who} has not told all; look into its log, and ask again") from None
    if not isinstance(document, dict):
        raise NoAnswerError(f"{who} told something that this version does not understand")
    return document


def _read(path: Path, end: float) -> bytes:
    """All that comes until the socket's end, or the beginning of too much. Raises OSError, and
    TimeoutError at `end` on the monotonic clock."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        with short_name(path) as name:
            _connect(sock, name, end)
        content = bytearray()
        while len(content) <= _MAX_DOCUMENT:
            sock.settimeout(_left(end))
            part = sock.recv(65536)
            if not part:
                break
            content += part
    return bytes(content)


def _connect(sock: socket.socket, name: str, end: float) -> None:
    while True:
        sock.settimeout(_left(end))
        try:
            sock.connect(name)
        except BlockingIOError:  # its queue is full, and nothing tells when it is not (unix(7))
            time.sleep(_POLL)
        else:
            return


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
