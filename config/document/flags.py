"""``sslFlags`` of a [[site]]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kssl.config.document.context import Context
from kssl.config.document.report import shown
from kssl.config.document.section import Section
from kssl.config.errors import ConfigError
from kssl.config.model import CERTIFICATE_FLAGS, SSL_FLAGS

KEY = "sslFlags"

_FLAGS = {flag.lower(): flag for flag in SSL_FLAGS}


@dataclass(frozen=True, slots=True)
class FlagsRead:
    """The flags, with where each stands in the list; 0 for those that are implied.

    whole: all of the list is right. If not, nobody knows what is missing.
    refused: it asks for client certificates where no site may; that has been reported.
    """

    indices: Mapping[str, int]
    whole: bool = True
    refused: bool = False

    def __contains__(self, flag: str) -> bool:
        return flag in self.indices

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.indices)

    @property
    def asking(self) -> list[str]:
        """Those that ask for client certificates, as they stand."""
        return [flag for flag in self.indices if flag in CERTIFICATE_FLAGS]


def read_flags(section: Section, context: Context) -> FlagsRead:
    """What is wrong has been reported."""
    found = section.parsed(KEY, _flag)
    if found is None:
        implied = {"Ssl": 0} if context.rules.ssl_required else {}
        return FlagsRead(implied, whole=KEY not in section)
    indices = {flag: index for index, flag in found}
    read = FlagsRead(
        indices,
        whole=len(found) == len(section.raw(KEY)),
        refused=bool(context.no_client_certificates and indices.keys() & CERTIFICATE_FLAGS),
    )
    if read.refused:
        for flag in read.asking:
            section.problem(f"{flag}: {context.no_client_certificates}", KEY, indices[flag])
    return read


def _flag(text: str) -> str:
    flag = _FLAGS.get(text.strip().lower())
    if flag is None:
        raise ConfigError(
            f"{shown(text)}: there is no such flag; the flags are {', '.join(SSL_FLAGS)}; "
            "[] is none"
        )
    return flag
