"""Classes of field names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kssl.proxy.http import names


def test_the_classes_do_not_overlap() -> None:
    assert not names.END_TO_END & names.HOP_BY_HOP
    assert not names.END_TO_END & names.NOT_NOMINABLE
    assert not names.END_TO_END & names.FORGED


ACTED_ON = sorted(names.HOP_BY_HOP | names.NOT_NOMINABLE | names.FORGED)
MORE = [b"x-forwarded-anything", b"x_forwarded-anything", b"X-KSSL-Mode", b"x_kssl_mode",
        b"x-client_cert-verdict", b"X.Client~Cert|Verdict", b"X_SSL_Client_Verify", b"x_ssl_cert",
        b"SSL_CLIENT_S_DN"]  # fmt: skip


@pytest.mark.parametrize("name", ACTED_ON + MORE)
@pytest.mark.parametrize("spell", [bytes.lower, bytes.upper, bytes.title])
def test_a_field_that_is_acted_on_is_special(name: bytes, spell: Callable[[bytes], bytes]) -> None:
    head = b"GET / HTTP/1.1\r\nA: b\r\n" + spell(name) + b":  one two\r\nC: d\r\n\r\n"
    value = b"  one two" if name in names.WITH_VALUE else b""
    assert names.special_lines(head.lower()) == [b"\n" + name.lower() + b":" + value]


def test_special_fields_are_found_each_time_and_nothing_else_is() -> None:
    head = (
        b"GET /?host: a HTTP/1.1\r\nHost: a\r\nX: Connection: close\r\nhost:b\r\n"
        b"Hosts: c\r\nContent-Type: d\r\nX-Host: e\r\nTE:\r\n\r\n"
    )
    assert names.special_lines(head.lower()) == [b"\nhost:", b"\nhost:", b"\nte:"]


def test_common_names_are_not_special() -> None:
    for name in names.END_TO_END:
        assert names.special_lines(b"GET / HTTP/1.1\r\n" + name + b": a\r\n\r\n") == []


@pytest.mark.parametrize(
    "name", [b"content_length", b"transfer_encoding", b"keep_alive", b"content.length"]
)
def test_another_mark_does_not_hide_a_name(name: bytes) -> None:
    assert names.is_forged(name)
    assert not names.is_forged(b"x_content_length")
    assert not names.is_forged(b"content-length")
