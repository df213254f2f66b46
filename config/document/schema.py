"""docs/kssl.schema.json: kssl.toml as a JSON schema (draft 2020-12), for editors.

It is made from the tables of keys and parameters; a test keeps the two the same. It says less
than the reader checks: what holds between keys is not in it, and in it the names of the
parameters are in their own case only.
"""

from __future__ import annotations

import json
from typing import Any

from kssl.config.document import keys
from kssl.config.document.keys import Key
from kssl.config.parameter import Parameter
from kssl.config.table import PARAMETERS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def as_schema() -> dict[str, Any]:
    return {
        "$schema": DIALECT,
        "title": "kssl.toml",
        "description": "Configuration of kssl, a TLS-terminating reverse proxy",
        **_table(keys.ROOT),
        "$defs": {
            "parameters": {
                "type": "object",
                "properties": {row.name: _parameter(row) for row in PARAMETERS},
                "additionalProperties": False,
            },
            "site": {**_table(keys.SITE), "required": ["upstreams"]},
            "limits": _table(keys.LIMITS),
            "hsts": {**_table(keys.HSTS), "required": ["max_age"]},
            "binding": {
                **_table(keys.BINDING),
                "allOf": [_either("ipport", "hostnameport"), _either("certhash", "certificate")],
            },
            "logs": _table(keys.LOGS),
        },
    }


def as_json() -> str:
    return json.dumps(as_schema(), indent=2, ensure_ascii=False) + "\n"


def _table(known: tuple[Key, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key.name: _key(key) for key in known},
        "additionalProperties": False,
    }


def _key(key: Key) -> dict[str, Any]:
    default = f". Default: {key.default}" if key.default else ""
    return {**key.schema, "description": f"{key.meaning}{default}"}


def _parameter(row: Parameter) -> dict[str, Any]:
    told = {
        "description": f"{row.meaning}. Allowed: {row.range_text}. Risk: {row.risk}",
        "default": row.default,
    }
    if row.words:
        return {"enum": list(row.words), **told}
    if row.is_text:
        return {"type": "string", "maxLength": row.maximum, **told}
    number = {"type": "integer", "minimum": row.minimum, "maximum": row.maximum}
    if row.allows(0) and row.minimum > 0:
        return {"anyOf": [{"const": 0}, number], **told}
    return {**number, **told}


def _either(*names: str) -> dict[str, Any]:
    return {"oneOf": [{"required": [name]} for name in names]}
