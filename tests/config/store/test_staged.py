"""kssl.config.store.staged: what staged changes amount to, and their file."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from kssl.config.errors import ConfigError
from kssl.config.store.place import HOSTNAMEPORT, IPPORT, parse_place
from kssl.config.store.staged import (
    ADD,
    BIND,
    DELETE,
    UNBIND,
    Change,
    Changes,
    read_changes,
    write_changes,
)

ADDRESS = parse_place(IPPORT, "0.0.0.0:443")
NAME = parse_place(HOSTNAMEPORT, "app.example:443")
A, B = "aa" * 32, "bb" * 32


def test_what_bindings_become() -> None:
    changes = Changes()
    changes.put(Change(BIND, A, ADDRESS))
    changes.put(Change(UNBIND, place=NAME))
    changes.put(Change(ADD, A))
    assert changes.bindings_after({NAME: B}) == {ADDRESS: A}
    assert changes.bindings_after({ADDRESS: ""}) == {ADDRESS: A}
    assert changes.certificates(ADD) == [A]


def test_a_later_change_takes_the_place_of_a_former_one() -> None:
    changes = Changes()
    for change in (
        Change(ADD, A), Change(BIND, A, ADDRESS), Change(BIND, B, ADDRESS), Change(DELETE, A),
    ):  # fmt: skip
        changes.put(change)
    assert changes.items == [Change(BIND, B, ADDRESS), Change(DELETE, A)]
    assert changes.drop(ADDRESS)
    assert not changes.drop(ADDRESS)
    assert changes.drop(None, A)
    assert changes.items == []


def test_the_file(tmp_path: Path) -> None:
    path = tmp_path / "changes.json"
    assert read_changes(path) == Changes()
    written = Changes(
        "/x/kssl.toml",
        [Change(ADD, A), Change(BIND, A, ADDRESS), Change(UNBIND, place=NAME), Change(DELETE, B)],
    )
    write_changes(path, written)
    assert read_changes(path) == written
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_bytes())["changes"] == [
        {"op": "add", "certhash": A},
        {"op": "bind", "ipport": "0.0.0.0:443", "certhash": A},
        {"op": "unbind", "hostnameport": "app.example:443"},
        {"op": "delete", "certhash": B},
    ]
    write_changes(path, Changes())
    assert not path.exists()


WRONG_CHANGES: list[dict[str, object]] = [
    {},
    {"op": "add"},
    {"op": []},
    {"op": "fly", "certhash": A},
    {"op": "add", "certhash": "../x"},
    {"op": "add", "certhash": A + "\n"},
    {"op": "add", "certhash": 1},
    {"op": "add", "ipport": "0.0.0.0:443", "certhash": A},
    {"op": "bind", "certhash": A},
    {"op": "bind", "ipport": "0.0.0.0:443"},
    {"op": "bind", "ipport": "x", "certhash": A},
    {"op": "unbind", "ipport": "0.0.0.0:443", "certhash": A},
]
WRONG = [
    b"",
    b"{",
    b"\xff",
    b"[]",
    b"1",
    b"null",
    b"{}",
    b"[" * 100_000,
    b'{"config": "", "changes": 1}',
    b'{"config": 1, "changes": []}',
    b'{"config": "", "changes": [1]}',
    *(json.dumps({"config": "", "changes": [change]}).encode() for change in WRONG_CHANGES),
]


@pytest.mark.parametrize("content", WRONG, ids=lambda content: repr(content[:60]))
def test_a_file_that_is_not_ours(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "changes.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"changes\.json is not what kssl wrote.*discard"):
        read_changes(path)
