"""A process that runs `kssl` ends with what `main` returns, and says the same.

The other tests of the command line mostly run `main` within their own process.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proxy.cli.conftest import Files
from tests.proxy.cli.inside import run_inside

ROOT = Path(__file__).parents[3]

# The exit code, and the words behind `kssl`.
COMMANDS = """
0 --help
0 --version
2
2 fly
2 --fly
2 --fly serve 1
2 serv 1
2 serve 1 --mode x
2 serve 1 --listen nowhere
2 serve localhost:none
2 serve --config none.toml
2 serve 1 --set Unknown=1
2 serve 1 --key pem/key
2 start --fly
1 restart
1 stop
2 stop --pid x
1 status
1 status --json
1 status --pid 1
0 check 1 --json
2 check 1 --profile windows
1 check localhost:none
1 check 1 --cert pem/cert --key pem/other_key
0 reg query
0 reg query --json
0 reg query MaxConnections
2 reg query Unknown
0 reg set MaxConnections 2048
2 reg set MaxConnections 1
1 reg delete MaxConnections
2 reg import none.reg
2 reg import -
0 reg export -
2 reg
0 cert list
0 cert list --json
2 cert show ab
2 cert show
2 cert add none.pem
2 cert add pem/cert --key pem/other_key
0 cert add pem/both
0 cert commit
0 cert discard
2 cert bind ipport=*:443 certhash=ab
0 cert test pem/cert --ca pem/ca --no-usage-check --at 2030-01-01
1 cert test pem/cert --at 2030-01-01
2 cert test none.pem
2 cert test pem/cert --at never
0 demo --help
2 demo --listen nowhere
2 demo truncation --mode x
0 trace --help
2 trace nowhere
0 bench --help
2 bench --fly
0 engines
0 engines --json
0 ca path
0 ca path --json
2 ca
""".strip().splitlines()


@pytest.fixture
def folders(files: Files, tmp_path: Path) -> list[Path]:
    """Two with the same content."""
    made = [tmp_path / name for name in ("one", "two")]
    for folder in made:
        shutil.copytree(files.ca.parent, folder / "pem")
    return made


def variables(folder: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "90"}


def as_a_process(arguments: list[str], folder: Path) -> tuple[int, str, str]:
    result = subprocess.run(
        [sys.executable, "-m", "kssl.proxy", *arguments], stdin=subprocess.DEVNULL,
         capture_output=True,
        cwd=folder, env=variables(folder) | {"PYTHONPATH": str(ROOT / "src")}, timeout=120,
    )  # fmt: skip
    out, err = (data.decode(errors="surrogateescape") for data in (result.stdout, result.stderr))
    return result.returncode, out, err


@pytest.mark.parametrize("line", COMMANDS)
def test_as_a_process(line: str, folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    code, *arguments = line.split()
    process, inside = folders
    monkeypatch.chdir(inside)
    result = run_inside(tuple(arguments), variables(inside))
    told = [result.returncode, result.stdout, result.stderr]
    expected = as_a_process(arguments, process)
    assert told == [
        text.replace(str(process), str(inside)) if isinstance(text, str) else text
        for text in expected
    ]
    assert told[0] == int(code)
    assert "Traceback" not in expected[2]
