"""kssl.config.running: records of services, and telling the living from the dead."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kssl.config.errors import ConfigError
from kssl.config.running import (
    FOLDER,
    RunningService,
    last_start,
    own_start_time,
    remove_record,
    running_services,
    start_time,
    write_last_start,
    write_record,
)

ME = RunningService(
    pid=os.getpid(),
    started=own_start_time(),
    arguments=["serve", "8000"],
    folder="/",
    config="",
    profile="native",
    mode="kernel",
    urls=["https://localhost:8443"],
    parameters={"EnableKernelSSL": 1, "ErrorLoggingDir": ""},
)


def test_a_record_is_found_and_removed(tmp_path: Path) -> None:
    assert running_services(tmp_path) == []
    write_record(tmp_path, ME)
    assert running_services(tmp_path) == [ME]
    assert (tmp_path / FOLDER / f"{ME.pid}.json").stat().st_mode & 0o777 == 0o600
    remove_record(tmp_path, ME.pid)
    remove_record(tmp_path, ME.pid)
    assert running_services(tmp_path) == []


def test_a_dead_process_is_not_running_nor_one_that_has_its_number(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        started = start_time(process.pid)
        assert started >= own_start_time()
        write_record(tmp_path, replace(ME, pid=process.pid, started=started))
        write_record(tmp_path, replace(ME, started=ME.started - 1))
        assert [each.pid for each in running_services(tmp_path)] == [process.pid]
    finally:
        process.kill()
        process.communicate()
    assert start_time(process.pid) == 0
    assert running_services(tmp_path) == []
    assert list((tmp_path / FOLDER).iterdir()) == []  # nothing is left of them


def test_a_zombie_does_not_run() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert start_time(process.pid) == 0
    process.wait()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"unknown": 1}', "null"])
def test_a_record_that_is_not_ours_is_named(tmp_path: Path, content: str) -> None:
    write_record(tmp_path, ME)
    (tmp_path / FOLDER / f"{ME.pid}.json").write_text(content)
    with pytest.raises(ConfigError, match=r"\.json is not a record of kssl's; remove it"):
        running_services(tmp_path)


@pytest.mark.parametrize("profile", ["ws2012", "", None, ["native"]])
def test_a_record_with_a_profile_that_does_not_exist_is_not_ours(
    tmp_path: Path, profile: object
) -> None:
    write_record(tmp_path, replace(ME, profile=profile))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"\.json is not a record of kssl's; remove it"):
        running_services(tmp_path)


def test_the_last_start_is_kept(tmp_path: Path) -> None:
    assert last_start(tmp_path) is None
    write_last_start(tmp_path, ["serve", "8000", "--set", "a=b c"], "/srv")
    assert last_start(tmp_path) == (["serve", "8000", "--set", "a=b c"], Path("/srv"))
    (tmp_path / FOLDER / "last-start").write_text("nonsense")
    assert last_start(tmp_path) is None
