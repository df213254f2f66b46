"""Name lookups with a time limit, which `getaddrinfo` has not.

Each runs in a thread of its own. One that hangs is left behind when the time is up and ends when
the system's resolver gives up; until then it counts, so that there are never more than `MOST`.
For four threads with fetches of 5 s these are enough if the resolver gives up after 20 s.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError

from kssl.config.errors import reason
from kssl.fastpath.verifier.fetch.errors import FetchFailure, shown, stopping
from kssl.fastpath.verifier.fetch.url import Address, plain

# Host name → its addresses as text. May block; raises OSError (as socket.gaierror).
Resolve = Callable[[str], Sequence[str]]

MOST = 16
# Addresses of one name. More would only be work.
_MAX_ADDRESSES = 64


def resolve(host: str) -> list[str]:
    """What the system says: /etc/hosts, DNS."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in found]


class Lookups:
    """Asks ``resolve``, which the system cannot interrupt, with a deadline. Thread-safe."""

    def __init__(self, resolve: Resolve, most: int = MOST) -> None:
        self._resolve = resolve
        self._free = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._waiting: set[Future[Sequence[str]]] = set()
        self._closed = False

    def addresses(self, host: str, seconds: float) -> list[Address]:
        """Of ``host``, each once, in the order of the resolver; at least one.

        Raises FetchFailure, also when it takes longer than ``seconds``.
        """
        answer = self._start(host)
        try:
            found = answer.result(seconds)
        except TimeoutError:
            raise FetchFailure(
                f"{shown(host)} was not found within {seconds:.1f} s; is the DNS server reachable?"
            ) from None
        except CancelledError:
            raise stopping() from None
        except (OSError, UnicodeError) as error:
            why = reason(error) if isinstance(error, OSError) else "no name for DNS"
            raise FetchFailure(f"{shown(host)} was not found ({why}); check the name") from None
        finally:
            with self._lock:
                self._waiting.discard(answer)
        return _read(host, found)

    def close(self) -> None:
        """Whoever waits is told at once."""
        with self._lock:
            self._closed = True
            for answer in self._waiting:
                answer.cancel()

    def _start(self, host: str) -> Future[Sequence[str]]:
        if not self._free.acquire(blocking=False):
            raise FetchFailure(
                "too many name lookups hang; is the DNS server reachable?", ours=True
            )
        answer: Future[Sequence[str]] = Future()
        try:
            with self._lock:
                if self._closed:
                    raise stopping()
                self._waiting.add(answer)
            # A daemon: a lookup that hangs must not keep the process.
            threading.Thread(
                target=self._run, args=(host, answer), name="kssl-lookup", daemon=True
            ).start()
        except BaseException as error:
            with self._lock:
                self._waiting.discard(answer)
            self._free.release()
            if isinstance(error, RuntimeError):  # Thread.start
                raise FetchFailure("the system gives no more threads", ours=True) from None
            raise
        return answer

    def _run(self, host: str, answer: Future[Sequence[str]]) -> None:
        try:
            found = self._resolve(host)
        except Exception as error:
            with contextlib.suppress(InvalidStateError):  # cancelled
                answer.set_exception(error)
        else:
            with contextlib.suppress(InvalidStateError):
                answer.set_result(found)
        finally:
            self._free.release()


def _read(host: str, found: Sequence[str]) -> list[Address]:
    if len(found) > _MAX_ADDRESSES:
        raise FetchFailure(f"{shown(host)} has more than {_MAX_ADDRESSES} addresses")
    try:
        addresses = [plain(ipaddress.ip_address(each)) for each in found]
    except ValueError:
        raise FetchFailure(f"{shown(host)} has an address that is none") from None
    if not addresses:
        raise FetchFailure(f"{shown(host)} has no address")
    return list(dict.fromkeys(addresses))
