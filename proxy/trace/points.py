"""Which methods are watched: the one place to change when one of them gets another name.

In the order in which a request passes them. `Channel` and the two sides of the link are the only
places that make a connection's system calls, so what is seen there is all that is sent and read.
A point that is not there any more is an error when the traced process starts, never a gap.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module

from kssl.proxy.trace.watch import Method, Watch


@dataclass(frozen=True, slots=True)
class Point:
    """``module:Class.method``, and the wrapper that watches it."""

    place: str
    wrapper: str  # the name of a method of `Watch`


# Whose socket it is: each of these classes gets one before anything is read from it.
OWNERS = (
    Point("kssl.proxy.frontend.client:ClientConnection.__init__", "client_accepted"),
    Point("kssl.fastpath.ipc.link:WorkerLink.__init__", "link_made"),
    Point("kssl.proxy.upstream.connection:UpstreamConnection.__init__", "upstream_connected"),
)

# Every recv and send of the front end, on clients, links and upstreams.
SOCKETS = (
    Point("kssl.fastpath.net.channel:Channel.recv_into", "channel_recv"),
    Point("kssl.fastpath.net.channel:Channel._send_now", "channel_send"),
    Point("kssl.fastpath.net.channel:Channel.send_parts", "channel_send_parts"),
    Point("kssl.fastpath.net.channel:Channel._on_writable", "channel_drain"),
)

# Frames, which tell what the bytes on a link are for; one system call may carry several.
FRAMES = (
    Point("kssl.fastpath.ipc.link:WorkerLink.send", "link_send"),
    Point("kssl.fastpath.engines.handshake:Handshake.frame_received", "frame_received"),
    Point("kssl.fastpath.engines.worker:WorkerEngine.frame_received", "frame_received"),
    Point("kssl.fastpath.engines.aead:AeadEngine.frame_received", "frame_received"),
)

# In the front end in kernel mode, in the worker in user mode.
RECORDS = (
    Point("kssl.fastpath.record.layer:RecordLayer.receive", "record_open"),
    Point("kssl.fastpath.record.layer:RecordLayer.seal", "record_seal"),
)

# From the request's head to the upstream, and what comes back; the time in between is HTTP's.
HTTP = (
    Point("kssl.proxy.frontend.exchange:Exchange.start", "exchange_start"),
    Point("kssl.proxy.frontend.exchange:Exchange.upstream_received", "upstream_received"),
)

# The worker's own loop: a frame in, frames out, all written at once.
WORKER = (
    Point("kssl.fastpath.worker.process:Worker._handle", "worker_handle"),
    Point("kssl.fastpath.ipc.output:Output.commit", "worker_commit"),
    Point("kssl.fastpath.ipc.output:Output.flush", "worker_flush"),
)

# The filter has no classes of its own, and no sockets but its two.
FILTER = (
    Point("socket:socket.recv_into", "relay_recv"),
    Point("socket:socket.sendall", "relay_send"),
)

TRACED: dict[str, tuple[Point, ...]] = {
    "front": (*OWNERS, *SOCKETS, *FRAMES, *RECORDS, *HTTP),
    "worker": (*WORKER, *RECORDS),
    "filter": FILTER,
}

COUNTED = (*OWNERS, *SOCKETS, *FRAMES)


def install(watch: Watch, points: Iterable[Point]) -> None:
    """Puts the wrappers in place, for good. Before any object of these classes exists, because
    some of them keep bound methods.

    Raises AttributeError for a point that is not there any more.
    """
    for point in points:
        module, _, name = point.place.partition(":")
        owner_name, _, method = name.partition(".")
        owner = getattr(import_module(module), owner_name)
        original: Method = getattr(owner, method)
        wrapper: Method = getattr(watch, point.wrapper)(original)
        setattr(owner, method, functools.wraps(original)(wrapper))
