"""Engines with other values in their `Handover`, for tests over all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kssl.fastpath.engines.aead import AeadEngine
from kssl.fastpath.engines.contract import Engine, Handover, Sink
from kssl.fastpath.engines.worker import WorkerEngine
from tests.fastpath.harness import ENGINES


def variant(engine: type[Engine], **changes: Any) -> type[Engine]:
    """``engine``, which gets its handover with ``changes``."""
    assert engine in (AeadEngine, WorkerEngine)

    class Variant(engine):  # type: ignore[misc, valid-type]
        __slots__ = ()

        def __init__(self, handover: Handover, sink: Sink) -> None:
            super().__init__(replace(handover, **changes), sink)

    Variant.__name__ = "-".join((engine.name, *(f"{k}={v}" for k, v in changes.items())))
    return Variant


def identify(engine: type[Engine]) -> str:
    """For the names of tests."""
    return engine.name if engine in ENGINES else engine.__name__


ONE_BY_ONE = tuple(variant(engine, bulk=False) for engine in ENGINES)

VARIANTS: tuple[type[Engine], ...] = (
    *ENGINES,
    *ONE_BY_ONE,
    *(variant(engine, max_send=1000) for engine in ENGINES),
    *(variant(engine, bulk=False, max_send=100) for engine in ENGINES),
)
