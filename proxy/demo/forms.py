"""Form bodies of exact sizes, as a browser posts them, generated while they are sent."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from kssl.proxy.demo import stream

Kind = Literal["urlencoded", "multipart"]

_BOUNDARY = b"----ksslDemoBoundary5e1f0c7a"
_URLENCODED_HEAD = b"__EVENTTARGET=&__EVENTARGUMENT=&__VIEWSTATE="
_URLENCODED_TAIL = b"&ctl00%24Save=Save"
_MULTIPART_HEAD = (
    b"--" + _BOUNDARY + b"\r\n"
    b'Content-Disposition: form-data; name="__EVENTTARGET"\r\n\r\n\r\n'
    b"--" + _BOUNDARY + b"\r\n"
    b'Content-Disposition: form-data; name="upload"; filename="stream.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n"
)
_MULTIPART_TAIL = b"\r\n--" + _BOUNDARY + b"--\r\n"


@dataclass(frozen=True)
class Form:
    """One form post: its type, its exact length, and its content piece by piece."""

    content_type: str
    length: int
    content: Callable[[], Iterator[bytes]]


def body_of(kind: Kind, size: int) -> Form:
    """A form whose whole body has ``size`` bytes.

    A body that cannot hold the form's own fields: urlencoded, ``size`` bytes of a field's name;
    multipart, whose frame cannot be left out, a file of ``size`` bytes.
    """
    frame = _frame_length(kind)
    if size > frame:
        return field_of(kind, size - frame)
    if kind == "multipart":
        return field_of(kind, size)
    return Form(_content_type(kind), size, lambda: iter([b"x" * size]))


def field_of(kind: Kind, size: int) -> Form:
    """A form whose hidden field (urlencoded) or file (multipart) has ``size`` bytes."""
    value: Callable[[int], Iterator[bytes]]
    if kind == "urlencoded":
        head, value, tail = _URLENCODED_HEAD, _viewstate, _URLENCODED_TAIL
    else:
        head, value, tail = _MULTIPART_HEAD, stream.pieces, _MULTIPART_TAIL

    def content() -> Iterator[bytes]:
        yield head
        yield from value(size)
        yield tail

    return Form(_content_type(kind), size + _frame_length(kind), content)


def _content_type(kind: Kind) -> str:
    if kind == "urlencoded":
        return "application/x-www-form-urlencoded"
    return f"multipart/form-data; boundary={_BOUNDARY.decode()}"


def _frame_length(kind: Kind) -> int:
    if kind == "urlencoded":
        return len(_URLENCODED_HEAD) + len(_URLENCODED_TAIL)
    return len(_MULTIPART_HEAD) + len(_MULTIPART_TAIL)


def _viewstate_block() -> bytes:
    # View state is base64, of which a browser escapes two characters in a urlencoded form.
    text = base64.b64encode(stream.BLOCK[: stream.BLOCK_LENGTH // 4 * 3])
    return text.replace(b"+", b"%2B").replace(b"/", b"%2F")[: stream.BLOCK_LENGTH]


def _viewstate(size: int) -> Iterator[bytes]:
    for piece in stream.pieces(size, _VIEWSTATE_BLOCK):
        yield _whole_escapes(piece)


def _whole_escapes(piece: bytes) -> bytes:
    # A piece cut within "%2B" ends in letters instead, so that the form is well formed.
    cut = piece.find(b"%", max(0, len(piece) - 2))
    return piece if cut < 0 else piece[:cut] + b"A" * (len(piece) - cut)


_VIEWSTATE_BLOCK = _whole_escapes(_viewstate_block())
