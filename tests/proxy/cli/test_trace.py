"""`kssl trace` as a person types it."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.proxy.cli.conftest import Kssl
from tests.proxy.frontend.upstreams import Upstream


def test_text(kssl: Kssl) -> None:
    result = kssl("trace", "--mode", "kernel", "--handshake")
    assert (result.returncode, result.stderr) == (0, "")
    assert "GET /tiny → demo app: 200, 12 bytes" in result.stdout
    lines = result.stdout.splitlines()
    at = lines.index("request")
    assert [line.split()[0] for line in lines[at + 3 : at + 8]] == ["1", "2", "3", "4", "5"]
    assert "\x1b" not in result.stdout


def test_json_and_diagram(kssl: Kssl, tmp_path: Path, app: Upstream) -> None:
    drawing = tmp_path / "trace.svg"
    url = f"http://127.0.0.1:{app.port}/a?b=secret%20c"
    result = kssl("trace", url, "--data", "the-body-itself", "-H", "Cookie: the-cookie",
                  "--json", "--svg", str(drawing))  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert [(trace["mode"], len(trace["steps"])) for trace in told["traces"]] == [
        ("user", 9), ("kernel", 5),
    ]  # fmt: skip
    assert told["traces"][0]["request"] == {
        "method": "POST", "path": "/a?b=secret%20c", "body_bytes": 15,
    }  # fmt: skip
    ElementTree.fromstring(drawing.read_text())  # noqa: S314
    for shown in (result.stdout, drawing.read_text()):
        assert "/a?b=secret%20c" in shown
        assert "the-body-itself" not in shown
        assert "the-cookie" not in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("https://localhost:8443",), "the app's own address"),
        (("nonsense",), "nonsense"),
        (("http://no.invalid:80",), "no.invalid"),
        (("/x", "--data", "a", "--size", "1"), "one of them"),
        (("/x", "--warm-up", "-1"), "--warm-up -1"),
        (("/x", "--engine", "warp", "--mode", "kernel"), "warp"),
        (("/x", "-H", "nothing"), "not a header"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_refused(kssl: Kssl, arguments: tuple[str, ...], words: str) -> None:
    result = kssl("trace", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("kssl: ")
    assert words in line


def test_an_app_that_is_not_there(kssl: Kssl) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = kssl("trace", str(port))
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert f"no app at http://localhost:{port}: connection refused" in line


def test_a_reply_that_is_kssl_s_own(kssl: Kssl) -> None:
    with Upstream(lambda side: side.close()) as app:
        result = kssl("trace", str(app.port), "--mode", "kernel")
    assert result.returncode == 1
    assert "502" in result.stdout
    assert "the reply is kssl's own" in result.stderr
