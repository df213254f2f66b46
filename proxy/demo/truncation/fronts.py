"""The proxies of the demonstration, each a process of its own for as long as a block lasts."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from kssl.proxy.demo.truncation.play import Front, StagingError
from kssl.proxy.demo.truncation.rows import GUARD, PASS
from kssl.proxy.service.spawn import ProxyStartError, spawn_proxy

_MAX_SAID = 400  # characters


@contextlib.contextmanager
def in_front_of_http(app: int, mode: str, setting: str, state: Path) -> Iterator[Front]:
    """kssl before the app on port ``app``; ``setting`` is a parameter. Raises StagingError."""
    with _kssl(str(app), "--mode", mode, "--set", setting, state=state) as (port, ca):
        yield Front("kssl", mode, setting, port, ca)


@contextlib.contextmanager
def in_front_of_https(app: int, mode: str, setting: str, state: Path) -> Iterator[Front]:
    """kssl before an app with TLS; ``setting`` is PASS or GUARD. Raises StagingError."""
    name = "pass" if setting == PASS else "guard"
    file = state / f"{name}-{mode}.toml"
    file.write_text(
        "[[site]]\n"
        f"name = {json.dumps(name)}\n"
        'bindings = ["127.0.0.1:0"]\n'
        f"upstreams = [{json.dumps(f'https://localhost:{app}')}]\n"
        f"upstream_ca = {json.dumps(str(state / 'ca.pem'))}\n"
        # The guard is what happens when nobody says anything.
        + ('upstream_truncation = "pass"\n' if setting == PASS else "")
    )
    assert setting in (PASS, GUARD)
    with _kssl(None, "--mode", mode, "--config", str(file), state=state) as (port, ca):
        yield Front("kssl", mode, setting, port, ca)


@contextlib.contextmanager
def _kssl(target: str | None, *arguments: str, state: Path) -> Iterator[tuple[int, str]]:
    listen = "127.0.0.1:0" if target is not None else None
    # What it says of each connection that was cut is not part of the show; of a failure it is.
    with (state / "said.txt").open("w+b") as said, contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(
                spawn_proxy(target, *arguments, state_dir=state, listen=listen, stderr=said)
            )
        except (ProxyStartError, subprocess.SubprocessError) as error:
            said.seek(0)
            text = " ".join(said.read().decode(errors="replace").split())[:_MAX_SAID]
            raise StagingError(f"{error}: {text}") from None
        yield running.port, str(state / "ca.pem")
