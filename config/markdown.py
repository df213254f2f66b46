"""docs/parameters.md, made from the table; a test keeps the two the same."""

from __future__ import annotations

from kssl.config.parameter import Parameter, Profile, Value
from kssl.config.table import PARAMETERS

_HEAD = """\
# Parameters

Where Windows has the value, its name, range and default are those of
`HKEY_LOCAL_MACHINE\\System\\CurrentControlSet\\Services\\HTTP\\Parameters`. Set one in `kssl.toml`
below `[parameters]` or with `kssl reg set NAME VALUE`, by the environment
(`KSSL_SET_MAXCONNECTIONS=2000`), or with `--set NAME=VALUE`; the later in this list wins. Numbers
are decimal or 0x hexadecimal, names in any case. `kssl reg query` shows what is in force, and why.

Values are read when the service starts; a change takes effect after `kssl restart`. Those marked
*live* apply on SIGHUP too, in the profile native. Defaults that depend on the profile name it.

Made by `python -m kssl.config > docs/parameters.md`.
"""


def as_markdown() -> str:
    lines = [
        _HEAD,
        "| name | default | allowed | applies | meaning | risk |",
        "|---|---|---|---|---|---|",
        *map(_row, PARAMETERS),
    ]
    return "\n".join(lines) + "\n"


def _row(row: Parameter) -> str:
    applies = "live" if row.live else "at start"
    cells = (row.name, _defaults(row), row.range_text, applies, row.meaning, row.risk)
    return f"| {' | '.join(cells)} |"


def _defaults(row: Parameter) -> str:
    """``1; ws2003sp1: 0``"""
    others = [
        f"{profile}: {_shown(row.default_in(profile))}"
        for profile in Profile
        if row.default_in(profile) != row.default
    ]
    return "; ".join([_shown(row.default), *others])


def _shown(value: Value) -> str:
    return str(value) if value != "" else "empty"
