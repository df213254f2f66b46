"""The page: what it shows, and that nothing from outside becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import httpx
import pytest

from kssl.proxy.demo import page
from kssl.proxy.demo.process import DemoProcess
from kssl.proxy.demo.seen import SeenRequest, TlsView

EVIL = "<script>alert(1)</script>\"'&{{nonce}}"

_VOID = {"meta", "input", "link", "rect", "path", "br"}
_OPTIONAL_END = {"option", "html", "p"}


class _Outline(HTMLParser):
    """Checks that what is opened is closed, and notes what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.references += [v or "" for k, v in attrs if k in {"src", "href", "action"}]
        if tag not in _VOID | _OPTIONAL_END:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID | _OPTIONAL_END:
            assert self.open.pop() == tag


def _request(tls: TlsView | None, text: str = "x") -> SeenRequest:
    return SeenRequest(text, text, text, [(text, text)], text, tls)


def _outline(text: str) -> _Outline:
    outline = _Outline()
    outline.feed(text)
    outline.close()
    assert outline.open == []
    return outline


@pytest.mark.parametrize(
    "tls",
    [
        None,
        TlsView("TLSv1.3", "TLS_AES_128_GCM_SHA256", "kernel", "aead"),
        TlsView("TLSv1.2", None, "user", None),
        TlsView(EVIL, EVIL, EVIL, EVIL),
    ],
)
def test_every_value_is_escaped(tls: TlsView | None) -> None:
    text = page.render(_request(tls, EVIL), "NONCE")
    outline = _outline(text)
    assert outline.scripts == 1
    assert "alert(1)<" not in text
    # A value that looks like a placeholder stays what it is.
    assert text.count("NONCE") == 2
    assert text.count("{{nonce}}") == text.count("&lt;script&gt;alert(1)")


def test_nothing_comes_from_elsewhere() -> None:
    outline = _outline(page.render(_request(None), "n"))
    assert outline.references
    assert all(re.match(r"/(?!/)|data:,$", reference) for reference in outline.references)


@pytest.mark.parametrize(
    ("mode", "shown", "flow"),
    [
        ("kernel", "handshake only", "flow-kernel"),
        ("user", "every record", "flow-user"),
        (None, "behind a TLS-terminating proxy", "flow-none"),
        ("new", "behind a TLS-terminating proxy", "flow-none"),
    ],
)
def test_the_mode_is_shown(mode: str | None, shown: str, flow: str) -> None:
    text = page.render(_request(TlsView("TLSv1.3", "CIPHER", mode, "ktls")), "n")
    assert shown in text
    assert f'class="{flow}"' in text
    assert "CIPHER" in text
    assert "ktls" in text
    assert "not behind kssl" not in text


def test_over_the_wire(demo: DemoProcess) -> None:
    url = f"http://127.0.0.1:{demo.port}/?<b>"
    first = httpx.get(url, headers={"x-evil": EVIL}, trust_env=False)
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    assert "x-evil" in first.text
    assert "not behind kssl" in first.text
    assert "<script>alert" not in first.text
    nonce = re.search(r"script-src 'nonce-([^']+)'", first.headers["content-security-policy"])
    assert nonce
    assert first.text.count(f'nonce="{nonce[1]}"') == 2
    assert nonce[1] not in httpx.get(url, trust_env=False).text
