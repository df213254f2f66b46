"""`kssl reg`, run in this process, and against the records of services."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kssl.config import running
from kssl.config.running import RunningService
from kssl.config.table import PARAMETERS
from kssl.proxy.cli import main
from tests.config.reg.support import EXPORT, EXPORTED, OUR_KEY, v5
from tests.proxy.cli.conftest import Kssl


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Reg = Callable[..., Outcome]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in list(os.environ):
        if variable.startswith("KSSL_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "kssl"


@pytest.fixture
def reg(state: Path, capsys: pytest.CaptureFixture[str]) -> Reg:
    """``kssl reg ARGUMENTS`` with `state` as state folder."""

    def run(*arguments: str) -> Outcome:
        code = main(["reg", *arguments])
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def toml(state: Path) -> Path:
    """The file that is meant without ``--config``."""
    state.mkdir(0o700)
    path = state / "kssl.toml"
    path.write_text("[parameters]\nMaxConnections = 2048 # many\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def processes() -> Iterator[Callable[..., int]]:
    """Processes that stand for services; ended afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**environment: str) -> int:
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PATH": "/bin", **environment},
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()  # it has its own environment now
        return process.pid

    yield start
    for process in started:
        process.communicate()


def runs(
    state: Path, pid: int, config: Path | str = "", profile: str = "native", *arguments: str,
    **parameters: int | str,
) -> None:  # fmt: skip
    """A service with `parameters` in force, the rest native defaults."""
    defaults = {row.name: row.default for row in PARAMETERS}
    record = RunningService(
        pid=pid, started=running.start_time(pid), arguments=["8000", *arguments], folder="/",
        config=str(config), profile=profile, mode="kernel", urls=[],
        parameters=defaults | parameters,
    )  # fmt: skip
    running.write_record(state, record)


def queried(outcome: Outcome) -> dict[str, dict[str, object]]:
    assert outcome.code == 0, outcome.err
    return {row["name"]: row for row in json.loads(outcome.out)}


# query


def test_query_json_is_the_contract(reg: Reg, toml: Path) -> None:
    rows = json.loads(reg("query", "--json").out)
    assert [row["name"] for row in rows] == [row.name for row in PARAMETERS]
    for row in rows:
        assert list(row) == [
            "name", "value", "default", "min", "max", "unit", "source", "pending",
        ]  # fmt: skip
    by_name = {row["name"]: row for row in rows}
    assert by_name["MaxConnections"] == {
        "name": "MaxConnections", "value": 2048, "default": 0, "min": 1024, "max": 2031616,
        "unit": "connections", "source": "file", "pending": None,
    }  # fmt: skip
    directory = by_name["ErrorLoggingDir"]
    assert (directory["value"], directory["min"], directory["max"]) == ("", None, None)


def test_query_shows_the_sources(reg: Reg, toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSSL_SET_USERMODEHOPS", "2")
    rows = queried(reg("query", "--json", "--set", "FavorUTF8=0"))
    expected = {
        "MaxConnections": "file",
        "UserModeHops": "environment",
        "FavorUTF8": "command line",
    }
    for name, row in rows.items():
        assert row["source"] == expected.get(name, "default")
    assert (rows["UserModeHops"]["value"], rows["FavorUTF8"]["value"]) == (2, 0)


def test_query_table(reg: Reg, toml: Path) -> None:
    lines = reg("query", "maxconnections", "ErrorLoggingDir").out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["NAME", "MaxConnections", "ErrorLoggingDir"]
    assert lines[0].split() == ["NAME", "VALUE", "DEFAULT", "RANGE", "SOURCE"]
    assert "0 (unlimited) or 1024-2031616 connections  file" in lines[1]
    assert '""' in lines[2]
    assert len(reg("query").out.splitlines()) == 1 + len(PARAMETERS)


def test_query_of_one_name_tells_all(reg: Reg, toml: Path) -> None:
    out = reg("query", "maxconnections").out
    assert out.startswith("MaxConnections\n  value    2048 (file)\n")
    for text in (
        "0 (unlimited) (profile native)",
        "on SIGHUP or at start",
        "  meaning ",
        "  risk ",
    ):
        assert text in out
    assert "applies  at start\n" in reg("query", "UserModeHops").out
    assert "applies  at start\n" in reg("query", "maxconnections", "--profile", "ws2008").out


def test_the_profile_decides_the_defaults(reg: Reg, toml: Path) -> None:
    def closes(*arguments: str) -> object:
        return queried(reg("query", "--json", *arguments))["EnableSslCloseNotify"]["default"]

    assert closes() == 1
    assert closes("--profile", "ws2008") == 0
    toml.write_text('profile = "ws2003sp1"\n')
    assert closes() == 0
    assert closes("--profile", "native") == 1


def test_query_makes_nothing(reg: Reg, state: Path) -> None:
    assert reg("query").code == 0
    assert not state.exists()


# query of a running service


def test_pending_values(reg: Reg, state: Path, toml: Path, processes: Callable[..., int]) -> None:
    runs(state, processes(), toml, MaxConnections=4096, UserModeHops=2)
    rows = queried(reg("query", "--json"))
    expected = {"MaxConnections": (4096, 2048, "file"), "UserModeHops": (2, 1, "file")}
    for name, row in rows.items():
        value, pending, source = expected.get(name, (row["default"], None, "default"))
        assert (row["value"], row["pending"], row["source"]) == (value, pending, source)
    assert reg("query").out.splitlines()[0].split()[-1] == "PENDING"
    assert "pending  2048, after a restart" in reg("query", "MaxConnections").out


def test_what_the_service_was_started_with_is_not_pending(
    reg: Reg, state: Path, toml: Path, processes: Callable[..., int]
) -> None:
    pid = processes(KSSL_SET_FAVORUTF8="0")
    arguments = ("--set", "MaxConnections=4096", "--set=UserModeHops=2", "--mode", "user")
    runs(state, pid, toml, "native", *arguments,
         MaxConnections=4096, UserModeHops=2, EnableKernelSSL=0, FavorUTF8=0)  # fmt: skip
    rows = queried(reg("query", "--json"))
    assert all(row["pending"] is None for row in rows.values())
    for name in ("MaxConnections", "UserModeHops", "EnableKernelSSL"):
        assert rows[name]["source"] == "command line"
    assert rows["FavorUTF8"]["source"] == "environment"


def test_services_with_another_file_do_not_count(
    reg: Reg, state: Path, toml: Path, tmp_path: Path, processes: Callable[..., int]
) -> None:
    other = tmp_path / "other.toml"
    other.write_text("")
    pid = processes()
    runs(state, pid, other, UserModeHops=2)
    assert queried(reg("query", "--json"))["UserModeHops"]["value"] == 1
    assert queried(reg("query", "--json", "--config", str(other)))["UserModeHops"]["value"] == 2
    assert queried(reg("query", "--json", "--pid", str(pid)))["UserModeHops"]["value"] == 2
    outcome = reg("query", "--pid", "1")
    assert (outcome.code, f"there is: {pid}" in outcome.err) == (2, True)


def test_of_several_services_the_newest_is_shown(
    reg: Reg, state: Path, toml: Path, processes: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    first, second = processes(), processes()
    # Both may start within one tick of the clock.
    ticks = {first: 100, second: 200}
    monkeypatch.setattr(running, "start_time", lambda pid: ticks.get(pid, 0))
    runs(state, first, toml, UserModeHops=2)
    runs(state, second, "", UserModeHops=1)  # from before there was a file
    outcome = reg("query", "--json")
    assert f"this is the newest, {second}; see --pid" in outcome.err
    assert queried(outcome)["UserModeHops"]["value"] == 1
    outcome = reg("query", "--json", "--pid", str(first))
    assert (queried(outcome)["UserModeHops"]["value"], outcome.err) == (2, "")


# set and delete


def test_set_makes_the_file_and_says_so(reg: Reg, state: Path) -> None:
    outcome = reg("set", "maxconnections", "0x1000")
    path = state / "kssl.toml"
    assert outcome == Outcome(0, f"MaxConnections: not set → 4096   ({path})\n", "")
    assert path.read_text() == "[parameters]\nMaxConnections = 4096\n"
    assert reg("add", "MaxConnections", "unlimited").out.startswith(
        "MaxConnections: 4096 → 0 (unlimited)"
    )


def test_set_the_same_again(reg: Reg, toml: Path) -> None:
    before = toml.stat().st_ino
    outcome = reg("set", "MaxConnections", "2048")
    assert outcome == Outcome(0, "MaxConnections is 2048 already; nothing changes\n", "")
    assert toml.stat().st_ino == before


def test_set_keeps_comments(reg: Reg, toml: Path) -> None:
    assert reg("set", "MaxConnections", "4096").code == 0
    assert toml.read_text() == "[parameters]\nMaxConnections = 4096 # many\n"


def test_set_leaves_what_is_said_of_upstreams(reg: Reg, toml: Path) -> None:
    site = (
        '\n[[site]]\nupstreams = ["https://a"]  # the app\nupstream_ca = "ca.pem"\n'
        'upstream_name = "b"\nupstream_truncation = "abort"  # safe\n'
    )
    toml.write_text(toml.read_text() + site)
    assert reg("set", "MaxConnections", "4096").code == 0
    assert reg("set", "UserModeHops", "2").code == 0
    parameters = "[parameters]\nMaxConnections = 4096 # many\n"
    assert toml.read_text() == f"{parameters}UserModeHops = 2\n{site}"
    assert reg("delete", "UserModeHops").code == 0
    assert toml.read_text() == parameters + site


def test_which_file_is_changed(
    reg: Reg, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSSL_CONFIG", str(tmp_path / "by-variable.toml"))
    assert reg("set", "UserModeHops", "2").code == 0
    assert reg("set", "UserModeHops", "1", "--config", str(tmp_path / "given.toml")).code == 0
    assert "= 2" in (tmp_path / "by-variable.toml").read_text()
    assert "= 1" in (tmp_path / "given.toml").read_text()
    assert not (state / "kssl.toml").exists()


def test_delete(reg: Reg, toml: Path) -> None:
    outcome = reg("delete", "MAXCONNECTIONS")
    assert outcome == Outcome(0, f"MaxConnections: 2048 → not set   ({toml})\n", "")
    assert toml.read_text() == "[parameters]\n"
    outcome = reg("delete", "MAXCONNECTIONS")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == f"kssl reg: MaxConnections is not set in {toml}; nothing to delete\n"


def test_when_a_change_takes_effect(
    reg: Reg, state: Path, toml: Path, processes: Callable[..., int]
) -> None:
    pid = processes()
    restart = f"service {pid} runs: takes effect after restart (kssl restart)\n"
    live = f"service {pid} runs: takes effect on SIGHUP (kill -HUP {pid}) or restart"
    runs(state, pid, toml)
    assert reg("set", "UserModeHops", "2").out.endswith(restart)
    assert live in reg("set", "MaxConnections", "4096").out
    assert live in reg("delete", "MaxConnections").out
    assert "service" not in reg("set", "UserModeHops", "2").out  # nothing changes
    runs(state, pid, toml, "ws2008")
    assert reg("set", "MaxConnections", "8192").out.endswith(restart)
    runs(state, pid, toml, "native", "--set", "MaxConnections=5000")
    outcome = reg("set", "MaxConnections", "9000")
    assert "takes effect" not in outcome.out
    assert f"service {pid} was started with another MaxConnections" in outcome.err


def test_the_environment_is_stronger(reg: Reg, toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSSL_SET_UserModeHops", "1")
    assert "$KSSL_SET_UserModeHops is stronger" in reg("set", "UserModeHops", "2").err


# import and export


def test_import_of_an_export_of_windows(reg: Reg, toml: Path) -> None:
    outcome = reg("import", str(EXPORT))
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert "MaxConnections: 2048 → 100000" in lines
    assert lines[-1] == f"10 set, 0 deleted, 0 unchanged, 20 ignored   ({toml})"
    assert f'kssl reg: {EXPORT}:21: "UriEnableCache" has no meaning here, ignored' in outcome.err
    rows = queried(reg("query", "--json"))
    assert {name: row["value"] for name, row in rows.items() if row["source"] == "file"} == EXPORTED
    assert "MaxConnections = 100000 # many" in toml.read_text()
    again = reg("import", str(EXPORT)).out
    assert again == f"0 set, 0 deleted, 10 unchanged, 20 ignored   ({toml})\n"


def test_dry_run_changes_nothing(reg: Reg, state: Path) -> None:
    outcome = reg("import", "--dry-run", str(EXPORT))
    assert outcome.out.splitlines()[-1].startswith("would be: 10 set, 0 deleted")
    assert not state.exists()


def test_import_deletes(reg: Reg, toml: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.reg"
    file.write_bytes(v5('"MaxConnections"=-', '"UserModeHops"=-'))
    outcome = reg("import", str(file))
    assert outcome.out == (
        "MaxConnections: 2048 → not set\n"
        f"0 set, 1 deleted, 1 unchanged, 0 ignored   ({toml})\n"
    )  # fmt: skip
    toml.write_text("[parameters]\nmaxconnections = 5 # wrong\nUserModeHops = 2\n")
    file.write_bytes(v5(OUR_KEY.replace("[", "[-"), OUR_KEY, '"UserModeHops"=dword:1'))
    assert "1 set, 1 deleted" in reg("import", str(file)).out
    assert toml.read_text() == "[parameters]\nUserModeHops = 1\n"


def test_all_problems_of_an_import_and_no_change(reg: Reg, toml: Path, tmp_path: Path) -> None:
    before = toml.read_text()
    file = tmp_path / "a.reg"
    file.write_bytes(v5('"UserModeHops"=dword:2', '"MaxConnections"=dword:5', '"FavorUTF8"="1"'))
    outcome = reg("import", str(file))
    assert (outcome.code, outcome.out) == (2, "")
    starts = [f"kssl: {file}:{line}: {name}: " for line, name in
              ((5, "MaxConnections"), (6, "FavorUTF8"))]  # fmt: skip
    assert len(outcome.err.splitlines()) == 2
    for line, start in zip(outcome.err.splitlines(), starts, strict=True):
        assert line.startswith(start)
    assert toml.read_text() == before


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8", "regedit4"])
def test_export_and_import(reg: Reg, toml: Path, tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.reg"
    reg("import", str(EXPORT))
    assert reg("export", str(file), "--encoding", encoding) == Outcome(0, "", "")
    toml.write_text("")
    assert reg("import", str(file)).code == 0
    rows = queried(reg("query", "--json"))
    assert {name: row["value"] for name, row in rows.items() if row["source"] == "file"} == EXPORTED


def test_export_does_not_replace_unless_told(reg: Reg, toml: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.reg"
    file.write_text("mine")
    outcome = reg("export", str(file))
    assert (outcome.code, outcome.err) == (2, f"kssl: {file} exists; --force replaces it\n")
    assert file.read_text() == "mine"
    assert reg("export", "--force", str(file)).code == 0
    assert file.read_bytes().startswith(b"\xff\xfe")


def test_standard_input_and_output(reg: Reg, toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = reg("export", "-", "--encoding", "utf-8").out
    assert '"MaxConnections"=dword:00000800' in out.splitlines()
    data = io.TextIOWrapper(io.BytesIO(v5('"MaxConnections"=dword:1000')))
    monkeypatch.setattr(sys, "stdin", data)
    assert "MaxConnections: 2048 → 4096" in reg("import", "-").out


# What goes wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("set", "MaxConection", "1"), "did you mean MaxConnections"),
        (("set", "MaxConnections", "-5"), "MaxConnections=-5: must be 0 (unlimited) or 1024-"),
        (("set", "MaxConnections", "many"), "not a number"),
        (("set", "ErrorLoggingDir", "x" * 261), "at most 260 characters"),
        (("set", "ErrorLoggingDir", "a\nb\udcff"), "must be a text"),
        (("delete", "Nothing"), "there is no parameter 'Nothing'"),
        (("query", "Nothing"), "there is no parameter 'Nothing'"),
        (("query", "--set", "UserModeHops"), "is not an assignment"),
        (("query", "--config", "/nonexistent/kssl.toml"), "there is no /nonexistent/kssl.toml"),
        (("delete", "UserModeHops", "--config", "/nonexistent/a.toml"), "there is no /nonexist"),
        (
            ("set", "UserModeHops", "2", "--config", "/nonexistent/kssl.toml"),
            "file, /nonexistent: No",
        ),
        (("import", "/nonexistent.reg"), "cannot read /nonexistent.reg: No such file"),
        (("import", "/"), "cannot read /: Is a directory"),
        (("import", "a\0b"), "cannot read a\\x00b: embedded null byte"),
        (("export", "/nonexistent/a.reg"), "cannot write /nonexistent/a.reg: No such file"),
    ],
)
def test_usage_errors(reg: Reg, toml: Path, arguments: tuple[str, ...], message: str) -> None:
    before = toml.read_bytes()
    outcome = reg(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("kssl: ")
    assert len(outcome.err.splitlines()) == 1
    assert message in outcome.err
    assert toml.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[parameters", "kssl.toml:1: not TOML"),
        (b"\xff", "not UTF-8"),
        (b"profile = 'xp'", "profile 'xp': must be one of native, ws2008, ws2003sp1"),
        (b"profile = 1", "profile: must be a text in quotes"),
        (b"[parameters]\nOther = 1\nUserModeHops = 7", "kssl.toml:2: parameters: there is no"),
    ],
)
def test_bad_files(reg: Reg, toml: Path, content: bytes, message: str) -> None:
    toml.write_bytes(content)
    outcome = reg("query")
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_all_problems_of_the_file_are_printed(reg: Reg, toml: Path) -> None:
    toml.write_text("[parameters]\nOther = 1\nUserModeHops = 7\n")
    for action in (("query",), ("export", "-")):
        assert len(reg(*action).err.splitlines()) == 2


def test_a_file_that_others_may_write_is_refused(reg: Reg, toml: Path) -> None:
    toml.chmod(0o666)
    for action in (("query",), ("set", "UserModeHops", "2"), ("import", str(EXPORT))):
        outcome = reg(*action)
        assert (outcome.code, "may be changed by everybody" in outcome.err) == (2, True)


def test_as_a_process(kssl: Kssl, tmp_path: Path) -> None:
    result = kssl("reg", "set", "UserModeHops", "2")
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "xdg" / "kssl" / "kssl.toml").exists()
    assert json.loads(kssl("reg", "query", "usermodehops", "--json").stdout)[0]["value"] == 2
    assert kssl("reg").returncode == 2
    assert kssl("reg", "delete", "FavorUTF8").returncode == 1
