"""A result that is known, with everything that a renderer may meet."""

from __future__ import annotations

from dataclasses import replace

from kssl.proxy.demo.truncation.clients import CLIENTS
from kssl.proxy.demo.truncation.rows import OFF, ON, OWN, PASS, Row, judged
from kssl.proxy.demo.truncation.run import Result
from kssl.proxy.demo.truncation.wire import Wire

EVIL = '</text><script>alert("&")</script>\x1b[31m'
PART = '"Order 4711: pay Bob EUR 100"'
BY_NAME = {client.name: client for client in CLIENTS}
CHECKS = {"python strict"}

_BEFORE = Wire((62, 24), (79, 128, 42), rest=3)
_AFTER = Wire((62, 24), (79, 128), cut=(2, 128), how="FIN", swallowed=42)
_PROVEN = replace(_BEFORE, to_client=(79, 128, 42, 24))


def row(setting: str, client: str, honest: str, attacked: str, **more: str) -> Row:
    """Of the first scene at kssl in kernel mode, unless it is said otherwise."""
    believes = PART if attacked == "FOOLED" else "nothing (no end)"
    made = Row("reply", "kssl", "kernel", setting, client, honest, attacked, believes)
    made = replace(
        made,
        wires=(_PROVEN if setting == ON else _BEFORE, _AFTER),
        **more,  # type: ignore[arg-type]
    )
    return judged(made, BY_NAME[client], CHECKS)


def result() -> Result:
    kernel = [
        row(OFF, "http.client", "whole", "noticed"),
        row(OFF, "python strict", "false alarm", "noticed"),
        row(OFF, "naive", "whole", "FOOLED"),
        row(ON, "http.client", "whole", "noticed"),
        row(ON, "python strict", "whole", "noticed"),
        row(ON, "naive", "whole", "FOOLED"),
        row(PASS, "naive", "whole", "FOOLED", scene="upstream"),
    ]
    user = [replace(one, mode="user") for one in kernel]
    beside = [row(OWN, "naive", "whole", "FOOLED", proxy="nginx", mode="")]
    used = [BY_NAME[name] for name in ("http.client", "python strict", "naive")]
    return Result(used, [*user, *kernel, *beside])
