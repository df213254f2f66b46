"""The forms have the size that they promise, and are forms."""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
from urllib.parse import parse_qs, unquote_to_bytes

import pytest

from kssl.proxy.demo import forms
from kssl.proxy.demo.stream import BLOCK_LENGTH, stream_sha256

SIZES = [400, 16384, 49153, BLOCK_LENGTH - 1, BLOCK_LENGTH, 3 * BLOCK_LENGTH + 11]


def _content(form: forms.Form) -> bytes:
    content = b"".join(form.content())
    assert len(content) == form.length
    return content


@pytest.mark.parametrize("size", SIZES)
def test_urlencoded(size: int) -> None:
    form = forms.body_of("urlencoded", size)
    assert form.length == size
    fields = parse_qs(_content(form).decode(), keep_blank_values=True, strict_parsing=True)
    assert set(fields) == {"__EVENTTARGET", "__EVENTARGUMENT", "__VIEWSTATE", "ctl00$Save"}
    (state,) = fields["__VIEWSTATE"]
    assert "%" not in state


@pytest.mark.parametrize("size", SIZES)
def test_multipart(size: int) -> None:
    form = forms.body_of("multipart", size)
    assert form.length == size
    head = f"Content-Type: {form.content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + _content(form))
    assert [part.get_param("name", header="content-disposition") for part in message.walk()][
        1:
    ] == ["__EVENTTARGET", "upload"]
    assert not message.defects


def test_the_file_is_the_stream() -> None:
    content = _content(forms.field_of("multipart", 300_000))
    start = content.index(b"octet-stream\r\n\r\n") + 16
    assert hashlib.sha256(content[start : start + 300_000]).hexdigest() == stream_sha256(300_000)


@pytest.mark.parametrize("cut", range(12))
def test_an_escape_is_never_cut(cut: int) -> None:
    content = _content(forms.field_of("urlencoded", 2 * BLOCK_LENGTH + cut))
    assert unquote_to_bytes(content).count(b"%") == 0


def test_bodies_smaller_than_their_frame() -> None:
    assert _content(forms.body_of("urlencoded", 1)) == b"x"
    form = forms.body_of("multipart", 1)
    assert form.length > 1
    assert _content(form).endswith(b"--\r\n")
