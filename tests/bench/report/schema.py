"""Checks a report against the schema "kssl-bench/1", as docs/benchmarks.md describes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Check = Callable[[Any, str], None]

KINDS = ("reply", "upload", "handshake", "websocket", "connections", "latency", "idle")


class WrongShapeError(Exception):
    """str() has where and what."""


def check(report: object) -> None:
    """Raises WrongShapeError."""
    _REPORT(report, "report")
    assert isinstance(report, dict)
    scenarios = {one["name"] for one in report["scenarios"]}
    subjects = {one["name"] for one in report["subjects"]}
    for one in report["results"]:
        if one["scenario"] not in scenarios or one["subject"] not in subjects:
            raise WrongShapeError(f"a result of nothing: {one['scenario']}, {one['subject']}")
        parts = one["cpu_us"]["by_process"].values()
        total = sum(part["user"] + part["system"] for part in parts)
        if abs(total - one["cpu_us"]["median"]) > 1e-6 * total:
            raise WrongShapeError(f"parts of {one['cpu_us']['median']} add up to {total}")
    for one in report["ratios"]:
        if {one["above"], one["below"]} - subjects or one["scenario"] not in scenarios:
            raise WrongShapeError(f"a ratio of nothing: {one}")


def _of(*types: type) -> Check:
    def run(value: Any, where: str) -> None:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise WrongShapeError(f"{where} is {value!r}, not {types}")

    return run


def _one_of(*values: object) -> Check:
    def run(value: Any, where: str) -> None:
        if value not in values:
            raise WrongShapeError(f"{where} is {value!r}, not one of {values}")

    return run


def _or_null(inner: Check) -> Check:
    def run(value: Any, where: str) -> None:
        if value is not None:
            inner(value, where)

    return run


def _positive(value: Any, where: str) -> None:
    _number(value, where)
    if value <= 0:
        raise WrongShapeError(f"{where} is {value}: what was not measured is null, never 0")


def _list(inner: Check) -> Check:
    def run(value: Any, where: str) -> None:
        _of(list)(value, where)
        for index, one in enumerate(value):
            inner(one, f"{where}[{index}]")

    return run


def _table(inner: Check) -> Check:
    def run(value: Any, where: str) -> None:
        _of(dict)(value, where)
        for key, one in value.items():
            inner(one, f"{where}.{key}")

    return run


def _object(**fields: Check) -> Check:
    def run(value: Any, where: str) -> None:
        _of(dict)(value, where)
        if wrong := fields.keys() ^ value.keys():
            raise WrongShapeError(f"{where} has too many or too few: {sorted(wrong)}")
        for name, inner in fields.items():
            inner(value[name], f"{where}.{name}")

    return run


_text, _number, _whole = _of(str), _of(int, float), _of(int)
_series_fields = {
    "median": _positive,
    "low": _positive,
    "high": _positive,
    "rounds": _list(_positive),
}
_series = _object(**_series_fields)
_parts = _object(user=_number, system=_number)

_REPORT = _object(
    schema=_one_of("kssl-bench/1"),
    when=_text,
    command=_text,
    machine=_of(dict),
    rounds=_whole,
    seconds=_whole,
    clock=_one_of("cpu clock", "stat"),
    taken_seconds=_positive,
    pinning=_object(proxy=_list(_whole), load=_list(_whole), backend=_list(_whole)),
    loads=_list(_object(name=_text, version=_text, command=_text)),
    backend=_object(kind=_text, version=_text, config=_or_null(_text)),
    subjects=_list(
        _object(
            name=_text,
            kind=_one_of("kssl", "peer", "floor"),
            mode=_one_of("user", "kernel", None),
            engine=_or_null(_text),
            hops=_one_of(1, 2, None),
            version=_text,
            processes=_list(_text),
            settings=_table(_text),
            tls=_or_null(_text),
            cipher=_or_null(_text),
        )
    ),
    scenarios=_list(
        _object(
            name=_text,
            label=_text,
            kind=_one_of(*KINDS),
            unit=_one_of("request", "message", "connection"),
            size=_whole,
            connections=_whole,
            rate=_or_null(_whole),
        )
    ),
    results=_list(
        _object(
            scenario=_text,
            subject=_text,
            per_s=_series,
            mb_per_s=_or_null(_series),
            latency_us=_or_null(
                _object(p50=_series, p99=_series, percentiles=_list(_list(_positive)))
            ),
            cpu_us=_object(
                **_series_fields, user=_number, system=_number, by_process=_table(_parts)
            ),
            crossings=_or_null(_object(frames=_number, sends=_number, bytes=_number)),
            copied_bytes=_or_null(_number),
            system_calls=_or_null(_number),
            peak_memory_kib=_whole,
            idle=_or_null(
                _object(
                    kib_per_connection=_number,
                    connections=_whole,
                    p99_us_before=_positive,
                    p99_us_with=_positive,
                )
            ),
        )
    ),
    ratios=_list(
        _object(
            scenario=_text,
            above=_text,
            below=_text,
            median=_positive,
            low=_positive,
            high=_positive,
            verdict=_text,
        )
    ),
    notes=_list(_text),
)
