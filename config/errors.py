"""The one exception for everything a person can put right."""

from __future__ import annotations


class ConfigError(Exception):
    """A usage or configuration error: what is wrong, where, and what to do.

    ``str()`` is always one printable line. File names and typed values end up in the message,
    and a terminal must not obey escape sequences hidden in them, so whatever is not printable
    is shown escaped. The message never holds key material or a passphrase.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_printable(message))


def _printable(text: str) -> str:
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def reason(error: OSError) -> str:
    """The system's words for `error` without the errno and path that `str()` would repeat."""
    return error.strerror or type(error).__name__
