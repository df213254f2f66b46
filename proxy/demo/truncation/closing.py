"""What a scene has shown, in a sentence or two: who was fooled, and why."""

from __future__ import annotations

from collections.abc import Iterable

from kssl.proxy.demo.truncation.orders import CUT_EXECUTED, RESUMES
from kssl.proxy.demo.truncation.rows import (
    FALSE_ALARM,
    FOOLED,
    GUARD,
    NOTICED,
    OFF,
    OWN,
    Row,
    Scene,
)

_NOBODY = "nobody"


def sentences(scene: Scene, rows: Iterable[Row]) -> list[str]:
    """Of the rows of one scene, one for each setting that has any."""
    tell = {"reply": _reply, "request": _request, "upstream": _upstream}[scene]
    found = list(rows)
    told = []
    for setting in dict.fromkeys(row.setting for row in found):
        told.append(tell(setting, [row for row in found if row.setting == setting]))
    return told


def _reply(setting: str, rows: list[Row]) -> str:
    alarmed, fooled = _names(rows, honest=FALSE_ALARM), _names(rows, attacked=FOOLED)
    whose = "nginx" if setting == OWN else setting
    # What another proxy does is known by what was seen alone.
    if setting == OFF or (setting == OWN and alarmed != _NOBODY):
        return (
            f"{whose}: every reply ends with a bare FIN, so a forged one looks like a real one. "
            f"Who checks refuses the honest reply too ({alarmed}); who does not is fooled "
            f"({fooled})."
        )
    noticed = _names(rows, attacked=NOTICED)
    return (
        f"{whose}: close_notify proves the end to whoever looks at it, or at the chunks of "
        f"HTTP/1.1 ({noticed}). Who takes any FIN for the end is fooled all the same ({fooled})."
    )


def _request(setting: str, rows: list[Row]) -> str:
    whose = "nginx" if setting == OWN else setting
    executed = any(CUT_EXECUTED in row.attacked for row in rows)
    resumed = any(RESUMES in row.attacked for row in rows)
    done = (
        "the app has EXECUTED A CUT REQUEST"
        if executed
        else "the app executed nothing: the request did not come to the end that its head tells"
    )
    session = (
        "The session is resumed as if nothing had been"
        if resumed
        else "The session that ended without close_notify is not resumed"
    )
    return f"{whose}: {done}. {session}."


def _upstream(setting: str, rows: list[Row]) -> str:
    whose = "nginx" if setting == OWN else setting
    fooled = _names(rows, attacked=FOOLED)
    if setting == GUARD or fooled == _NOBODY:
        heard = _names(rows, attacked=NOTICED)
        deaf = "" if fooled == _NOBODY else f" Who takes even a reset for the end: {fooled}."
        told = f"passes the cut on as a cut, and who listens notices ({heard}).{deaf}"
        return f"{whose}: the proxy {told}"
    return (
        f"{whose}: the proxy takes the app's FIN for the end and says so to its client, with a "
        f"last chunk and close_notify of its own. No client can notice; fooled: {fooled}."
    )


def _names(rows: list[Row], *, honest: str = "", attacked: str = "") -> str:
    """``curl, http.client and naive``, each once."""
    names = list(
        dict.fromkeys(
            row.client
            for row in rows
            if (not honest or row.honest == honest) and (not attacked or row.attacked == attacked)
        )
    )
    if not names:
        return _NOBODY
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
