"""`kssl serve`: what it refuses and how, what it says, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from kssl.config.target import UpstreamTls, parse_target
from kssl.proxy.cli import build_parser
from kssl.proxy.cli.options import configuration
from kssl.proxy.service.spawn import ProxyProcess, spawn_proxy
from tests.fastpath.verifier.rules.pki import self_signed
from tests.proxy.cli.conftest import Files, Kssl
from tests.proxy.frontend.clients import Client
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import Upstream, response

# -- what is refused ---------------------------------------------------------------------------


def refused(kssl: Kssl, *arguments: str) -> str:
    """The one line on stderr."""
    # Our own pipes end only when every process of it has ended: a worker left behind would make
    # this time out.
    result = kssl("serve", *arguments)
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("kssl: ")
    return line.removeprefix("kssl: ")


ANY = ("--listen", "127.0.0.1:0")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nonsense",), "nonsense"),
        (("99999",), "99999"),
        (("https://localhost/path",), "leave out the path"),
        (("https://localhost:1", "--upstream-ca", "/no/such.pem"), "CA file /no/such.pem does not"),
        (("https://localhost:1", "--upstream-ca", "/dev"), "CA file /dev is a folder"),
        (
            ("8000", "--upstream-ca", "/dev/null"),
            "--upstream-ca is for a TARGET with https",
        ),
        (("unix:/a", "--upstream-ca", "/dev/null"), "not for unix:/a; drop it"),
        (("ftp://x",), "ftp"),
        (("8000", "--listen", "nowhere"), "nowhere"),
        (("8000", "--listen", "192.0.2.1:0"), "does not have that address"),
        (("8000", "--set", "EnableKernelSSL=2"), "EnableKernelSSL"),
        (("8000", "--set", "EnableKernelSL=1"), "did you mean EnableKernelSSL"),
        (("8000", "--set", "MaxConnections=5"), "1024"),
        (("8000", "--set", "nothing"), "NAME=VALUE"),
        (("8000", "--engine", "warp"), "warp"),
        (("8000", "--engine", "worker"), "user mode"),
        (("8000", "--workers", "0"), "--workers 0"),
        (("8000", "--cert", "/no/such.pem"), "/no/such.pem"),
        (("8000", "--key", "/no/such.key"), "--key without --cert"),
        (("8000", "--state-dir", "/dev/null"), "/dev/null"),
        (("8000", "--state-dir", "/proc/kssl"), "/proc/kssl"),
        (("8000", "--ready-file", "/no/such/ready"), "/no/such/ready"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_refused(kssl: Kssl, arguments: tuple[str, ...], words: str) -> None:
    listen = () if "--listen" in arguments else ANY
    assert words in refused(kssl, *arguments, *listen)


def test_nothing_to_serve(kssl: Kssl) -> None:
    assert "TARGET" in refused(kssl, *ANY)


def test_a_port_in_use(kssl: Kssl) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(kssl, "8000", "--listen", f"127.0.0.1:{port}")
    assert line == (
        f"cannot listen on 127.0.0.1:{port}: the port is in use; choose another with --listen"
    )


def test_a_key_that_does_not_belong(kssl: Kssl, files: Files) -> None:
    line = refused(kssl, "8000", *ANY, "--cert", str(files.cert), "--key", str(files.other_key))
    assert str(files.other_key) in line or str(files.cert) in line


def test_a_key_that_cannot_be_read(kssl: Kssl, files: Files, tmp_path: Path) -> None:
    assert str(tmp_path) in refused(
        kssl, "8000", *ANY, "--cert", str(files.cert), "--key", str(tmp_path)
    )
    if os.geteuid() != 0:  # root reads everything
        secret = tmp_path / "secret.key"
        secret.write_bytes(files.key.read_bytes())
        secret.chmod(0)
        assert str(secret) in refused(
            kssl, "8000", *ANY, "--cert", str(files.cert), "--key", str(secret)
        )


def test_a_certificate_without_key(kssl: Kssl, files: Files) -> None:
    refused(kssl, "8000", *ANY, "--cert", str(files.cert))


def test_a_file_that_is_no_certificate(kssl: Kssl, files: Files) -> None:
    refused(kssl, "8000", *ANY, "--cert", __file__, "--key", str(files.key))


# -- what runs ---------------------------------------------------------------------------------


def ask(proxy: ProxyProcess, ca: str | Path | None = None, raw: bytes = b"") -> bytes:
    context = ssl.create_default_context(cafile=ca or proxy.ca)
    with Client(proxy.port, context) as client:
        if raw:
            client.send(raw)
            return client.read_answer().body
        return client.ask().body


@pytest.mark.parametrize("mode", ["kernel", "user"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it(app: Upstream, tmp_path: Path, number: int, mode: str) -> None:
    with spawn_proxy(str(app.port), "--mode", mode, "--workers", "2", state_dir=tmp_path) as proxy:
        assert ask(proxy) == b"abc"
        pidfds = [os.pidfd_open(pid) for pid in proxy.worker_pids]
        assert len(pidfds) == 2
        try:
            proxy.process.send_signal(number)
            assert proxy.process.wait(60) == 0
            for pidfd in pidfds:
                assert select.select([pidfd], [], [], 5)[0], "a worker stayed behind"
        finally:
            for pidfd in pidfds:
                os.close(pidfd)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port)).close()


@pytest.mark.parametrize("mode", ["kernel", "user"])
def test_the_workers_end_with_a_killed_front_end(app: Upstream, tmp_path: Path, mode: str) -> None:
    with spawn_proxy(str(app.port), "--mode", mode, state_dir=tmp_path) as proxy:
        pidfd = os.pidfd_open(proxy.worker_pids[0])
        try:
            proxy.process.kill()
            assert select.select([pidfd], [], [], 5)[0]
        finally:
            os.close(pidfd)


def test_own_certificate(app: Upstream, files: Files, tmp_path: Path) -> None:
    for options in (("--cert", str(files.cert), "--key", str(files.key)),
                    ("--cert", str(files.both))):  # fmt: skip
        with spawn_proxy(str(app.port), *options, state_dir=tmp_path) as proxy:
            assert proxy.ca is None
            assert ask(proxy, files.ca) == b"abc"


def test_a_key_that_others_can_read(
    app: Upstream, files: Files, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exposed = tmp_path / "exposed.key"
    exposed.write_bytes(files.key.read_bytes())
    exposed.chmod(0o644)
    options = ("--cert", str(files.cert), "--key", str(exposed))
    with spawn_proxy(str(app.port), *options, state_dir=tmp_path / "state") as proxy:
        assert ask(proxy, files.ca) == b"abc"
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
    assert line.startswith("kssl: warning: ")
    assert str(exposed) in line


ACCESS = re.compile(
    r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "([^"]*)" (\d{3}) (\d+) '
    r'"([^"]+)" "([^"]+)" (TLSv1\.[23]) (\w+) (kernel|user)'
)


@pytest.mark.parametrize("mode", ["kernel", "user"])
def test_the_access_log(
    app: Upstream, tmp_path: Path, mode: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with spawn_proxy(str(app.port), "--mode", mode, state_dir=tmp_path, access_log=True) as proxy:
        ask(proxy)
        ask(proxy, raw=b'GET /a\x22\\\xff HTTP/1.1\r\nHost: a\r\nUser-Agent: x" 500\x1b\r\n\r\n')
        ask(proxy, raw=b'GET /b HTTP/1.1\r\nHost: a\r\nReferer: a"b\\\r\nUser-Agent: \xe4\r\n\r\n')
        ask(proxy, raw=b"GET /c\n127.0.0.1 - - [forged HTTP/1.1\r\nHost: a\r\n\r\n")
    text = capfd.readouterr().err
    lines = [line for line in text.splitlines() if not line.startswith("kssl: ")]
    matches = [ACCESS.fullmatch(line) for line in lines]
    assert all(matches), lines
    fields = [match.groups()[:5] for match in matches if match]
    assert fields[0] == ("GET / HTTP/1.1", "200", "3", "-", "-")
    assert fields[1][:2] == (r"GET /a\x22\x5c\xff HTTP/1.1", "400")
    assert fields[2] == ("GET /b HTTP/1.1", "200", "3", r"a\x22b\x5c", r"\xe4")
    assert fields[3][1] == "400"
    assert r"\x0a127.0.0.1" in fields[3][0]
    assert len(fields) == 4
    assert {match[8] for match in matches if match} == {mode}


def test_ready_file(app: Upstream, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "kssl.proxy", "serve", str(app.port), *ANY, "--ready-file",
         str(ready),
         "--state-dir", str(tmp_path / "state"), "--mode", "user"],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(ready.exists, "the ready file")
        told = json.loads(ready.read_text())
        with socket.create_connection(("127.0.0.1", int(told["url"].rpartition(":")[2]))):
            pass
    finally:
        process.terminate()
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert told == {
        "url": told["url"],
        "urls": [told["url"]],
        "ca": str(tmp_path / "state" / "ca.pem"),
        "pid": process.pid,
        "worker_pids": told["worker_pids"],
        "verifier_pid": None,  # nobody is asked for a certificate
        "filter_pids": [],
        "admin": str(tmp_path / "state" / "run" / f"{process.pid}.sock"),
        "mode": "user",
        "engine": "worker",
    }
    assert re.fullmatch(r"https://localhost:\d+", told["url"])
    (worker,) = told["worker_pids"]
    assert isinstance(worker, int)
    first, second = stderr.splitlines()[:2]
    assert first == (
        f"kssl: {told['url']}  →  http://localhost:{app.port}   (user mode, engine worker)"
    )
    assert f"curl --cacert {told['ca']} {told['url']}/" in second
    assert all(line.startswith("kssl: ") for line in stderr.splitlines())


def test_the_verifier_in_the_ready_file(app: Upstream, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    (tmp_path / "clients.pem").write_bytes(self_signed("CN=Root").pem)
    (tmp_path / "clients.pem").chmod(0o600)
    (tmp_path / "kssl.toml").write_text(
        f'[[site]]\nbindings = ["https://127.0.0.1:0"]\nupstreams = ["{app.port}"]\n'
        'sslFlags = ["Ssl", "SslNegotiateCert"]\nclient_ca = "clients.pem"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "kssl.proxy", "serve", "--config", str(tmp_path / "kssl.toml"),
         "--ready-file", str(ready), "--state-dir", str(tmp_path / "state")],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(ready.exists, "the ready file")
        pid = json.loads(ready.read_text())["verifier_pid"]
        assert b"kssl.fastpath.verifier" in Path(f"/proc/{pid}/cmdline").read_bytes()
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_ca_for_an_https_upstream(
    files: Files, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ("--upstream-ca", str(files.ca))
    with spawn_proxy("https://127.0.0.1:9", *options, state_dir=tmp_path):
        pass
    told = capfd.readouterr().err
    assert "→  https://127.0.0.1:9 " in told
    assert "warning" not in told


def test_a_ca_is_looked_for_in_the_folder_of_the_caller(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").write_bytes(files.ca.read_bytes())
    arguments = ["serve", "https://a", "--upstream-ca", "ca.pem", "--state-dir", str(tmp_path)]
    read = configuration(build_parser().parse_args(arguments), parse_target("https://a"), None)
    assert read.sites[0].upstreams[0].tls == UpstreamTls("a", ca=tmp_path / "ca.pem")


def test_answers_that_may_be_cut_short_are_a_warning(
    files: Files, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kssl.toml"
    path.write_text(
        f'[[site]]\nupstreams = ["https://127.0.0.1:9", "https://127.0.0.1:10"]\n'
        f'upstream_ca = "{files.ca}"\nupstream_truncation = "pass"\n'
    )
    with spawn_proxy(None, "--config", str(path), state_dir=tmp_path / "state"):
        pass
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
    assert line.startswith(f"kssl: warning: {path}:4: site[1].upstream_truncation: an answer that")
    assert "can cut answers short unnoticed" in line


def test_a_unix_socket_upstream(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(60)
        with spawn_proxy(f"unix:{path}", state_dir=tmp_path / "state") as proxy:
            context = ssl.create_default_context(cafile=proxy.ca)
            with Client(proxy.port, context) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                side, _ = listener.accept()
                with side:
                    assert side.recv(65536).startswith(b"GET / HTTP/1.1\r\nHost: a\r\n")
                    side.sendall(response(b"abc"))
                    assert client.read_answer().body == b"abc"
