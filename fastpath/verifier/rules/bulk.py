"""How much a certificate makes a parser do, told before it is parsed.

cryptography makes a Python object of each attribute of a name and of each extension, and compares
names attribute by attribute: in the 64 KiB that one certificate may have, that are five thousand,
and a tenth of a second for everybody who waits. What is counted here decides nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from kssl.config.der import elements

_SEQUENCE, _INTEGER, _VERSION, _EXTENSIONS = 0x30, 0x02, 0xA0, 0xA3


@dataclass(frozen=True, slots=True)
class Bulk:
    """``names``: bytes of issuer and subject. ``extensions``: their number."""

    names: int
    extensions: int


def bulk(der: bytes) -> Bulk:
    """Of a certificate (RFC 5280 §4.1). Raises ValueError: it is none."""
    try:
        return _bulk(der)
    except (IndexError, StopIteration, ValueError):
        raise ValueError("not DER of a certificate") from None


def _bulk(der: bytes) -> Bulk:
    _, start, end = next(elements(der, 0, len(der)))
    _, start, end = next(elements(der, start, end))
    fields = [each for each in elements(der, start, end) if each[0] != _VERSION]
    kinds = [kind for kind, _, _ in fields[:6]]
    if kinds != [_INTEGER, *[_SEQUENCE] * 5]:  # serial, algorithm, issuer, validity, subject, key
        raise ValueError("not DER of a certificate")
    names = sum(end - start for _, start, end in (fields[2], fields[4]))
    extensions = 0
    for kind, start, _ in fields[6:]:
        if kind == _EXTENSIONS:
            _, start, end = next(elements(der, start, len(der)))
            extensions += sum(1 for _ in elements(der, start, end))
    return Bulk(names, extensions)
