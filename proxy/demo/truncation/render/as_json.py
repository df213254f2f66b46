"""The result as plain values. docs/truncation.md describes the fields."""

from __future__ import annotations

from typing import Any

from kssl.proxy.demo.truncation.closing import sentences
from kssl.proxy.demo.truncation.render import TITLES
from kssl.proxy.demo.truncation.rows import Row
from kssl.proxy.demo.truncation.run import SCENES, Result
from kssl.proxy.demo.truncation.wire import Wire

FORMAT = "kssl-truncation/1"


def to_json(result: Result) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "scenes": [
            {
                "name": scene,
                "title": TITLES[scene],
                "rows": [_row(row) for row in result.of(scene)],
                "closing": sentences(scene, result.of(scene)),
            }
            for scene in SCENES
        ],
        "clients": [
            {"name": client.name, "what": client.what, "framed": client.framed}
            for client in result.clients
        ],
        "verdict": {
            "ok": result.exit_status == 0,
            "differs": [row.where for row in result.differs],
            "failed": result.failed,
            "left_out": result.left_out,
        },
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "proxy": row.proxy,
        "mode": row.mode or None,
        "setting": row.setting,
        "client": row.client,
        "honest": row.honest,
        "attacked": row.attacked,
        "believes": row.believes,
        "honest_error": row.told or None,
        "judged": row.fine is not None,
        "as_expected": row.as_expected,
        "wire": [_wire(wire) for wire in row.wires] if row.wires is not None else None,
    }


def _wire(wire: Wire) -> dict[str, Any]:
    return {
        "records_to_server": list(wire.to_server),
        "records_to_client": list(wire.to_client),
        "cut": {"record": wire.cut[0], "byte": wire.cut[1], "how": wire.how} if wire.cut else None,
        "swallowed_bytes": wire.swallowed,
    }
