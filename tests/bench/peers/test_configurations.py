"""The configurations as people get them, and peers that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from kssl.bench import nginx
from kssl.bench.errors import BenchError
from kssl.bench.peers import PEERS, configurations, print_configs
from kssl.bench.subjects import Surroundings


@pytest.mark.parametrize("name", PEERS)
def test_can_be_printed_without_anything_running(name: str) -> None:
    text = print_configs([name])
    assert text.startswith(f"##### {name}\n")
    # The peer's own port and the backend's are in it.
    assert "8443" in text
    assert "8000" in text
    assert "Written by `kssl bench`" in text


def test_all_in_one_text() -> None:
    text = print_configs(PEERS)
    assert [line[6:] for line in text.splitlines() if line.startswith("##### ")] == list(PEERS)


def test_a_name_of_nobody() -> None:
    with pytest.raises(BenchError, match="no peer 'squid'; there are nginx, "):
        print_configs(["squid"])


def test_real_surroundings(around: Surroundings) -> None:
    text = configurations(["nginx"], around)
    assert f"server 127.0.0.1:{around.upstream};" in text
    assert f"ssl_certificate_key {around.key};" in text


@pytest.mark.parametrize("name", ["mitmproxy", "proxy.py"])
def test_python_packages_want_a_virtual_environment(name: str, tmp_path: Path) -> None:
    for venv in (None, tmp_path):
        assert "pip install mitmproxy proxy.py, then --peer-venv V" in (
            PEERS[name].missing(venv) or ""
        )


def test_a_missing_peer_does_not_start(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nginx, "find", lambda: None)
    with (
        pytest.raises(BenchError, match="nginx: nginx is not installed"),
        PEERS["nginx"].start(around),
    ):
        pass
