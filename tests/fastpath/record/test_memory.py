"""What a connection leaves behind when it is over."""

from __future__ import annotations

import gc
from collections.abc import Callable
from weakref import ref

import pytest

from kssl.fastpath.record.layer import RecordLayer
from kssl.fastpath.tls.keys import ConnectionKeys
from kssl.fastpath.tls.suites import CipherSuite
from tests.fastpath.record.peers import ALERT, TLS12, TLS13, Forger, example_keys

ENDS: dict[str, Callable[[Forger], bytes]] = {
    "bad tag": lambda forger: forger.data(b"hello")[:-1] + b"x",
    "plain HTTP": lambda forger: b"GET / HTTP/1.1\r\n\r\n",
    "fatal alert": lambda forger: forger.record(ALERT, b"\2\50"),
    "no error": lambda forger: forger.record(ALERT, b"\1\0"),
}


class Weakly(RecordLayer):
    """One that can be referred to weakly."""


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("suite", [TLS13, TLS12], ids=["TLS1.3", "TLS1.2"])
def test_a_layer_that_ended_goes_at_once(
    suite: CipherSuite, end: Callable[[Forger], bytes]
) -> None:
    client, server = example_keys(suite)
    layer = Weakly(ConnectionKeys(suite, read=client, write=server))
    gc.disable()
    try:
        layer.feed(end(Forger(suite)))
        assert layer.peer_closed or layer.error is not None
        weak = ref(layer)
        del layer
        assert weak() is None
    finally:
        gc.enable()
