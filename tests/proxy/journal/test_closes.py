"""What is counted of the ends of connections."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from kssl.fastpath.net.closing import End, Ending
from kssl.proxy.journal.closes import Closes
from kssl.proxy.journal.record import PROBE, ConnectionEvent, ConnectionInfo, RequestRecord

CONNECTION = ConnectionInfo(("192.0.2.7", 50122), ("192.0.2.1", 443))
NOTHING = {"close_notify": 0, "alert": 0, "fin": 0, "reset": 0, "none": 0}


class Nobody:
    """A journal without logs."""

    every: tuple[()] = ()

    def finished(self, record: RequestRecord) -> None: ...


def test_nothing_yet() -> None:
    assert Closes().to_json() == {
        "client": {"received": NOTHING, "sent": NOTHING},
        "upstream": {"received": NOTHING, "sent": NOTHING},
        "unclean_close": 0,
        "upstream_truncated": 0,
        "without_request": 0,
    }


@pytest.mark.parametrize("received", End)
@pytest.mark.parametrize("sent", End)
def test_each_end_in_its_place(received: End, sent: End) -> None:
    closes = Closes()
    closes.client_ended(Ending(received, sent))
    for _ in range(2):
        closes.upstream_ended(Ending(sent, received))
    assert closes.to_json() == {
        "client": {
            "received": NOTHING | {received.value: 1},
            "sent": NOTHING | {sent.value: 1},
        },
        "upstream": {
            "received": NOTHING | {sent.value: 2},
            "sent": NOTHING | {received.value: 2},
        },
        "unclean_close": 0,
        "upstream_truncated": 0,
        "without_request": 0,
    }


def test_what_the_journal_tells_of_is_counted() -> None:
    closes = Closes()
    for reason in ("Unclean_Close", "Timer_ConnectionIdle", PROBE, "Handshake", PROBE):
        closes.happened(ConnectionEvent(CONNECTION, reason))
    closes.happened(ConnectionEvent(CONNECTION, "Unclean_Close", quiet=True))
    for reason in ("Upstream_Truncated", "Upstream", "Upstream_Truncated", "Upstream_Truncated"):
        record = RequestRecord(Nobody(), CONNECTION, None, b"")
        record.finish(200, reason)
        closes.finished(record)
    assert (closes.unclean, closes.probes, closes.truncated) == (2, 2, 3)
    told = closes.to_json()
    numbers = [told[name] for name in ("unclean_close", "without_request", "upstream_truncated")]
    assert numbers == [2, 2, 3]
    assert json.loads(json.dumps(told)) == told


def test_a_connection_leaves_nothing_but_a_number() -> None:
    closes, ending = Closes(), Ending(End.FIN, End.RESET)
    for _ in range(1000):  # beyond the integers that Python keeps anyway
        closes.client_ended(ending)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(10_000):
            closes.client_ended(ending)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 10_000  # less than a byte for each; other threads may need some
    assert closes.to_json()["client"]["received"]["fin"] == 11_000
