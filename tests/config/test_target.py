"""kssl.config.target: what parses to what, and what is refused in which words."""

from __future__ import annotations

import pytest

from kssl.config.errors import ConfigError
from kssl.config.target import Listen, Target, UpstreamTls, parse_listen, parse_target


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("8000", "localhost", 8000, "http://localhost:8000"),
        (" :8000 ", "localhost", 8000, "http://localhost:8000"),
        ("host:1", "host", 1, "http://host:1"),
        ("my_app.internal:65535", "my_app.internal", 65535, "http://my_app.internal:65535"),
        ("10.0.0.1:8000", "10.0.0.1", 8000, "http://10.0.0.1:8000"),
        ("http://host", "host", 80, "http://host"),
        ("HTTP://host:80/", "host", 80, "http://host"),
        ("http://host:8000/", "host", 8000, "http://host:8000"),
        ("[::1]:8000", "::1", 8000, "http://[::1]:8000"),
        ("http://[::1]", "::1", 80, "http://[::1]"),
        ("http://[2001:db8::1]:8000", "2001:db8::1", 8000, "http://[2001:db8::1]:8000"),
    ],
)
def test_target(text: str, host: str, port: int, shown: str) -> None:
    target = parse_target(text)
    assert target == Target("http", host, port, None)
    assert str(target) == shown
    assert target.netloc == shown.removeprefix("http://")
    assert parse_target(shown) == target


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("https://app.example", "app.example", 443, "https://app.example"),
        ("HTTPS://app.example:443/", "app.example", 443, "https://app.example"),
        ("https://app.example:80", "app.example", 80, "https://app.example:80"),
        ("https://127.0.0.1:9443", "127.0.0.1", 9443, "https://127.0.0.1:9443"),
        ("https://[::1]", "::1", 443, "https://[::1]"),
        ("https://[::1]:9443", "::1", 9443, "https://[::1]:9443"),
    ],
)
def test_https_target(text: str, host: str, port: int, shown: str) -> None:
    """Its certificate must be for its host, from one of the system's CAs; port 443 goes unsaid."""
    target = parse_target(text)
    assert target == Target("https", host, port, tls=UpstreamTls(host))
    assert str(target) == shown
    assert target.netloc == shown.removeprefix("https://")
    assert parse_target(shown) == target


def test_the_ports_of_http_and_https_are_not_mixed_up() -> None:
    assert parse_target("http://host:443").netloc == "host:443"
    assert parse_target("http://host:443") != parse_target("https://host")
    assert parse_target("http://host:443").tls is None


def test_a_certificate_has_no_final_dot() -> None:
    target = parse_target("https://app.example.")
    assert (target.host, target.tls) == ("app.example.", UpstreamTls("app.example"))


@pytest.mark.parametrize("text", ["unix:/run/app.sock", "unix:///run/app.sock"])
def test_unix_target(text: str) -> None:
    target = parse_target(text)
    assert target.unix_path == "/run/app.sock"
    assert target.netloc == "localhost"
    assert str(target) == "unix:/run/app.sock"


def test_unix_path_may_hold_an_at_sign_and_is_bounded() -> None:
    assert parse_target("unix:/run/a@b").unix_path == "/run/a@b"
    longest = "/" + "x" * 106
    assert parse_target("unix:" + longest).unix_path == longest
    with pytest.raises(ConfigError, match="at most 107 bytes"):
        parse_target("unix:" + longest + "x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("host", "port is missing"),
        ("0", "ports are 1-65535"),
        ("65536", "ports are 1-65535"),
        ("host:-1", "ports are"),
        ("host:", "ports are"),
        ("host:80x", "ports are"),
        ("http://host:", "ports are"),
        ("host: 80", "ports are"),
        ("٣", "ports are"),
        ("1" * 5000, "ports are"),
        ("https://", "no host"),
        ("https://:443", "no host"),
        ("https://host:", "ports are"),
        ("https://host:0", "ports are 1-65535"),
        ("https://host/path", "leave out the path"),
        ("https://::1", "brackets"),
        ("https:host", "ports are"),
        ("ftp://host", "unknown scheme 'ftp'"),
        ("http://", "no host"),
        ("http://:80", "no host"),
        ("http://host/path", "leave out the path"),
        ("http://host//", "leave out the path"),
        ("http://host?q", "leave out the path"),
        ("http://host#f", "leave out the path"),
        ("host/path:80", "not a host"),
        ("::1:8000", "brackets"),
        ("::1", "brackets"),
        ("[::1]", "not an IPv6 address and port"),
        ("[::1", "not an IPv6 address and port"),
        ("[fe80::1%eth0]:80", "not an IPv6 address"),
        ("[localhost]:80", "not an IPv6 address"),
        ("256.1.1.1:80", "not a host"),
        ("1.2.3:80", "not a host"),
        ("-a:80", "not a host"),
        ("a..b:80", "not a host"),
        ("a b:80", "not a host"),
        ("ä:80", "not a host"),
        ("a\r\nX: y:80", "not a host"),
        ("unix:", "absolute"),
        ("unix:run/app.sock", "absolute"),
        ("unix:/run/", "absolute"),
        ("unix:/a\0b", "absolute"),
    ],
)
def test_target_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_target(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["http://me:hunter2@host", "https://me:hunter2@host", "me:hunter2@host:80"]
)
def test_a_password_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="no user name or password") as caught:
        parse_target(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("127.0.0.1:8443", "127.0.0.1", 8443, "127.0.0.1:8443"),
        ("localhost:8443", "localhost", 8443, "localhost:8443"),
        (":8443", "127.0.0.1", 8443, "127.0.0.1:8443"),
        ("8443", "127.0.0.1", 8443, "127.0.0.1:8443"),
        ("0", "127.0.0.1", 0, "127.0.0.1:0"),
        ("0.0.0.0:443", "0.0.0.0", 443, "0.0.0.0:443"),  # noqa: S104 - a text, nothing listens
        ("[::]:443", "::", 443, "[::]:443"),
    ],
)
def test_listen(text: str, host: str, port: int, shown: str) -> None:
    listen = parse_listen(text)
    assert listen == Listen(host, port)
    assert str(listen) == listen.netloc == shown


@pytest.mark.parametrize("text", ["", "host", "*:80", "a:65536", "::", "http://a:80", "unix:/a"])
def test_listen_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="listen address"):
        parse_listen(text)
