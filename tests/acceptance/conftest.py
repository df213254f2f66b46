"""The demo app and one proxy for each mode and codec, and a summary of figures at the end."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kssl.proxy.demo.process import start_demo_app
from kssl.proxy.service.spawn import ProxyProcess, spawn_proxy

Start = Callable[..., ProxyProcess]
Figure = Callable[[str], None]

_figures: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured, one line for each."""
    if _figures:
        terminalreporter.section("acceptance figures")
        for line in _figures:
            terminalreporter.write_line(line)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Notes a line for the summary, and prints it for those who use ``-s``."""

    def note(text: str) -> None:
        line = f"{request.node.name}: {text}"
        _figures.append(line)
        print(f"\n  {line}", flush=True)

    return note


@pytest.fixture(scope="session", autouse=True)
def many_files() -> None:
    """The app behind the proxy inherits our limit; the soft one is 1,024 nearly everywhere."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(scope="session")
def app_port(many_files: None) -> Iterator[int]:
    """The demo app's."""
    with start_demo_app() as app:
        yield app.port


@pytest.fixture(scope="session")
def proxy(app_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """``proxy(mode, codec)``: started when it is asked for first, shared from then on."""
    state = tmp_path_factory.mktemp("state")
    running: dict[tuple[str, str], ProxyProcess] = {}
    with contextlib.ExitStack() as stack:

        def get(mode: str, codec: str = "auto") -> ProxyProcess:
            if (mode, codec) not in running:
                options = ("--mode", mode, "--http", codec)
                running[mode, codec] = stack.enter_context(
                    spawn_proxy(str(app_port), *options, state_dir=state)
                )
            return running[mode, codec]

        yield get


@pytest.fixture
def fresh_proxy(app_port: int, tmp_path: Path) -> Iterator[Start]:
    """``fresh_proxy(mode, port=…)``: a process of this test's own."""
    with contextlib.ExitStack() as stack:

        def start(mode: str, port: int = app_port) -> ProxyProcess:
            state = tmp_path / "state"
            return stack.enter_context(spawn_proxy(str(port), "--mode", mode, state_dir=state))

        yield start
