"""What callers are told when something could not be fetched.

The sentences are for the log and for whoever runs kssl. They must not be shown to the client who
presented the certificate: "refused" or "not within 2 s" tells what our network looks like.
"""

from __future__ import annotations

from kssl.config.errors import printable

_SHOWN = 120


class FetchFailure(Exception):  # noqa: N818
    """Why not, without the URL: raised inside this package, where the URL is not at hand.

    `ours`: it lies in this process and not in the URL, so that trying again soon is right.
    """

    def __init__(self, why: str, *, ours: bool = False) -> None:
        super().__init__(why)
        self.ours = ours


class FetchError(Exception):
    """Nothing was fetched. ``str()`` is one printable line: the URL, what went wrong, what to do.

    `why` is the part behind the URL; `ours` as in `FetchFailure`.
    """

    def __init__(self, url: str, why: str, *, ours: bool = False) -> None:
        super().__init__(f"{shown(url)}: {printable(why)}")
        self.why = printable(why)
        self.ours = ours


def stopping() -> FetchFailure:
    """What everybody is told who asks or waits while the process ends."""
    return FetchFailure("kssl stops", ours=True)


def shown(text: str, most: int = _SHOWN) -> str:
    """``text`` of a stranger, for a message: printable, at most ``most`` characters and "…"."""
    escaped = printable(text[:most])
    return escaped if len(text) <= most and len(escaped) <= most else f"{escaped[:most]}…"
