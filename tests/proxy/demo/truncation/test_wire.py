"""Which record has the end of the sentence, by sizes alone."""

from __future__ import annotations

import pytest

from kssl.proxy.demo.truncation.app import REST
from kssl.proxy.demo.truncation.records import ALERT, APPLICATION_DATA, Record
from kssl.proxy.demo.truncation.wire import rest_in

N = len(REST)
TLS_13, TLS_12 = 5 + 1 + 16, 5 + 8 + 16  # bytes around the content, with AES-GCM
TICKET, HEAD, LAST_CHUNK, GOODBYE = 79, 128, 5, 2


@pytest.mark.parametrize("around", [TLS_13, TLS_12], ids=["1.3", "1.2"])
@pytest.mark.parametrize(
    ("contents", "wanted"),
    [
        ([TICKET, HEAD, N], 3),
        ([TICKET, HEAD, N, GOODBYE], 3),
        ([HEAD, N + 6, LAST_CHUNK, GOODBYE], 2),
        ([HEAD, N + 6 + LAST_CHUNK], 2),
        ([N + 1, HEAD, N], 3),  # a small ticket
        ([TICKET, HEAD + N, GOODBYE], 0),  # both writes became one record
        ([TICKET, HEAD], 0),
        ([], 0),
    ],
)
def test_the_rest(contents: list[int], wanted: int, around: int) -> None:
    records = [
        Record(APPLICATION_DATA, number, around + content, around + content)
        for number, content in enumerate(contents, start=1)
    ]
    assert rest_in(records) == wanted


def test_an_alert_of_tls_1_2_is_no_data() -> None:
    assert rest_in([Record(ALERT, 1, TLS_12 + N, TLS_12 + N)]) == 0
