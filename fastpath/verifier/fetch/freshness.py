"""How long an answer is good for, from its header fields (RFC 9111 §4.2).

A server may not make us ask at each handshake, nor keep an answer for a year: whatever it says is
brought between `SHORTEST` and `LONGEST`. What cannot be read counts as `SHORTEST`. No clock of ours
is needed, since Expires counts from the Date beside it.
"""

from __future__ import annotations

import datetime
import re

# Seconds.
SHORTEST = 300.0
LONGEST = 86400.0

_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=\"?([0-9]{1,20})(?![0-9])", re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:^|[,\s])no-(?:store|cache)(?:[\s,=]|$)", re.IGNORECASE)
# IMF-fixdate, the one form that servers may send (RFC 9110 §5.6.7).
_DATE = re.compile(r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.A)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def lifetime(cache_control: str, expires: str, date: str) -> float:
    """Seconds, from the values of the fields; "" stands for one that is missing."""
    if _NOT_KEPT.search(cache_control):
        return SHORTEST
    age = _MAX_AGE.search(cache_control)
    if age:
        return bounded(float(age[1]))
    until, begin = _moment(expires), _moment(date)
    if until is None or begin is None:
        return SHORTEST
    return bounded((until - begin).total_seconds())


def bounded(seconds: float) -> float:
    """``seconds``, brought between the two limits."""
    return min(max(seconds, SHORTEST), LONGEST)


def _moment(text: str) -> datetime.datetime | None:
    found = _DATE.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(found[index]) for index in (1, 3, 4, 5, 6))
    try:
        return datetime.datetime(
            year, _MONTHS.index(found[2]) + 1, day, hour, minute, second, tzinfo=datetime.UTC
        )
    except ValueError:
        return None
