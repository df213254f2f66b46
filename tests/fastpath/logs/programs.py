"""Small programs that a test runs, each with its own idea of standard streams."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from kssl.fastpath.ipc.hardening import interpreter

SECONDS = 60.0


def start(program: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start ``program``, Python's text. ``options`` are those of Popen."""
    return subprocess.Popen([*interpreter(), "-c", program, *arguments], **options)


def run_in_shell(redirections: str, command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """Run ``command`` with a shell's redirections, such as ``2>&-``."""
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", *command],
        stdout=subprocess.PIPE,
        timeout=SECONDS,
        check=False,
    )


PYTHON = [sys.executable, "-c"]
