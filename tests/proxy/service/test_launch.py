"""kssl.proxy.service: the report pipe between a starter and its service."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from kssl.config.errors import ConfigError, Problem, ProblemsError
from kssl.proxy.service import launch as launching
from kssl.proxy.service.launch import LaunchError, launch
from kssl.proxy.service.report import LISTENERS, REPORT, Starter

_SCRIPT = f"""#!{sys.executable}
import json, os, sys
def write(data): os.write(int(os.environ[{REPORT!r}]), data)
def tell(content): write(json.dumps(content).encode())
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replaces `kssl` by a Python script with the given text; returns how to launch it."""

    def run(text: str, **options: Any) -> Any:
        script = tmp_path / "python"
        script.write_text(_SCRIPT + text)
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr("sys.executable", str(script))
        return launch(["serve", "x"], folder=tmp_path, **options)

    return run


def test_it_returns_when_the_service_is_ready(program: Any, tmp_path: Path) -> None:
    launched = program(
        f"assert os.getcwd() == {str(tmp_path)!r}\n"
        "assert sys.argv[1:] == ['-P', '-m', 'kssl.proxy', 'serve', 'x']\n"
        "tell({'urls': ['https://a']})"
    )
    assert launched.urls == ["https://a"]
    assert launched.process.wait() == 0


def test_sockets_are_handed_over(program: Any) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as sock,
    ):
        launched = program(
            "import socket\n"
            f"fds = json.loads(os.environ[{LISTENERS!r}])\n"
            "name = socket.socket(fileno=fds['https://x'][1]).getsockname()\n"
            "tell({'urls': [str(name[1])]})",
            listeners={"https://x": [first, sock]},
        )
        assert launched.urls == [str(sock.getsockname()[1])]
        assert launched.process.wait() == 0


def test_what_it_says_is_wrong_is_passed_on(program: Any) -> None:
    with pytest.raises(LaunchError) as caught:
        program("tell({'errors': ['a', 'b']})\nsys.exit(2)")
    assert caught.value.lines == ("a", "b")


@pytest.mark.parametrize("said", [b"", b"nonsense", b"[]", b'{"other": 1}'])
def test_a_service_that_dies_is_told_with_its_exit_code(program: Any, said: bytes) -> None:
    with pytest.raises(LaunchError, match="ended at once with exit code 7"):
        program(f"write({said!r}); sys.exit(7)")


def test_one_that_hangs_is_ended(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "START_LIMIT", 0.2)
    with pytest.raises(LaunchError, match="not ready after"):
        program("import signal; signal.pause()")


# -- the service's side ------------------------------------------------------------------------


def test_without_a_starter_nothing_happens() -> None:
    environment = {"PATH": "/bin"}
    starter = Starter(environment)
    starter.ready(["https://a"])
    assert environment == {"PATH": "/bin"}
    assert not starter.take("https://a")


def test_the_word_goes_once_and_the_variables_are_taken_out() -> None:
    reading, writing = os.pipe()
    environment = {REPORT: str(writing), LISTENERS: "{}"}
    starter = Starter(environment)
    assert environment == {}
    starter.ready(["https://a"])
    starter.failed(ConfigError("too late"))
    with open(reading, "rb") as pipe:
        assert json.loads(pipe.read()) == {"urls": ["https://a"]}


def test_every_problem_is_told() -> None:
    reading, writing = os.pipe()
    starter = Starter({REPORT: str(writing)})
    problems = [Problem("kssl.toml", line, "site", "wrong") for line in (1, 2)]
    starter.failed(ProblemsError(problems))
    with open(reading, "rb") as pipe:
        assert json.loads(pipe.read())["errors"] == [str(problem) for problem in problems]


def test_a_starter_that_has_gone_is_no_trouble() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    Starter({REPORT: str(writing)}).ready(["https://a"])


def test_sockets_are_taken_once_and_the_rest_is_closed() -> None:
    """A predecessor of an older version tells of one socket by its number alone."""
    numbers = [socket.create_server(("127.0.0.1", 0)).detach() for _ in range(4)]
    told = {"several": numbers[:2], "one": numbers[2], "given up": [numbers[3]]}
    starter = Starter({LISTENERS: json.dumps(told)})
    taken = [*starter.take("several"), *starter.take("one")]
    assert not starter.take("several")
    assert not os.get_inheritable(numbers[3])
    starter.ready([])
    assert [sock.fileno() for sock in taken] == numbers[:3]
    for sock in taken:
        sock.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(numbers[3])


@pytest.mark.parametrize(
    "environment", [{REPORT: "x"}, {LISTENERS: "x"}, {LISTENERS: "[1]"}, {LISTENERS: '{"a": "b"}'}]
)
def test_nonsense_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="unset them"):
        Starter(environment)
