"""Which load for which scenario."""

from __future__ import annotations

from dataclasses import dataclass

from kssl.bench.load import h2load, wrk
from kssl.bench.load.h2load import H2load
from kssl.bench.load.job import Load
from kssl.bench.load.own import OwnClient
from kssl.bench.load.wrk import Wrk
from kssl.bench.scenarios import MIB, Scenario

# Beyond this wrk's clock of an upload is wrong, see `kssl.bench.load.wrk`.
_WRK_UPLOADS = MIB


@dataclass(frozen=True, slots=True)
class Loads:
    """The loads of this machine."""

    wrk: Wrk | None
    h2load: H2load | None
    own: OwnClient

    def for_scenario(self, scenario: Scenario) -> Load:
        """A real tool where one can do it and is installed, else our own client."""
        if scenario.kind in ("handshake", "websocket"):
            return self.own
        if scenario.rate is not None or scenario.kind == "latency":
            return self.h2load or self.own
        if scenario.uploads and scenario.size >= _WRK_UPLOADS:
            return self.own
        return self.wrk or self.own


def find() -> Loads:
    """What is installed."""
    return Loads(wrk.find(), h2load.find(), OwnClient())
