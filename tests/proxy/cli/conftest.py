"""Running `kssl` as a person does: its exit code, and what it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.proxy.cli.inside import run_inside
from tests.proxy.frontend.upstreams import Upstream, answer_all, response

Kssl = Callable[..., "subprocess.CompletedProcess[str]"]

# They start processes whose parent must end, or which it must end.
PROCESSES = ("start", "restart", "demo", "trace", "bench")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """All variables that `kssl` sees, with a state folder of the test's own."""
    return {"XDG_STATE_HOME": str(tmp_path / "xdg"), "PATH": "/usr/bin:/bin"}


@pytest.fixture
def kssl_process(environment: dict[str, str]) -> Kssl:
    """`kssl ARGUMENTS` that ends by itself, as a process."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kssl.proxy", *arguments],
            capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
            env=environment,
        )  # fmt: skip

    return run


@pytest.fixture
def kssl(kssl_process: Kssl, environment: dict[str, str]) -> Kssl:
    """`kssl ARGUMENTS` that ends by itself, within this process where that is the same."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        if arguments[:1] and arguments[0] in PROCESSES:
            return kssl_process(*arguments)
        return run_inside(arguments, environment)

    return run


@pytest.fixture(scope="package")
def app() -> Iterator[Upstream]:
    with Upstream(answer_all(response(b"abc"))) as upstream:
        yield upstream


@dataclass(frozen=True)
class Files:
    """A certificate of a private CA."""

    ca: Path
    cert: Path
    key: Path
    other_key: Path
    both: Path


@pytest.fixture(scope="package")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("certificate")
    ca = trustme.CA()
    issued, other = ca.issue_cert("localhost"), ca.issue_cert("localhost")
    made = Files(*(folder / name for name in ("ca", "cert", "key", "other_key", "both")))
    ca.cert_pem.write_to_path(made.ca)
    for pem in issued.cert_chain_pems:
        pem.write_to_path(made.cert, append=True)
    issued.private_key_pem.write_to_path(made.key)
    other.private_key_pem.write_to_path(made.other_key)
    issued.private_key_and_cert_chain_pem.write_to_path(made.both)
    for path in (made.key, made.other_key, made.both):
        path.chmod(0o600)
    return made
