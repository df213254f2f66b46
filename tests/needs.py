"""Programs from Debian that some tests use."""

from __future__ import annotations

import os
import shutil

import pytest


def need(program: str, package: str | None = None) -> str:
    """The path of ``program``. Without it the test is skipped, and in CI it fails."""
    path = shutil.which(program)
    if path is not None:
        return path
    message = f"{program} is missing: apt-get install {package or program}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
