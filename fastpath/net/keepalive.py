"""TCP keep-alive: a peer that has vanished without FIN or RST is noticed within two minutes.

Nothing comes from a machine that lost its power or its network, so a connection on which nothing
is sent would stay for the kernel's two hours.
"""

from __future__ import annotations

import socket

# Silence before the first probe, in seconds; then between probes; and probes without an answer.
IDLE, INTERVAL, PROBES = 60, 15, 4


def keep_alive(sock: socket.socket) -> None:
    """Switch the probes on for a TCP socket, or for all that a listening one accepts (on Linux)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, INTERVAL)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
