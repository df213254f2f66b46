"""Descriptors 0, 1 and 2 are there, whatever the process was started with."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from tests.fastpath.logs.programs import PYTHON, run_in_shell

_PROGRAM = """
import os, sys
from kssl.fastpath.logs.standard import open_missing
open_missing()
with open(sys.argv[1], "w") as file:
    for fd in (0, 1, 2):
        print(fd, os.readlink(f"/proc/self/fd/{fd}"), os.get_inheritable(fd), file=file)
    print(file.fileno(), file=file)
print("out", flush=True)
print("error", file=sys.stderr)
assert sys.stdin.read() == ""
"""

CLOSED = [
    " ".join(each)
    for number in (1, 2, 3)
    for each in itertools.combinations(("<&-", ">&-", "2>&-"), number)
]


@pytest.mark.parametrize("redirections", CLOSED)
def test_what_was_closed_is_dev_null(tmp_path: Path, redirections: str) -> None:
    path = tmp_path / "told"
    closed = {"<&-": 0, ">&-": 1, "2>&-": 2}
    missing = {closed[each] for each in redirections.split()}
    if 0 not in missing:
        redirections += " </dev/null"
    if 2 not in missing:
        redirections += " 2>/dev/zero"
    result = run_in_shell(redirections, [*PYTHON, _PROGRAM, str(path)])
    assert result.returncode == 0
    assert result.stdout == (b"" if 1 in missing else b"out\n")
    *lines, other = path.read_text().splitlines()
    told = [line.split() for line in lines]
    assert [each[2] for each in told] == ["True"] * 3
    for fd in missing:
        assert told[fd][1] == os.devnull
    if 2 not in missing:
        assert told[2][1] == "/dev/zero"
    assert int(other) > 2
