"""What is measured, in one place to import from: kssl in its modes, and its peers.

Another peer is a module in `kssl.bench.peers` and a line in its `PEERS`.
"""

from __future__ import annotations

from kssl.bench.contract import Peer, Starter, Subject, Surroundings
from kssl.bench.kssl import can_hop_twice, kssl
from kssl.bench.peers import PEERS

__all__ = ["PEERS", "Peer", "Starter", "Subject", "Surroundings", "can_hop_twice", "kssl"]
