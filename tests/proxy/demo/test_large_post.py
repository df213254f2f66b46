"""``kssl demo large-post`` against the app's own TLS."""

from __future__ import annotations

import json
import socket
import threading
import tracemalloc
from collections.abc import Iterator

import pytest

from kssl.proxy.demo import forms, large_post
from kssl.proxy.demo.large_post import Row
from kssl.proxy.demo.process import DemoProcess
from tests.proxy.demo.conftest import TlsDemo


def _row(**changes: object) -> Row:
    fields: dict[str, object] = {
        "form": "urlencoded",
        "label": "16 KiB",
        "size": 16384,
        "mode": "kernel",
        "status": 200,
        "seconds": 0.25,
        "intact": True,
        "error": None,
    }
    return Row(**(fields | changes))  # type: ignore[arg-type]


def test_every_form_arrives_whole(tls_demo: TlsDemo) -> None:
    posts = large_post.cases((1, 16384, 49152, 49153, 2**20), viewstate=2**20)
    seen: list[Row] = []
    urls = {"user": tls_demo.url, "kernel": tls_demo.url}
    rows = large_post.run(urls, tls_demo.ca, posts=posts, on_row=seen.append)
    assert rows == seen
    assert len(rows) == 22
    assert [row.error for row in rows] == [None] * 22
    assert {row.mode for row in rows} == {"user", "kernel"}
    assert {row.status for row in rows} == {200}
    assert large_post.exit_status(rows) == 0


def test_the_cases_that_the_command_runs() -> None:
    posts = large_post.cases()
    assert [(post.kind, post.label) for post in posts[:2] + posts[6:8] + posts[-3:]] == [
        ("urlencoded", "1 B"),
        ("multipart", "1 B file"),
        ("urlencoded", "49,153 B"),
        ("multipart", "49,153 B"),
        ("urlencoded", "256 MiB"),
        ("multipart", "256 MiB"),
        ("urlencoded", "10 MiB field"),
    ]


def test_memory_stays_small(demo: DemoProcess, tls_demo: TlsDemo) -> None:
    posts = large_post.cases((24 * 2**20,), viewstate=None)
    url = f"http://127.0.0.1:{demo.port}"
    tracemalloc.start()
    try:
        rows = large_post.run({"direct": url}, tls_demo.ca, posts=posts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert large_post.exit_status(rows) == 0
    assert peak < 3 * 2**20


def test_a_certificate_that_is_not_trusted(tls_demo: TlsDemo) -> None:
    url = tls_demo.url.replace("localhost", "127.0.0.2")
    posts = large_post.cases((1,), viewstate=None)[:1]
    (row,) = large_post.run({"user": url}, tls_demo.ca, posts=posts)
    assert (row.status, row.intact) == (0, False)
    assert large_post.exit_status([row]) == 1


@pytest.fixture
def refusing() -> Iterator[str]:
    """A server that answers 413 to the head and closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(1024)
            peer.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread.join()
    listener.close()


def test_a_server_that_refuses_at_the_head(refusing: str, tls_demo: TlsDemo) -> None:
    posts = [large_post.Case("multipart", "64 MiB", forms.body_of("multipart", 64 * 2**20))]
    (row,) = large_post.run({"user": refusing}, tls_demo.ca, posts=posts)
    # Whether the answer outlives the reset is the network's decision.
    assert row.status in (0, 413)
    assert not row.intact


@pytest.mark.parametrize(
    ("status", "answer", "verdict"),
    [
        (200, b'{"bytes": 3, "sha256": "aa"}', None),
        (200, b'{"bytes": 3, "sha256": "bb"}', "the bytes changed on the way"),
        (200, b'{"bytes": 2, "sha256": "aa"}', "2 of 3 bytes arrived"),
        (200, b"<html>", "the answer is not the app's"),
        (200, b"[]", "the answer is not the app's"),
        (400, b"", "HTTP 400"),
    ],
)
def test_verdict(status: int, answer: bytes, verdict: str | None) -> None:
    assert large_post._verdict(status, answer, 3, "aa") == verdict


def test_the_table_is_aligned() -> None:
    rows = [
        _row(),
        _row(form="multipart", label="256 MiB", size=2**28, mode="user", seconds=1.5),
        _row(status=0, intact=False, error="HTTP 400"),
    ]
    assert large_post.render(rows).splitlines() == [
        "form           size  mode    status  seconds   MB/s  intact",
        "urlencoded   16 KiB  kernel     200    0.250    0.1  ✓",
        "multipart   256 MiB  user       200    1.500  179.0  ✓",
        "urlencoded   16 KiB  kernel       -    0.250    0.1  ✗ HTTP 400",
    ]


def test_json() -> None:
    value = large_post.to_json([_row()])
    assert json.loads(json.dumps(value)) == value
    assert value[0]["mb_per_s"] == 0.066
    assert value[0]["form"] == "urlencoded"


def test_nothing_posted_is_no_success() -> None:
    assert large_post.exit_status([]) == 1
    assert large_post.exit_status([_row(), _row(intact=False)]) == 1
