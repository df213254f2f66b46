"""Records and events, as plays: a request's life in, lines and numbers out. No socket, no loop."""

from __future__ import annotations

import io
import logging
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from kssl.config.model import Binding, Site
from kssl.config.target import Listen, Target
from kssl.proxy.http.messages import Fields, RequestHead
from kssl.proxy.journal.accesslog import AccessLog
from kssl.proxy.journal.closes import Closes
from kssl.proxy.journal.httperr import ErrorLog
from kssl.proxy.journal.journal import Journal
from kssl.proxy.journal.record import PROBE, ConnectionEvent, ConnectionInfo, RequestRecord

SITE = Site(
    name="app",
    bindings=(Binding(Listen("127.0.0.1", 443)),),
    upstreams=(Target("http", "127.0.0.1", 8000),),
    number=7,
)
CLIENT, LOCAL = ("192.0.2.7", 50122), ("192.0.2.1", 443)
CONNECTION = ConnectionInfo(CLIENT, LOCAL, b"192.0.2.7", b"TLSv1.3 AES kernel")
FIELDS = [(b"referer", b"Referer", b"https://a/"), (b"user-agent", b"User-Agent", b"curl")]


def head(method: bytes = b"GET", target: bytes = b"/x") -> RequestHead:
    return RequestHead(
        method,
        target,
        b"1.1",
        Fields(list(FIELDS)),
        b"app",
        None,
        chunked=False,
        keep_alive=True,
        upgrade=None,
        expect_continue=False,
        connection_options=frozenset(),
    )


class Lines(ErrorLog):
    """An HTTPERR log that keeps its lines, as they are given."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, **line: Any) -> None:
        self.lines.append(line)


class Turn:
    """Of a loop: what is to be called at its end is called at once."""

    def call_soon(self, function: Callable[[], object]) -> None:
        function()


@dataclass
class Seen:
    """A sink that keeps what it gets."""

    every: bool = True
    records: list[RequestRecord] = field(default_factory=list)
    events: list[ConnectionEvent] = field(default_factory=list)

    def finished(self, record: RequestRecord) -> None:
        self.records.append(record)

    def happened(self, event: ConnectionEvent) -> None:
        self.events.append(event)


class Stage:
    """A journal with all its logs; ``access`` False: the access log is off."""

    def __init__(self, *, access: bool = True, every: bool = True) -> None:
        self.stream = io.BytesIO()
        loop = cast(AbstractEventLoop, Turn())
        self.errors, self.seen = Lines(), Seen(every)
        log = AccessLog(loop, self.stream if access else None)
        self.journal = Journal(log, self.errors, Closes(), self.seen)

    def record(self, request: RequestHead | bytes) -> RequestRecord:
        return RequestRecord(self.journal, CONNECTION, SITE, request)

    @property
    def lines(self) -> list[str]:
        """Of the access log, without its dates."""
        lines = self.stream.getvalue().decode().splitlines()
        return [line[: line.index("[")] + line[line.index("] ") + 2 :] for line in lines]

    @property
    def errors_told(self) -> list[tuple[str, int, bytes, bytes]]:
        return [
            (line["reason"], line["status"], line["method"], line["uri"])
            for line in self.errors.lines
        ]


@pytest.fixture
def stage() -> Stage:
    return Stage()


# -- records -------------------------------------------------------------------------------


def test_an_answered_request(stage: Stage) -> None:
    record = stage.record(head())
    record.sent += 500
    record.sent += 12
    seen = [record.finished]
    record.finish(200)
    assert [*seen, record.finished] == [False, True]
    assert stage.lines == [
        '192.0.2.7 - - "GET /x HTTP/1.1" 200 512 "https://a/" "curl" TLSv1.3 AES kernel'
    ]
    assert stage.errors_told == []
    assert stage.seen.records == [record]


def test_a_failed_one_is_in_both_logs(stage: Stage) -> None:
    record = stage.record(head(b"POST", b"/y"))
    record.sent = 9
    record.finish(502, "Upstream")
    assert [line.split(" TLS")[0] for line in stage.lines] == [
        '192.0.2.7 - - "POST /y HTTP/1.1" 502 9 "https://a/" "curl"'
    ]
    assert stage.errors.lines == [
        {
            "client": CLIENT,
            "server": LOCAL,
            "version": b"HTTP/1.1",
            "method": b"POST",
            "uri": b"/y",
            "status": 502,
            "site": 7,
            "reason": "Upstream",
            "queue": "app",
        }
    ]


def test_a_client_that_left_got_no_status(stage: Stage) -> None:
    stage.record(head()).finish(0, "Client_Reset")
    assert '"GET /x HTTP/1.1" 499 0 ' in stage.lines[0]
    assert stage.errors_told == [("Client_Reset", 0, b"GET", b"/x")]


def test_a_refused_one_has_its_line_as_it_came_and_no_fields(stage: Stage) -> None:
    record = stage.record(b"GET http://a/b HTTP/1.1")
    record.sent = 3
    record.finish(400, "Header")
    assert '"GET http://a/b HTTP/1.1" 400 3 "-" "-" ' in stage.lines[0]
    assert stage.errors_told == [("Header", 400, b"GET", b"http://a/b")]


@pytest.mark.parametrize(
    ("line", "method", "uri"),
    [(b"", b"", b""), (b"GET", b"GET", b""), (b"GET /par", b"GET", b"/par")],
)
def test_a_head_in_part_is_in_the_error_log_alone(
    stage: Stage, line: bytes, method: bytes, uri: bytes
) -> None:
    stage.record(line).finish(0, "Connection_Dropped")
    assert stage.lines == []
    assert stage.errors_told == [("Connection_Dropped", 0, method, uri)]
    assert len(stage.seen.records) == 1


def test_the_line_alone_is_kept(stage: Stage) -> None:
    record = stage.record(head())
    record.keep_line()
    assert record.request == b"GET /x HTTP/1.1"
    record.keep_line()
    assert record.line == b"GET /x HTTP/1.1"
    record.finish(101)
    assert '"GET /x HTTP/1.1" 101 0 "-" "-" ' in stage.lines[0]


@pytest.mark.parametrize("first", ["", "Upstream"])
@pytest.mark.parametrize("access", [True, False])
def test_a_second_finish_changes_nothing_and_is_told(
    first: str, access: bool, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(access=access)
    record = stage.record(head())
    record.finish(200, first)
    lines = stage.lines, list(stage.errors.lines)
    with caplog.at_level(logging.ERROR):
        record.finish(0, "Client_Reset")
    assert (record.status, record.reason) == (200, first)
    assert (stage.lines, stage.errors.lines) == lines
    assert stage.seen.records == [record]
    assert "is finished again" in caplog.text
    assert caplog.records[0].stack_info


# -- who gets what -------------------------------------------------------------------------


def test_without_a_log_of_all_requests_only_failures_are_handed_on() -> None:
    stage = Stage(access=False, every=False)
    assert not stage.journal.every
    stage.record(head()).finish(200)
    assert stage.seen.records == []
    stage.record(head()).finish(502, "Upstream")
    assert [record.status for record in stage.seen.records] == [502]
    assert len(stage.errors.lines) == 1


def test_a_sink_that_wants_failures_alone_gets_no_others() -> None:
    stage = Stage(every=False)
    stage.record(head()).finish(200)
    assert stage.seen.records == []
    assert len(stage.lines) == 1


def test_an_access_log_that_is_reopened_is_heard_of() -> None:
    stage = Stage(access=False, every=False)
    stage.journal.reopen_access_log(stage.stream)
    stage.record(head()).finish(200)
    assert len(stage.lines) == 1
    stage.journal.reopen_access_log(None)
    assert not stage.journal.every
    stage.record(head()).finish(200)
    assert len(stage.lines) == 1


# -- events --------------------------------------------------------------------------------


def test_an_event_is_in_the_error_log(stage: Stage) -> None:
    event = ConnectionEvent(CONNECTION, "Timer_ConnectionIdle", SITE)
    stage.journal.happened(event)
    assert stage.seen.events == [event]
    [line] = stage.errors.lines
    assert (line["client"], line["server"], line["site"]) == (CLIENT, LOCAL, 7)
    assert stage.errors_told == [("Timer_ConnectionIdle", 0, b"", b"")]
    assert stage.lines == []


def test_an_event_may_quote_what_came(stage: Stage) -> None:
    event = ConnectionEvent(CONNECTION, "BadRequest", line=b"GET / HTTP/1.1", status=400)
    stage.journal.happened(event)
    assert stage.errors_told == [("BadRequest", 400, b"GET", b"/")]
    assert stage.lines == []


@pytest.mark.parametrize(
    "event",
    [ConnectionEvent(CONNECTION, PROBE), ConnectionEvent(CONNECTION, "Unclean_Close", quiet=True)],
    ids=["probe", "quiet"],
)
def test_some_are_counted_and_have_no_line(stage: Stage, event: ConnectionEvent) -> None:
    stage.journal.happened(event)
    assert stage.errors.lines == []
    closes = stage.journal.closes
    assert (closes.probes, closes.unclean) == ((1, 0) if event.reason == PROBE else (0, 1))
