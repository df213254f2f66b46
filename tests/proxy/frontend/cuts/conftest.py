"""`authority`: a CA for apps that speak TLS."""

from __future__ import annotations

import pytest

from tests.proxy.frontend.cuts.https import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
