"""What a proxy has to put right in a response before it passes it on.

Requests are never repaired (request_rules.py). Of responses, RFC 9112 section 5.1 has a proxy
remove white space between a field's name and its colon, and RFC 9110 section 8.6 lets a recipient
take several equal Content-Lengths for one. The repaired head is then judged by every rule.
"""

from __future__ import annotations

import re

_SPACED_NAME = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++)[ \t]+:").match
_LENGTH = b"content-length"


def repair_response(head: bytes) -> bytes:
    """Return a whole response head without white space in front of colons, and with equal
    Content-Lengths, in several lines or as a list, made one. Whatever else is wrong stays."""
    start, *lines = head.split(b"\r\n")
    lengths: list[bytes] = []
    places: list[int] = []
    for index, line in enumerate(lines):
        match = _SPACED_NAME(line)
        if match is not None:
            line = lines[index] = match[1] + line[match.end() - 1 :]
        name, colon, value = line.partition(b":")
        if colon and name.lower() == _LENGTH:
            lengths += (item.strip(b" \t") for item in value.split(b","))
            places.append(index)
    if len(lengths) > 1 and len(set(lengths)) == 1:
        lines[places[0]] = b"Content-Length: " + lengths[0]
        for index in reversed(places[1:]):
            del lines[index]
    return b"\r\n".join((start, *lines))
