"""What was run, on what, and how: for whoever wants to repeat it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kssl.bench.html.markup import NOTHING, Markup, element, escape, join
from kssl.bench.html.model import Report, Subject, dict_of, dicts, figure, list_of, string

# How machine's fields are called in words; others are shown under their own names.
_WORDS = {
    "cpu": "processor",
    "cores": "cores",
    "usable_cores": "cores used by this run",
    "memory_mib": "memory, MiB",
    "kernel": "kernel",
    "python": "Python",
    "openssl_of_python": "OpenSSL of Python",
}


# Longer settings are folded, and so are those of several lines.
_FOLD = 400


def subjects(report: Report) -> Markup:
    """Each with its version and what it was told."""
    items = [_subject(one) for one in report.subjects if one.told]
    return element("ul", *items, class_="subjects") if items else NOTHING


def _subject(subject: Subject) -> Markup:
    told = subject.told
    processes = [str(one) for one in list_of(told.get("processes"))]
    facts = [
        string(told.get("version")),
        f"engine {told['engine']}" if string(told.get("engine")) else None,
        f"processes: {', '.join(processes)}" if processes else None,
        string(told.get("tls")) or ("no TLS" if subject.kind == "floor" else None),
        string(told.get("cipher")),
    ]
    said = " · ".join(fact for fact in facts if fact)
    return element(
        "li",
        element("strong", escape(subject.name)),
        element("span", escape(said)),
        *_settings(dict_of(told.get("settings"))),
    )


def _settings(settings: Mapping[str, object]) -> list[Markup]:
    """Short ones first, the others folded."""
    short, long = list[Markup](), list[Markup]()
    for name, value in settings.items():
        said = str(value or "")
        if "\n" in said or len(said) > _FOLD:
            long.append(details(name, said))
        elif said:
            shown = element("code", escape(said)) if name == "arguments" else escape(said)
            short.append(element("span", escape(f"{name}: "), shown))
    return short + long


def details(summary: str, said: str) -> Markup:
    """Folded text, such as a configuration."""
    return element(
        "details",
        element("summary", escape(summary)),
        element("pre", element("code", escape(said))),
    )


def machine(report: Report) -> Markup:
    """Hardware, system and packages, as far as they are told."""
    told = dict_of(report.told.get("machine"))
    rows = [(_WORDS.get(name, name), value) for name, value in told.items() if name != "packages"]
    packages = dict_of(told.get("packages"))
    rows += [(name, version) for name, version in packages.items()]
    return _facts("Machine", rows)


def run(report: Report) -> Markup:
    """When and how long, pinning, load and backend."""
    told = report.told
    rows: list[tuple[str, object]] = [
        ("when", told.get("when")),
        ("command", told.get("command")),
        ("rounds", told.get("rounds")),
        ("seconds each", told.get("seconds")),
        ("CPU time from", told.get("clock")),
        ("taken, seconds", told.get("taken_seconds")),
    ]
    for who, cores in dict_of(told.get("pinning")).items():
        rows.append((f"{who} on cores", ", ".join(str(core) for core in list_of(cores)) or None))
    rows.append(("load", ", ".join(_loads(report))))
    backend = dict_of(told.get("backend"))
    rows.append(("backend", " ".join(str(backend[key]) for key in ("kind", "version")
                                     if backend.get(key)) or None))  # fmt: skip
    config = string(backend.get("config"))
    commands = "\n".join(
        f"{string(load.get('scenario')) or load.get('name')}: {load['command']}"
        for load in dicts(told.get("loads"))
        if load.get("command")
    )
    return join(
        _facts("Run", rows),
        details("commands of the load", commands) if commands else NOTHING,
        details("configuration of the backend", config) if config else NOTHING,
    )


def _loads(report: Report) -> list[str]:
    """Each program once, with its version."""
    said = [
        " ".join(str(load[key]) for key in ("name", "version") if load.get(key))
        for load in dicts(report.told.get("loads"))
    ]
    return list(dict.fromkeys(said))


def notes(report: Report) -> Markup:
    """What the run had to say."""
    said = [str(one) for one in list_of(report.told.get("notes")) if one]
    items = [element("li", escape(one)) for one in said]
    return element("ul", *items, class_="notes") if items else NOTHING


def _facts(caption: str, rows: Iterable[tuple[str, object]]) -> Markup:
    shown = [(name, value) for name, value in rows if value is not None and value != ""]
    if not shown:
        return NOTHING
    lines = [
        element("tr", element("th", escape(name), scope="row"), element("td", escape(_said(value))))
        for name, value in shown
    ]
    return element(
        "table",
        element("caption", escape(caption)),
        element("tbody", *lines),
        class_="facts",
    )


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    number = figure(value)
    if number is not None and number >= 1e4:
        return f"{number:,.0f}"
    return str(value)
