"""The started service's side of `launch`: the sockets it takes over, and its word when it is ready.

Environment variables carry the numbers of inherited descriptors; they are taken out of the
environment at once, so that no process of the service sees them.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from kssl.config.errors import ConfigError, ProblemsError

REPORT = "KSSL_REPORT_FD"
LISTENERS = "KSSL_LISTENER_FDS"
PREDECESSOR = "KSSL_PREDECESSOR"


class Starter:
    """Whoever started this service and waits for its word; possibly nobody (a person's shell)."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        """Takes the variables out of `environment`. Raises ConfigError for nonsense in them."""
        report = environment.pop(REPORT, "")
        inherited = environment.pop(LISTENERS, "{}")
        predecessor = environment.pop(PREDECESSOR, "0")
        try:
            self.predecessor = int(predecessor)  # the process that hands over; 0: none
            self._report = int(report) if report else -1
            self.listeners = {
                str(name): [socket.socket(fileno=int(number)) for number in _numbers(told)]
                for name, told in json.loads(inherited).items()
            }
            if self._report >= 0:
                os.set_inheritable(self._report, False)
        except (ValueError, TypeError, AttributeError, OSError):
            raise ConfigError(
                f"{REPORT}, {LISTENERS} and {PREDECESSOR} are for `kssl start` and `kssl restart`; "
                "unset them"
            ) from None
        for sock in self._sockets():
            sock.set_inheritable(False)

    def ready(self, urls: Sequence[str]) -> None:
        """The service accepts. What was inherited and is not needed any more is closed."""
        for sock in self._sockets():
            sock.close()
        self.listeners.clear()
        self._tell({"urls": list(urls)})

    def failed(self, error: ConfigError) -> None:
        problems = error.problems if isinstance(error, ProblemsError) else [error]
        self._tell({"errors": [str(problem) for problem in problems]})

    def take(self, name: str) -> Sequence[socket.socket]:
        """The inherited listeners of a binding, once."""
        return self.listeners.pop(name, ())

    def _sockets(self) -> list[socket.socket]:
        return [sock for sockets in self.listeners.values() for sock in sockets]

    def _tell(self, content: Mapping[str, Sequence[str]]) -> None:
        if self._report >= 0:
            descriptor, self._report = self._report, -1
            with open(descriptor, "wb", buffering=0) as pipe:
                # Whoever waits may have gone: a Ctrl-C in `kssl start`.
                try:
                    pipe.write(json.dumps(content).encode())
                except OSError:
                    return


def _numbers(told: Any) -> list[Any]:
    """The descriptors of one binding; a predecessor of an older version has one, as a number."""
    return told if isinstance(told, list) else [told]
