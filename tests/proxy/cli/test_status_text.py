"""What `kssl status` says for people."""

from __future__ import annotations

from typing import Any

from kssl.fastpath.net.closing import End, Ending
from kssl.proxy.cli.status_text import status_text
from kssl.proxy.journal.closes import Closes


def document(**other: Any) -> dict[str, Any]:
    closes = Closes()
    for _ in range(12):
        closes.client_ended(Ending(End.CLOSE_NOTIFY, End.CLOSE_NOTIFY))
    closes.client_ended(Ending(End.FIN, End.RESET))
    closes.upstream_ended(Ending(End.ALERT, End.NONE))
    closes.unclean += 1
    return {
        "pid": 12,
        "mode": "kernel",
        "engine": "aead",
        "profile": "native",
        "urls": ["https://a.example", "http://a.example"],
        "started": "2026-11-21T16:30:00+00:00",
        "state": "serving",
        "waits_for": None,
        "connections": {"open": 3, "closing": 1},
        "capacity": {
            "files": {"used": 5, "limit": 900},
            "memory": {"used": 3 << 20, "limit": 64 << 20, "cut": 2},
        },
        "tasks": 5,
        "workers": [{"pid": 13, "restarts": 1, "connections": 3, "handshakes": 1}],
        "verifier": {"pid": 14, "restarts": 0, "questions": 1},
        "upstreams": [{"target": "http://127.0.0.1:8000", "idle": 1, "uncertain": 2}],
        "closes": closes.to_json(),
        "logs": {
            "lost": {"access": 0, "errors": 0, "messages": 0},
            "left_out": {"errors": {}, "messages": {}},
        },
        "parameters": {"EnableSslCloseNotify": 1},
        **other,
    }


def test_all_of_it() -> None:
    assert "\n".join(status_text(document())) == (
        """\
https://a.example, http://a.example (process 12, kernel mode)
  engine            aead, profile native
  started           2026-11-21T16:30:00+00:00
  connections       3 open, 1 closing
  descriptors       5 of 900
  memory            3 of 64 MiB, 2 connections cut for want of it
  worker            process 13: 3 connections, 1 of them in the handshake; restarted 1 time
  verifier          process 14: 1 question; restarted 0 times
  upstream          http://127.0.0.1:8000: 1 connection kept for the next request
                    2 requests met a kept connection as the app closed it

  TLS ended by        close_notify           fin         reset         alert          none
  from clients                  12             1             0             0             0
  to clients                    12             0             1             0             0
  from upstreams                 0             0             0             1             0
  to upstreams                   0             0             0             0             1

  1 connection of clients without their close_notify (EnableSslCloseNotify=1)
  0 answers of upstreams refused as truncated
  0 connections of clients without a request"""
    )


def test_workers_that_do_not_count() -> None:
    nothing = {"restarts": 2, "connections": None, "handshakes": None}
    workers = [{"pid": None, **nothing}, {"pid": 14, **nothing}]
    lines = [line for line in status_text(document(workers=workers)) if "worker" in line]
    assert lines == [
        "  worker            died, and another is not up yet; restarted 2 times",
        "  worker            process 14 does not answer; restarted 2 times",
    ]


def test_what_a_restarted_worker_could_not_load() -> None:
    worker = {"pid": 14, "restarts": 1, "connections": 0, "handshakes": 0}
    problems = ["app.pem, line 1: this certificate is damaged; copy it again"]
    lines = list(status_text(document(workers=[worker | {"problems": problems}])))
    assert f"    not served      {problems[0]}" in lines


def test_upstreams() -> None:
    well = {"idle": 0, "addresses": ["127.0.0.1"], "failures": 0, "paused": None, "unknown": ""}
    upstreams = [
        {"target": "http://127.0.0.1:8000", **well},
        {"target": "http://localhost:8000", **well, "addresses": ["127.0.0.1", "::1"]},
        {"target": "http://a:80", **well, "addresses": [], "unknown": "no such name"},
        {"target": "http://127.0.0.1:8001", **well, "failures": 3, "paused": 3.5},
        {"target": "http://127.0.0.1:8002", **well, "failures": 1, "paused": 0.0},
    ]
    lines = [line for line in status_text(document(upstreams=upstreams)) if "  upstream" in line]
    kept = "0 connections kept for the next request"
    assert [line.split(None, 1)[1] for line in lines] == [
        f"http://127.0.0.1:8000: {kept}",
        f"http://localhost:8000: {kept}; at 127.0.0.1, ::1",
        f"http://a:80: {kept}; no such name",
        f"http://127.0.0.1:8001: {kept}; failed 3 times in a row, paused for 3.5 s",
        f"http://127.0.0.1:8002: {kept}; failed 1 time in a row, to be tried again",
    ]


def test_verifiers() -> None:
    def line(**verifier: int | None) -> list[str]:
        told = document(verifier={"restarts": 2, **verifier} if verifier else None)
        return [each.strip() for each in status_text(told) if "verifier" in each]

    assert line(pid=12, questions=0) == [
        "verifier          process 12: 0 questions; restarted 2 times"
    ]
    assert line(pid=12, questions=None) == [
        "verifier          process 12 does not answer; restarted 2 times"
    ]
    assert line(pid=None, questions=None) == [
        "verifier          died, and another is not up yet; restarted 2 times"
    ]
    assert line() == []


def test_lines_that_are_not_in_the_logs() -> None:
    logs = {
        "lost": {"access": 3, "errors": 0, "messages": 4},
        "left_out": {"errors": {"Unclean_Close": 5, "Handshake": 6}, "messages": {}},
    }
    assert [line for line in status_text(document(logs=logs)) if "lines" in line] == [
        "  lines lost        access log: 3 could not be written",
        "  lines lost        standard error: 4 could not be written",
        "  lines left out    HTTPERR log: 6 Handshake, 5 Unclean_Close",
    ]


def test_a_service_that_does_not_answer() -> None:
    known = {"pid": 12, "mode": "user", "urls": ["https://a.example"], "error": "it hangs"}
    assert list(status_text(known)) == [
        "https://a.example (process 12, user mode)",
        "  it hangs",
    ]


def test_every_end_has_a_column() -> None:
    head = next(line for line in status_text(document()) if "ended by" in line)
    assert sorted(head.split()[3:]) == sorted(end.value for end in End)
