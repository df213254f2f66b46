"""An app, a certificate, and peers in front of the app."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kssl.bench.subjects import Surroundings
from kssl.config.devca import DevelopmentCA
from kssl.proxy.demo.process import start_demo_app

# With the peers that are Python packages.
VENV = Path(os.environ["KSSL_PEER_VENV"]) if "KSSL_PEER_VENV" in os.environ else None


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentCA:
    return DevelopmentCA.open_or_create(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def app_port() -> Iterator[int]:
    with start_demo_app() as app:
        yield app.port


@pytest.fixture(scope="session")
def around(
    ca: DevelopmentCA, app_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Surroundings:
    certificate, key = ca.ensure_leaf()
    return Surroundings(
        folder=tmp_path_factory.mktemp("peers"),
        upstream=app_port,
        certificate=certificate,
        key=key,
        venv=VENV,
    )


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """Whether a process has ended, even if nobody has asked for its exit code yet."""

    def check(pid: int) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
        return stat.rpartition(")")[2].split()[0] == "Z"

    return check
