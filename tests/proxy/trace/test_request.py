"""What is typed after `kssl trace`."""

from __future__ import annotations

from pathlib import Path

import pytest

from kssl.config.errors import ConfigError
from kssl.config.target import Target
from kssl.proxy.trace.request import clean_path, make_request, parse_url

HERE = Target("http", "127.0.0.1", 8000)
LOCALHOST = Target("http", "localhost", 8000)


@pytest.mark.parametrize(
    ("text", "target", "path"),
    [
        ("8000", LOCALHOST, "/"),
        ("8000/a?b=c", LOCALHOST, "/a?b=c"),
        ("127.0.0.1:8000", HERE, "/"),
        ("http://127.0.0.1:8000/some/path?x=1", HERE, "/some/path?x=1"),
        ("http://127.0.0.1:8000?x=1", HERE, "/?x=1"),
        ("http://127.0.0.1:8000/a#part", HERE, "/a"),
        ("http://app", Target("http", "app", 80), "/"),
        ("[::1]:8000/a", Target("http", "::1", 8000), "/a"),
        ("http://127.0.0.1:8000/a b/ä\r\nX: y", HERE, "/a%20b/%C3%A4%0D%0AX:%20y"),
        ("http://127.0.0.1:8000/a%20b?u=http://x", HERE, "/a%20b?u=http://x"),
        ("unix:/run/app.sock", Target("http", "localhost", 80, "/run/app.sock"), "/"),
    ],
)
def test_urls(text: str, target: Target, path: str) -> None:
    assert parse_url(text) == (target, path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://localhost:8443/", "the app's own address"),
        ("ftp://x/", "unknown scheme"),
        ("http://user:secret@x/", "user name"),
        ("http:///path", "no host"),
        ("99999/", "99999"),
        ("", "empty"),
        ("unix:app.sock", "absolute"),
    ],
)
def test_bad_urls(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_url(text)
    assert "secret" not in str(caught.value)


def test_requests() -> None:
    plain = make_request(HERE, "/a", method=None)
    assert (plain.method, plain.length, list(plain.pieces())) == ("GET", 0, [])
    assert dict(plain.head().headers)[b"host"] == b"127.0.0.1:8000"
    assert plain.warm_up() is plain
    form = make_request(HERE, "/a", method=None, data="a=b&c=ä", headers=["X-A: 1", "host:x"])
    assert (form.method, form.length) == ("POST", 8)
    fields = dict(form.head().headers)
    assert fields[b"content-length"] == b"8"
    assert fields[b"content-type"] == b"application/x-www-form-urlencoded"
    assert (fields[b"x-a"], fields[b"host"]) == (b"1", b"x")
    large = make_request(None, "/a", method="PUT", size="1M")
    assert (large.method, large.length) == ("PUT", 2**20)
    assert sum(map(len, large.pieces())) == 2**20
    assert dict(make_request(None, "/", method="POST").head().headers)[b"content-length"] == b"0"


def test_the_warm_up_changes_nothing() -> None:
    post = make_request(HERE, "/a", method="POST", data="x", headers=["Cookie: c", "X-A: 1"])
    warm = post.warm_up()
    assert (warm.method, warm.path, warm.length) == ("GET", "/a", 0)
    assert {name for name, _ in warm.headers} == {"Host", "User-Agent", "Accept", "Cookie"}
    assert make_request(HERE, "/a", method="DELETE").warm_up().method == "GET"


def test_data_from_a_file(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"\x00\xff")
    assert make_request(HERE, "/", method=None, data=f"@{body}").data == b"\x00\xff"
    with pytest.raises(ConfigError, match="No such file"):
        make_request(HERE, "/", method=None, data=f"@{body}-not")


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("5", 5), ("10K", 10240), ("1kib", 1024), ("2MB", 2**21)]
)
def test_sizes(text: str, size: int) -> None:
    assert make_request(HERE, "/", method=None, size=text).length == size


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": "x"}, "not a size"),
        ({"size": "-1"}, "not a size"),
        ({"size": "99999999G"}, "not a size"),
        ({"size": "٣"}, "not a size"),
        ({"size": "1", "data": "x"}, "one of them"),
        ({"method": "G T"}, "cannot be sent"),
        ({"method": "Ü"}, "cannot be sent"),
        ({"headers": ["nothing"]}, "not a header"),
        ({"headers": ["A: b\nC: d"]}, "cannot be sent"),
        ({"headers": ["Content-Length: 3"]}, "framing"),
    ],
)
def test_what_cannot_be_sent(options: dict[str, object], words: str) -> None:
    given: dict[str, object] = {"method": None, **options}
    with pytest.raises(ConfigError, match=words):
        make_request(HERE, "/", **given)  # type: ignore[arg-type]


def test_a_path_cannot_become_more() -> None:
    assert clean_path("a b\r\nHost: x") == "/a%20b%0D%0AHost:%20x"
