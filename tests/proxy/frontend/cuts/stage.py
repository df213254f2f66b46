"""A proxy under attack: in this process (`Rig`) or as `kssl serve`, looked at in the same way."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kssl.config.running import running_services
from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.cut import Cut
from kssl.proxy.demo.truncation.link import Link
from kssl.proxy.demo.truncation.records import HEADER, Direction
from kssl.proxy.service.ask import ask
from kssl.proxy.service.spawn import spawn_proxy
from tests.proxy.effects.service import error_logs
from tests.proxy.frontend.clients import ClosedError, CutError
from tests.proxy.frontend.rig import Rig, wait_for

VERSIONS = ("TLSv1_2", "TLSv1_3")
HOWS = ("FIN", "RST")

# Bytes of plaintext in a record of a reply. Small, so that a reply of some 100 bytes has several,
# and its head ends in the middle of one.
PIECE = 48


class Lines(Protocol):
    def __call__(self, reason: str) -> int:
        """How many lines the HTTPERR log has with this s-reason."""


@dataclass(frozen=True)
class Stage:
    """`lines` see `Lines`. `ca` is a file. Contexts are kept, so that sessions can come again.

    `ended_early`: how many clients' connections were cut, or ended before a request. A reset may be
    earlier at the proxy than the last of the handshake.
    """

    port: int
    ca: str
    lines: Lines
    ended_early: Callable[[], int]
    _contexts: dict[str, ssl.SSLContext] = field(default_factory=dict)

    def context(self, version: str) -> ssl.SSLContext:
        """For clients that speak this version and no other."""
        if version not in self._contexts:
            context = ssl.create_default_context(cafile=self.ca)
            context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
            self._contexts[version] = context
        return self._contexts[version]


def stage_of(rig: Rig) -> Stage:
    """What runs in this process, as it is configured at the moment."""

    def lines(reason: str) -> int:
        return sum(line["reason"] == reason for line in rig.errors.lines + rig.errors.unclean)

    def ended_early() -> int:
        closes = rig.front.journal.closes
        return closes.unclean + closes.probes + lines("Handshake")

    return Stage(rig.port, str(rig.service.ca), lines, lambda: rig.call(ended_early))


@contextlib.contextmanager
def running(
    state: Path, mode: str, upstream: str, *site: str, piece: int = PIECE
) -> Iterator[Stage]:
    """`kssl serve` in a folder of its own, before one app. ``site``: more lines of its table."""
    state.mkdir(mode=0o700)
    file = state / "kssl.toml"
    file.write_text(
        "\n".join(
            [
                "[parameters]",
                f"EnableKernelSSL = {int(mode == 'kernel')}",
                f"MaxBytesPerSend = {piece}",
                "[logs]",
                'access = "off"',
                "[[site]]",
                'bindings = ["https://127.0.0.1:0"]',
                f'upstreams = ["{upstream}"]',
                *site,
                "",
            ]
        )
    )
    file.chmod(0o600)

    def lines(reason: str) -> int:
        wanted = f" {reason} "
        return sum(path.read_text().count(wanted) for path in error_logs(state / "LogFiles"))

    with spawn_proxy(
        None,
        "--config",
        str(file),
        state_dir=state,
        listen=None,
        stderr=subprocess.DEVNULL,  # a line for each cut
    ) as process:
        assert process.ca is not None
        wait_for(lambda: running_services(state), "its record")
        (record,) = running_services(state)

        def ended_early() -> int:
            closes = ask(state, record)["closes"]
            return int(closes["unclean_close"] + closes["without_request"]) + lines("Handshake")

        yield Stage(process.port, process.ca, lines, ended_early)


# -- where to cut --------------------------------------------------------------------------


def edges(sizes: Sequence[int], around: int = 2) -> list[int]:
    """Offsets at the ends of records of these sizes and of their headers, and near them."""
    found: set[int] = set()
    start = 0
    for size in sizes:
        for edge in (start, start + HEADER, start + size):
            found.update(range(edge - around, edge + around + 1))
        start += size
    return sorted(offset for offset in found if 0 <= offset <= start)


def spread(total: int, count: int) -> list[int]:
    """So many offsets from 0 to ``total``, both among them."""
    return sorted({round(total * number / (count - 1)) for number in range(count)})


def few(sizes: Sequence[int], count: int = 40) -> list[int]:
    """About so many: the edges as far as they go, then others in between."""
    total = sum(sizes)
    chosen = edges(sizes, around=1)
    return sorted({*chosen, *spread(total, max(2, count - len(chosen)))})


def share(offsets: Sequence[int], mode: str, version: str) -> Sequence[int]:
    """A quarter of them: each mode with each version has another. For the suite of every day."""
    return parts(offsets, 4)[2 * (mode == "user") + VERSIONS.index(version)]


def parts(offsets: Sequence[int], number: int) -> list[Sequence[int]]:
    """Dealt out in turn, so that each has some of everything."""
    return [offsets[start::number] for start in range(number)]


# -- what has passed -----------------------------------------------------------------------


def sizes_of(link: Link, direction: Direction) -> list[int]:
    """Of the records behind the handshake, headers included; of those that were swallowed too."""
    return [record.seen for record in link.records(direction)]


def whole_records(sizes: Sequence[int], after: int) -> int:
    """How many of these records fit in the first ``after`` bytes."""
    count = 0
    for size in sizes:
        after -= size
        if after < 0:
            break
        count += 1
    return count


@contextlib.contextmanager
def however_it_ends() -> Iterator[None]:
    """What a client does until its connection is cut. Only a silence fails."""
    try:
        yield
    except TimeoutError:
        raise
    except (OSError, CutError, ClosedError):
        pass


def no_failures(failures: Sequence[str]) -> None:
    """Fails with the first of them, and how many there are."""
    assert not failures, f"{len(failures)} offsets, such as:\n" + "\n".join(failures[:10])


def settled(lines: Lines, reason: str, wanted: int) -> None:
    """The log has so many lines of this reason in the end, and not one more."""
    wait_for(lambda: lines(reason) >= wanted, f"{wanted} lines of {reason}")
    assert lines(reason) == wanted


def cut_at(
    attacker: Attacker, direction: Direction, offset: int | None, how: str
) -> Callable[[], Link]:
    """Arms the attacker for the next connection (None: harmless); returns what waits for it."""
    number = len(attacker.links)
    assert how in ("FIN", "RST")
    attacker.cut = (
        None
        if offset is None
        else Cut(direction, after=offset, how="FIN" if how == "FIN" else "RST")
    )
    return lambda: attacker.wait(number)
