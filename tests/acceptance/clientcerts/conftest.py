"""One service for each mode, and what their clients present."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.clientcerts.serving import Serving, serving
from tests.proxy.frontend.certificates.wallet import Wallet

Serve = Callable[..., Serving]


@pytest.fixture(scope="session")
def wallet(tmp_path_factory: pytest.TempPathFactory) -> Wallet:
    return Wallet(tmp_path_factory.mktemp("wallet") / "files")


@pytest.fixture(scope="session")
def serve(
    wallet: Wallet, app_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serve]:
    """``serve(mode)``: started when it is asked for first."""
    running: dict[str, Serving] = {}
    with contextlib.ExitStack() as stack:

        def get(mode: str) -> Serving:
            if mode not in running:
                folder = tmp_path_factory.mktemp("serving") / mode
                running[mode] = stack.enter_context(serving(folder, wallet, app_port, mode))
            return running[mode]

        yield get
