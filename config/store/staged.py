"""Staged changes: what they are, what they amount to, and their file ``changes.json``::

    {"config": "/home/me/kssl.toml",
     "changes": [{"op": "add", "certhash": "3f…"},
                 {"op": "bind", "ipport": "0.0.0.0:443", "certhash": "3f…"},
                 {"op": "unbind", "hostnameport": "app.example.com:443"},
                 {"op": "delete", "certhash": "9a…"}]}

`config` is the file that the bindings are for, "" as long as nothing depends on it. Of each
certificate and of each place there is at most one change: a later one takes the former's place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kssl.config import statedir
from kssl.config.errors import ConfigError
from kssl.config.store.place import Place, place_of

ADD, DELETE, BIND, UNBIND = "add", "delete", "bind", "unbind"
_THUMBPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Change:
    """`place` for bind and unbind, `thumbprint` for all but unbind."""

    op: str
    thumbprint: str = ""
    place: Place | None = None

    def as_json(self) -> dict[str, str]:
        told = {"op": self.op}
        if self.place is not None:
            told[self.place.kind] = self.place.netloc
        return told | ({"certhash": self.thumbprint} if self.thumbprint else {})

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Change:
        """Raises ValueError or ConfigError if it is not what `as_json` gives."""
        op, thumbprint, place = told["op"], told.get("certhash", ""), place_of(told)
        if (
            op not in (ADD, DELETE, BIND, UNBIND)
            or (place is None) != (op in (ADD, DELETE))
            or (op == UNBIND) != (thumbprint == "")
            or (thumbprint and not _THUMBPRINT.fullmatch(thumbprint))
        ):
            raise ValueError
        return cls(op, thumbprint, place)


@dataclass(slots=True)
class Changes:
    """In the order in which they were made."""

    config: str = ""
    items: list[Change] = field(default_factory=list)

    def put(self, change: Change) -> None:
        """Add it in the place of what it overrules."""
        self.drop(change.place, change.thumbprint)
        self.items.append(change)

    def drop(self, place: Place | None, thumbprint: str = "") -> bool:
        """Forget the change of `place`, or if that is None of the certificate; whether one was."""
        kept = [
            each
            for each in self.items
            if each.place != place or (place is None and each.thumbprint != thumbprint)
        ]
        dropped = len(kept) < len(self.items)
        self.items = kept
        return dropped

    def certificates(self, op: str) -> list[str]:
        """The thumbprints of `ADD` or `DELETE`."""
        return [each.thumbprint for each in self.items if each.op == op]

    def places(self) -> dict[Place, str]:
        """Place → thumbprint, "" where it is unbound."""
        return {each.place: each.thumbprint for each in self.items if each.place is not None}

    def bindings_after(self, before: Mapping[Place, str]) -> dict[Place, str]:
        """What `before` becomes. A place that `before` binds to files keeps its ""."""
        after = dict(before)
        for place, thumbprint in self.places().items():
            if thumbprint:
                after[place] = thumbprint
            else:
                after.pop(place, None)
        return after


def read_changes(path: Path) -> Changes:
    """None staged: no items. Raises ConfigError."""
    data = statedir.read_private(path)
    if data is None:
        return Changes()
    try:
        told = json.loads(data)
        if not isinstance(told["config"], str):
            raise ValueError
        return Changes(told["config"], [Change.from_json(each) for each in told["changes"]])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, ConfigError):
        raise ConfigError(
            f"{path} is not what kssl wrote; drop what is staged: kssl cert discard"
        ) from None


def write_changes(path: Path, changes: Changes) -> None:
    """Without items the file goes. Raises ConfigError."""
    if not changes.items:
        statedir.remove(path)
        return
    told = {"config": changes.config, "changes": [each.as_json() for each in changes.items]}
    statedir.write_private(path, (json.dumps(told, indent=1) + "\n").encode())
