"""Every parameter's default, its bounds, and what is refused: by --set, in kssl.toml, and from a
registration file; and services that run at the bounds."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kssl.config.document.read import Request, read_configuration
from kssl.config.errors import ProblemsError
from kssl.config.parameter import Parameter, Profile, Value
from kssl.config.parameters import Parameters
from kssl.config.table import PARAMETERS
from kssl.config.target import parse_target
from kssl.proxy.cli import build_parser, main
from kssl.proxy.cli.options import configuration
from tests.config.reg.support import v5
from tests.config.test_parameters import EXPECTED, WINDOWS
from tests.proxy.effects.service import Services, as_toml

each_row = pytest.mark.parametrize("row", PARAMETERS, ids=lambda row: row.name)


@dataclass
class Place:
    """A state folder, and what was said about the last value."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    @property
    def toml(self) -> Path:
        return self.folder / "kssl.toml"

    def read(self) -> Parameters:
        return read_configuration(
            Request(path=self.toml, state_dir=self.folder, target=parse_target("8000"))
        ).parameters

    def write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        path.chmod(0o600)


@pytest.fixture
def place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Place:
    for variable in list(os.environ):
        if variable.startswith("KSSL_"):
            monkeypatch.delenv(variable)
    folder = tmp_path / "state"
    folder.mkdir(0o700)
    return Place(folder, capsys)


Take = Callable[[Place, Parameter, Value], "Parameters | str"]


def by_set(place: Place, row: Parameter, value: Value) -> Parameters | str:
    """`kssl serve --set`: the values in force, or what stands on stderr."""
    arguments = ["serve", "8000", "--state-dir", str(place.folder), "--set", f"{row.name}={value}"]
    if not row.allows(value):
        assert main(arguments) == 2  # before anything is started
        return place.capture.readouterr().err
    return configuration(
        build_parser().parse_args(arguments), parse_target("8000"), None
    ).parameters


def by_toml(place: Place, row: Parameter, value: Value) -> Parameters | str:
    place.write(place.toml, as_toml({row.name: value}).encode())
    try:
        return place.read()
    except ProblemsError as error:
        (problem,) = error.problems
        assert (problem.line, problem.key) == (2, f"parameters.{row.name}")
        return str(problem)


def by_reg(place: Place, row: Parameter, value: Value) -> Parameters | str:
    """Imported into kssl.toml, which is then read."""
    data = f'"{value}"' if isinstance(value, str) else f"dword:{value:08x}"
    path = place.folder / "one.reg"
    place.write(path, v5(f'"{row.name}"={data}'))
    place.toml.unlink(missing_ok=True)
    code = main(["reg", "import", str(path), "--state-dir", str(place.folder)])
    told = place.capture.readouterr().err
    if code:
        assert f"{path}:4: " in told
        assert not place.toml.exists()
        return told
    return place.read()


each_way = pytest.mark.parametrize("take", [by_set, by_toml, by_reg], ids=lambda way: way.__name__)


def bounds(row: Parameter) -> list[Value]:
    """The least and the most; the least of numbers is 0 where that has a meaning of its own."""
    if row.words:
        return [*row.words]
    if row.is_text:
        return ["", "/" + "a" * (row.maximum - 1)]
    _, minimum, maximum = EXPECTED[row.name]
    return [minimum, maximum, *([0] if row.zero else [])]


def outside(row: Parameter) -> list[Value]:
    """What a DWORD or a text can hold, and the parameter not."""
    if row.is_text:
        return ["a" * (row.maximum + 1)]
    _, minimum, maximum = EXPECTED[row.name]
    candidates = (minimum - 1, maximum + 1, 0xFFFFFFFF)
    return [
        value for value in candidates
        if 0 <= value <= 0xFFFFFFFF and not minimum <= value <= maximum
        and not (value == 0 and row.zero)
    ]  # fmt: skip


@each_row
@each_way
def test_bounds_are_taken(place: Place, row: Parameter, take: Take) -> None:
    for value in bounds(row):
        taken = take(place, row, value)
        assert isinstance(taken, Parameters), taken
        # No field can be longer than the whole header.
        most = taken.max_request_bytes if row.name == "MaxFieldLength" else value
        assert taken.by_name[row.name] == (most if value == row.maximum else value)


@each_row
@each_way
def test_outside_is_refused(place: Place, row: Parameter, take: Take) -> None:
    """With the name, the value and the range, in one line."""
    values = outside(row)
    assert values or row.maximum == 0xFFFFFFFF
    for value in values:
        told = take(place, row, value)
        assert isinstance(told, str), told
        assert told.count("\n") <= 1
        beginning = str(value)[:40]  # of a long text no more is shown
        assert re.search(rf"{row.name}(=|: '?){beginning}", told)
        assert row.range_text in told
        assert row.words or str(row.maximum) in told


@each_row
def test_the_wrong_type_is_refused(place: Place, row: Parameter) -> None:
    for take in (by_toml, by_reg):
        told = take(place, row, 1 if row.is_text else "1")
        assert isinstance(told, str)
        assert row.name in told


# -- services ----------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", list(Profile))
def test_defaults_of_a_service(profile: Profile, services: Services) -> None:
    wanted: dict[str, Value] = {name: default for name, (default, _, _) in EXPECTED.items()}
    for name, (ws2003sp1, ws2008) in WINDOWS.items():
        if profile is not Profile.NATIVE:
            wanted[name] = ws2003sp1 if profile is Profile.WS2003SP1 else ws2008
    with services.start(profile) as service:
        assert service.record.parameters == wanted
        assert service.record.mode == ("user" if profile is Profile.WS2003SP1 else "kernel")
        service.passes(b"/")


@pytest.mark.parametrize("which", [0, 1], ids=["minimum", "maximum"])
def test_a_service_at_its_bounds(which: int, services: Services, tmp_path: Path) -> None:
    """Everything at once; answers still arrive whole."""
    values: dict[str, Value] = {row.name: bounds(row)[which] for row in PARAMETERS}
    if which:
        values["ErrorLoggingDir"] = f"{tmp_path}/".ljust(260, "a")
    with services.start(**values) as service, service.client() as client:
        assert service.record.parameters == values
        assert client.ask(b"GET", b"/bytes/5000").body == bytes(5000)
