"""Keep-Alive: how long an app keeps a connection without a request.

The field is from RFC 2068, section 19.7.1.1, and its parameters are what servers have made of it:
`timeout=5, max=100` is five seconds, and a hundred requests more.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Six digits are eleven days, which nobody waits for. More of them are no number of seconds to us.
_parameter = re.compile(
    rb"[ \t]*(timeout|max)[ \t]*=[ \t]*\"?([0-9]{1,6})\"?[ \t]*", re.I
).fullmatch


@lru_cache(maxsize=256)
def idle_limit(value: bytes) -> int | None:
    """Return the seconds that a Keep-Alive field allows; 0 if no request may follow.

    None: it does not say. What is not understood is ignored, because it is a hint.
    """
    limit = None
    for item in value.split(b","):
        match = _parameter(item)
        if match is None:
            continue
        number = int(match[2])
        if match[1].lower() == b"timeout":
            limit = number if limit is None else min(limit, number)
        elif number == 0:
            limit = 0
    return limit
