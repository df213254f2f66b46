"""`kssl bench --attacks`: what is known, what the hostile app sends, what is told."""

from __future__ import annotations

import json
import socket

import pytest

from kssl.bench.attacks import app, client
from kssl.bench.attacks.kinds import ATTACKS, HOSTILE_NAME, by_name, choose
from kssl.bench.attacks.report import to_report, to_text
from kssl.bench.attacks.run import Found, Latency, Wanted, in_words
from kssl.bench.errors import BenchError
from kssl.proxy.cli import main


def test_each_attack_has_a_client() -> None:
    assert set(client._KINDS) == set(by_name())
    assert {attack.host for attack in ATTACKS} == {"localhost", HOSTILE_NAME}


def test_choosing() -> None:
    assert choose([]) == list(ATTACKS)
    assert [attack.name for attack in choose(["records", "chunks"])] == ["records", "chunks"]
    with pytest.raises(BenchError, match=r"no attack 'flood'; there are chunks, "):
        choose(["flood"])


def test_a_wrong_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--attacks", "flood"]) == 1
    assert "no attack 'flood'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "begins", "again"),
    [
        (b"/chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"/interim", b"HTTP/1.1 103 Early Hints\r\n", b"HTTP/1.1 103 "),
        (b"/large", b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n", bytes(1000)),
    ],
)
def test_the_hostile_app(path: bytes, begins: bytes, again: bytes) -> None:
    with app.running() as port, socket.create_connection(("127.0.0.1", port), timeout=15) as sock:
        sock.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        got = b""
        while len(got) < 100_000:
            got += sock.recv(65536)
    assert got.startswith(begins)
    assert got.count(again) > 50


FOUND = [
    Found("chunks", "kssl kernel", Latency(200.0, 300.0), Latency(250.0, 450.0), 1.5),
    Found("chunks", "kssl user", Latency(200.0, 300.0), Latency(900.0, 1500.0), 5.0),
    Found("chunks", "nginx", Latency(200.0, 300.0), None, None, "it gave up"),
]


def test_the_table() -> None:
    *_, good, bad, none = to_text(FOUND).splitlines()
    assert good.split()[-5:] == ["0.20", "0.25", "0.30", "0.45", "1.5"]
    assert bad.endswith("5.0  above 2")
    assert none.endswith("-  it gave up")
    assert in_words(FOUND[1]).endswith("p99 0.30 ms, under attack 1.50 ms, 5.0 times")


def test_the_report() -> None:
    wanted = Wanted(choose(["chunks"]), ["kernel", "user"], nginx=True, rounds=1, seconds=1)
    report = json.loads(json.dumps(to_report(FOUND, wanted, "kssl bench --attacks chunks")))
    assert report["schema"] == "kssl-bench-attacks-1"
    assert report["found"][0]["attacked"] == {"p50": 250.0, "p99": 450.0}
    assert report["found"][2]["ratio"] is None
