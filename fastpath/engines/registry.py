"""The engines that are installed, whether each works here, and which one is used.

Engines are found by the entry point group ``kssl.engines``, so that another package can add one.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import cast

from kssl.config.errors import ConfigError
from kssl.fastpath.engines.contract import Engine

GROUP = "kssl.engines"

# `auto` in kernel mode: the first of these that works here.
PREFERENCE = ("aead",)


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """One line of `kssl engines`."""

    name: str
    available: bool
    reason: str  # why not; or what it is


def load_engines() -> dict[str, type[Engine] | str]:
    """Return the class of each engine by name, or the reason why its module does not load."""
    engines: dict[str, type[Engine] | str] = {}
    for entry in entry_points(group=GROUP):
        try:
            engines[entry.name] = cast("type[Engine]", entry.load())
        except Exception as error:  # somebody else's package must not break `kssl`
            engines[entry.name] = f"cannot be loaded: {error}"
    return engines


def list_engines() -> list[EngineStatus]:
    """Return the lines of `kssl engines`."""
    statuses = []
    for name, engine in sorted(load_engines().items()):
        reason = engine if isinstance(engine, str) else engine.unavailable()
        if reason is not None:
            statuses.append(EngineStatus(name, False, reason))
        else:
            assert not isinstance(engine, str)
            mode = "kernel mode" if engine.kernel_mode else "user mode"
            summary = (engine.__doc__ or "").strip().partition("\n")[0]
            statuses.append(EngineStatus(name, True, f"{mode}: {summary}"))
    return statuses


def choose_engine(name: str, *, kernel_mode: bool) -> type[Engine]:
    """Return the engine for a mode; ``name`` counts in kernel mode. Raise ConfigError."""
    engines = load_engines()
    if not kernel_mode and name not in ("auto", "worker"):
        raise ConfigError(f"--engine {name} is for kernel mode; leave it out in user mode")
    if not kernel_mode:
        candidates: tuple[str, ...] = ("worker",)
    else:
        candidates = PREFERENCE if name == "auto" else (name,)
    reasons = []
    for candidate in candidates:
        engine = engines.get(candidate, "there is no such engine")
        reason = engine if isinstance(engine, str) else engine.unavailable()
        if reason is None:
            engine = cast("type[Engine]", engine)
            if engine.kernel_mode is kernel_mode:
                return engine
            reason = "it is for user mode; leave --engine out and say --mode user"
        reasons.append(f"{candidate}: {reason}")
    raise ConfigError(f"no engine works here ({'; '.join(reasons)}); see `kssl engines`")
