"""How much of what one peer has sent is worked on in one go: the unit of fairness.

The cost of what a peer sends goes by pieces, not by bytes: 128 KiB, one read, are eight records or
5,957, one chunk or 21,845. So each loop over pieces that a peer has made stops after a quantum,
keeps what is left, and asks to be called again: in the front end by
`kssl.fastpath.net.poller.Poller.again`, behind all sockets that have something new; in the crypto
worker by a queue of the same kind (`kssl.fastpath.worker.process`). A quantum costs some 100 to
200 µs, and traffic of usual kinds stays below it. Both offer their core to other processes between
two quanta, for they may share it.

| loop | pieces | what is left waits in |
|---|---|---|
| `kssl.fastpath.record.opener` | records | `RecordLayer.pending` |
| `kssl.proxy.http.chunked` | chunks | its caller: see below |
| `kssl.proxy.frontend.http_connection` | pipelined requests, a client's chunks | its buffer |
| `kssl.proxy.frontend.exchange` | 1xx responses, an upstream's chunks | `UpstreamConnection.keep` |
| `kssl.fastpath.worker.process` | records in user mode | `WorkerConnection` |
| `kssl.fastpath.worker.process` | handshakes, one at a time | its queue |
"""

from __future__ import annotations

RECORDS = 128
"""Records that are opened in one go. 128 KiB in records of 1,400 bytes, which many senders begin
with, are 94."""

TURN_RECORDS = 32
"""Records that the worker opens at each turn of a connection whose OPEN has more than a quantum of
them. Others' records may come meanwhile, and a request in user mode passes the worker twice."""

PROTOCOL_RECORD = 16
"""The records that a KeyUpdate or an alert counts for, because new keys cost as much."""

CHUNKS = 128
"""Chunks that are decoded in one go; their content goes on as one chunk."""

INTERIM_RESPONSES = 8
"""1xx responses that are passed on in one go."""

LATE = 0.0002
"""Seconds that one turn spends on channels that have had their quantum and have more; half as many
while one of them still has more behind that."""

PUT_OFF = 3
"""Turns in a row that may leave out the channels that have more, because something new has come for
others."""
