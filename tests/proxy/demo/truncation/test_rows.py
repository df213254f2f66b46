"""Verdicts, and what the protocol promises to whom."""

from __future__ import annotations

import pytest

from kssl.proxy.demo.truncation.app import FIRST, WHOLE
from kssl.proxy.demo.truncation.clients import Outcome
from kssl.proxy.demo.truncation.orders import CLIENT, EXECUTED, FULL, NOT_EXECUTED, RESUMES
from kssl.proxy.demo.truncation.rows import (
    GUARD,
    OFF,
    ON,
    OWN,
    PASS,
    Row,
    believes,
    verdict,
    who_checks,
)
from kssl.proxy.demo.truncation.run import Result
from tests.proxy.demo.truncation.sample import result, row
from tests.strict_tls import python_notices


@pytest.mark.parametrize(
    ("outcome", "attacked", "wanted"),
    [
        (Outcome(WHOLE), False, "whole"),
        (Outcome(WHOLE), True, "whole"),
        (Outcome(WHOLE, "eof"), False, "false alarm"),
        (Outcome(FIRST, "eof"), True, "noticed"),
        (Outcome("", "eof"), True, "noticed"),
        (Outcome(FIRST), True, "FOOLED"),
        (Outcome(""), True, "FOOLED"),
        (Outcome(FIRST), False, "FOOLED"),
    ],
)
def test_verdict(outcome: Outcome, attacked: bool, wanted: str) -> None:
    assert verdict(outcome, attacked=attacked) == wanted


def test_believes() -> None:
    assert believes(Outcome(FIRST)) == f'"{FIRST}"'
    assert believes(Outcome(FIRST, "exit 18")) == "nothing (exit 18)"


def test_who_checks_is_seen() -> None:
    rows = result().rows
    assert who_checks(rows) == {"python strict"}
    assert who_checks(one for one in rows if one.setting == ON) == frozenset()


@pytest.mark.parametrize(
    ("setting", "client", "honest", "attacked", "fine"),
    [
        # Without close_notify a check can only refuse everything.
        (OFF, "python strict", "false alarm", "noticed", True),
        (OFF, "python strict", "false alarm", "FOOLED", False),
        (OFF, "naive", "whole", "FOOLED", True),
        (OFF, "http.client", "whole", "noticed", True),
        (OFF, "http.client", "false alarm", "noticed", False),
        # With it the check is worth something, and costs nothing.
        (ON, "python strict", "whole", "noticed", True),
        (ON, "python strict", "whole", "FOOLED", False),
        (ON, "python strict", "false alarm", "noticed", False),
        (ON, "naive", "whole", "FOOLED", True),
        (ON, "naive", "false alarm", "noticed", False),
        (PASS, "python strict", "whole", "FOOLED", True),
        (PASS, "http.client", "whole", "noticed", False),
        (GUARD, "python strict", "whole", "noticed", True),
        (GUARD, "naive", "whole", "FOOLED", False),
        (GUARD, "http.client", "whole", "FOOLED", False),
        (GUARD, "http.client", "false alarm", "noticed", False),
        (GUARD, "python ssl", "whole", "FOOLED", True),  # hears no reset
        (GUARD, "python ssl", "whole", "noticed", True),
        (ON, "http.client", "whole", "whole", False),  # the attack has come to nothing
    ],
)
def test_what_is_promised(
    setting: str, client: str, honest: str, attacked: str, fine: bool
) -> None:
    assert row(setting, client, honest, attacked).as_expected is fine


def test_nobody_promises_anything_for_nginx() -> None:
    assert row(OWN, "python strict", "whole", "FOOLED", proxy="nginx").as_expected


def test_exit_status() -> None:
    assert result().exit_status == 0
    assert Result([]).exit_status == 1
    failed = result()
    failed.failed.append("a scene")
    assert failed.exit_status == 1
    differs = result()
    differs.rows.append(row(ON, "python strict", "whole", "FOOLED"))
    assert differs.exit_status == 1
    assert [one.where for one in differs.differs] == [
        "reply: kssl kernel mode, EnableSslCloseNotify=1, python strict"
    ]


def test_both_scenes_were_played(played: Result) -> None:
    """End to end, with a real proxy and the clients that Python has."""
    assert played.failed == []
    assert played.differs == []
    assert played.exit_status == 0
    names = {"http.client", "python ssl", "python strict", "naive"}
    for mode in ("user", "kernel"):
        for setting in (OFF, ON):
            rows = [one for one in played.rows if (one.mode, one.setting) == (mode, setting)]
            assert {one.client for one in rows if one.scene == "reply"} == names
            assert [one.client for one in rows if one.scene == "request"] == [CLIENT]
    assert who_checks(played.rows) == ({"python strict"} if python_notices() else set())


@pytest.mark.parametrize(
    ("setting", "client", "honest", "attacked"),
    [
        (OFF, "naive", "whole", "FOOLED"),
        (OFF, "python strict", "false alarm", "noticed"),
        (ON, "naive", "whole", "FOOLED"),
        (ON, "python strict", "whole", "noticed"),
        (ON, "http.client", "whole", "noticed"),
        (OFF, CLIENT, f"{EXECUTED}, {RESUMES}", f"{NOT_EXECUTED}, {RESUMES}"),
        (ON, CLIENT, f"{EXECUTED}, {RESUMES}", f"{NOT_EXECUTED}, {FULL}"),
    ],
)
def test_what_came_out(
    played: Result, setting: str, client: str, honest: str, attacked: str
) -> None:
    found: list[Row] = [
        one for one in played.rows if (one.setting, one.client) == (setting, client)
    ]
    assert len(found) == 2
    if client == "python strict" and not python_notices():
        honest, attacked = "whole", "FOOLED"  # takes FIN for close_notify, strict or not
    assert {(one.honest, one.attacked) for one in found} == {(honest, attacked)}
