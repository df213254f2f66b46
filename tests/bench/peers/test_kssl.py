"""kssl itself as a subject."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from kssl.bench.errors import BenchError
from kssl.bench.kssl import can_hop_twice, kssl
from kssl.bench.subjects import Surroundings
from kssl.config.devca import DevelopmentCA
from tests.bench.peers.client import connected


@pytest.mark.parametrize(
    ("mode", "engine", "hops"), [("user", "worker", 1), ("kernel", "aead", None)]
)
def test_modes(
    mode: str,
    engine: str,
    hops: int | None,
    around: Surroundings,
    ca: DevelopmentCA,
    gone: Callable[[int], bool],
) -> None:
    with kssl(mode, "1.0")(around) as subject:
        assert (subject.name, subject.kind, subject.scheme) == (f"kssl {mode}", "kssl", "https")
        assert (subject.mode, subject.engine, subject.hops) == (mode, engine, hops)
        assert set(subject.pids) == {"front", "worker"}
        with connected(subject, ssl.create_default_context(cafile=ca.ca_path)) as client:
            assert client.get("/tiny") == b"Hello, kssl\n"
        pids = [pid for some in subject.pids.values() for pid in some]
    assert all(gone(pid) for pid in pids)


def test_two_hops(around: Surroundings) -> None:
    start = kssl("user", "1.0", hops=2)
    if not can_hop_twice():
        with pytest.raises(BenchError, match="UserModeHops"), start(around):
            pass
        return
    with start(around) as subject:
        assert (subject.name, subject.mode, subject.hops) == ("kssl user 2 hops", "user", 2)
        assert set(subject.pids) == {"front", "filter", "worker"}


def test_it_tells_why_it_does_not_start(around: Surroundings) -> None:
    start = kssl("kernel", "1.0", ["--set", "NoSuchParameter=1"])
    with pytest.raises(BenchError, match="NoSuchParameter"), start(around):
        pass
