"""Who can read a private key: the crypto worker, and commands that make or store one.

Nobody else even imports what opens such a file.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.test_layering import Graph, graph

READERS = frozenset(("config/credentials.py", "config/devca.py", "config/store/pkcs12.py"))

FRONT_END = (
    "proxy/http/",
    "proxy/journal/",
    "proxy/upstream/",
    "proxy/frontend/",
    "proxy/service/",
)
OTHERS = (
    "fastpath/net/",
    "fastpath/tls/",
    "fastpath/record/",
    "fastpath/ipc/",
    "fastpath/engines/",
    "fastpath/filter/",
    "fastpath/verifier/",
)


@pytest.fixture(scope="module")
def edges() -> Graph:
    return graph()


def reachable(edges: Graph, begin: Iterable[str]) -> set[str]:
    """Return the files that these import, and those that they import in turn."""
    found: set[str] = set()
    left = list(begin)
    while left:
        file = left.pop()
        if file not in found:
            found.add(file)
            left += edges.get(file, ())
    return found


@pytest.mark.parametrize("folders", [FRONT_END, OTHERS], ids=["front end", "other processes"])
def test_none_is_read_there(edges: Graph, folders: tuple[str, ...]) -> None:
    files = [file for file in edges if file.startswith(folders)]
    assert files
    assert reachable(edges, files) & READERS == set()


def test_the_worker_reads_them(edges: Graph) -> None:
    """So the check can fail."""
    files = [file for file in edges if file.startswith("fastpath/worker/")]
    assert reachable(edges, files) & READERS == {"config/credentials.py", "config/devca.py"}
