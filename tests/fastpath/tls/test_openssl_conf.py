"""The worker's own configuration of OpenSSL: one ticket for a handshake, or a session stays in the
cache that nobody can resume and nobody can drop."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from kssl.fastpath.ipc.processes import environment

# Its context is the worker's; the last flight has a ticket's record, or two of the same size.
_FLIGHT = """
import sys
from pathlib import Path
from OpenSSL import SSL
from kssl.fastpath.worker.store import ContextStore
store = ContextStore(Path(sys.argv[1]))
certificate = {"certificate": None, "key": None, "names": ["localhost"], "policy": ""}
store.load({"certificates": [certificate], "endpoints": [{"names": {}, "default": 0}]})
server, choose = store.accept(0)
choose("")
client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
client.set_connect_state()
flight = b""
for one, other in ((client, server), (server, client), (client, server), (server, client)):
    try:
        one.do_handshake()
    except SSL.WantReadError:
        pass
    flight = one.bio_read(1 << 16)
    other.bio_write(flight)
records = 0
while flight:
    records, flight = records + 1, flight[5 + int.from_bytes(flight[3:5], "big"):]
print(records)
"""


def tickets(folder: Path, environment: dict[str, str]) -> int:
    told = subprocess.run(
        [sys.executable, "-c", _FLIGHT, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(told.stdout)


def test_one_ticket_for_a_handshake(tmp_path: Path) -> None:
    ours = environment() | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert tickets(tmp_path, ours) == 1
    del ours["OPENSSL_CONF"]
    assert tickets(tmp_path, ours) == 2  # else the file is of no use any more
