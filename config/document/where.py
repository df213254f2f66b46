"""Which kssl.toml is meant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NAME = "kssl.toml"
VARIABLE = "KSSL_CONFIG"


def config_path(given: Path | None, state_dir: Path, environment: Mapping[str, str]) -> Path:
    """The one `given` (by ``--config``), else ``$KSSL_CONFIG``, else ``STATE/kssl.toml``.

    Absolute; it need not exist. Only the last may be missing when a service starts.
    """
    if given is None:
        variable = environment.get(VARIABLE, "")
        given = Path(variable) if variable else state_dir / NAME
    return given.absolute()
