"""kssl.config.document.positions: the line of every key, held against tomllib."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from kssl.config.document.positions import MAX_DEPTH, KeyPath, positions
from tests.examples import examples


def paths_of(value: object, path: KeyPath = ()) -> set[KeyPath]:
    """Every path of what tomllib has read."""
    found: set[KeyPath] = {path} if path else set()
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, below in pairs:
        found |= paths_of(below, (*path, key))
    return found


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", {}),
        ("# only a comment", {}),
        ("a = 1", {("a",): 1}),
        ("\n\n a . 'b c' . \"d\\u00e9\" = 1", {("a",): 3, ("a", "b c"): 3, ("a", "b c", "dé"): 3}),
        ("a = 1\r\nb = 2\r\n", {("a",): 1, ("b",): 2}),
        ("[a.b]\nc = 1\n[a]\nd = 1", {("a",): 3, ("a", "b"): 1, ("a", "b", "c"): 2, ("a", "d"): 4}),
        (
            "[[s]]\n[s.l]\nx = 1\n[[s]] # [[s]]\ny = '#'\n",
            {("s",): 1, ("s", 0): 1, ("s", 0, "l"): 2, ("s", 0, "l", "x"): 3,
             ("s", 1): 4, ("s", 1, "y"): 5},
        ),
        (
            "[[s]]\n[[s.t]]\n[[s.t]]\nz=1\n[[s]]\n[[s.t]]",
            {("s",): 1, ("s", 0): 1, ("s", 0, "t"): 2, ("s", 0, "t", 0): 2, ("s", 0, "t", 1): 3,
             ("s", 0, "t", 1, "z"): 4, ("s", 1): 5, ("s", 1, "t"): 6, ("s", 1, "t", 0): 6},
        ),
        ("a = [ # ]\n 1,\n\n '''\n]''', 2]\nb = 1",
         {("a",): 1, ("a", 0): 2, ("a", 1): 4, ("a", 2): 5, ("b",): 6}),
        ("a = {b = 1, c.d = [2], 'e' = {}}\nf = 1",
         {("a",): 1, ("a", "b"): 1, ("a", "c"): 1, ("a", "c", "d"): 1, ("a", "c", "d", 0): 1,
          ("a", "e"): 1, ("f",): 2}),
        ('a = """\nb = 1\n\\"""\n""\n"""""\nc = 1', {("a",): 1, ("c",): 6}),
        ("a = '''\n\\'''\nc = 1", {("a",): 1, ("c",): 3}),
        ("a = ''''x'''''\nc = 1", {("a",): 1, ("c",): 2}),
        ('a = ""\nb = "\\"#"\nc = \'\'', {("a",): 1, ("b",): 2, ("c",): 3}),
        ("a = 1979-05-27 07:32:00Z # x\nb = -inf\nc = 1_0.5e3", {("a",): 1, ("b",): 2, ("c",): 3}),
        ("a = [1979-05-27 07:32:00, 2]", {("a",): 1, ("a", 0): 1, ("a", 1): 1}),
        ("a = [{b = 1},\n{b = 2}]",
         {("a",): 1, ("a", 0): 1, ("a", 0, "b"): 1, ("a", 1): 2, ("a", 1, "b"): 2}),
        ("3.14 = 1\n- = 2\n\"\" = 3", {("3",): 1, ("3", "14"): 1, ("-",): 2, ("",): 3}),
    ],
)  # fmt: skip
def test_lines(text: str, lines: dict[KeyPath, int]) -> None:
    assert positions(text) == lines
    assert set(lines) == paths_of(tomllib.loads(text))


@pytest.mark.parametrize("text", ["a = [1", "= 1", "[a", '"', "a = {b", "a =", "\x00", "[[a]"])
def test_what_is_not_toml_is_survived(text: str) -> None:
    positions(text)


def test_deep_nesting_is_survived() -> None:
    positions("a = " + "[" * 100_000)
    text = "a = " + "[" * 50 + "]" * 50
    found = positions(text)
    assert max(map(len, found)) == MAX_DEPTH
    assert found[("a", 0)] == 1
    found = positions(f"[{'a.' * 50_000}a]\n{'b.' * 50_000}b = 1\n[c]\n[[d]]")
    assert max(map(len, found)) == MAX_DEPTH
    assert (found[("c",)], found[("d", 0)]) == (3, 4)


# Documents with every way to write a key, and the lines that they should have.

KEYS = st.one_of(
    st.sampled_from(["a", "b", "site", "name", "3"]),
    st.text(st.characters(exclude_characters="\x7f"), max_size=4),
)
SCALARS = st.one_of(
    st.integers(-5, 5).map(str),
    st.booleans().map(lambda value: str(value).lower()),
    st.sampled_from(["1979-05-27 07:32:00", "07:32:00", "1e5", "nan", "'#'", "''", "''''''"]),
    st.sampled_from(
        ['"""\n\n#]"""', "'''\n\"\n'''", '"""\\"""\n"""""', '"a\\"]"', '"""\\\n  x"""']
    ),
    st.text(st.characters(exclude_characters="\x7f"), max_size=5).map(
        lambda text: json.dumps(text, ensure_ascii=False)
    ),
)
TREES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(KEYS, TREES, max_size=4)


@dataclass
class Writer:
    """Writes a document in styles that `choose` picks, and notes where everything stands."""

    data: st.DataObject
    text: str = ""
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def choose(self, *options: str) -> str:
        return self.data.draw(st.sampled_from(options))

    def note(self, path: KeyPath, *, again: bool = False) -> None:
        if again or path not in self.lines:
            self.lines[path] = self.text.count("\n") + 1

    def document(self, tree: dict[str, Any]) -> None:
        self.table((), (), tree)

    def table(self, path: KeyPath, names: tuple[str, ...], tree: dict[str, Any]) -> None:
        """Pairs first: behind a header of another table they would belong to that."""
        later = {}
        for key, value in tree.items():
            headers = isinstance(value, dict) or is_array_of_tables(value)
            if headers and self.choose("header", "inline") == "header":
                later[key] = value
            elif isinstance(value, dict) and value and self.choose("dotted", "inline") == "dotted":
                self.dotted(path, (key,), value)
            else:
                self.text += self.choose("", "\n", "# x = 1\n", " ")
                self.note((*path, key))
                self.text += f"{quoted(key)}{self.choose('=', ' = ')}"
                self.value((*path, key), value, inline=False)
                self.text += self.choose("\n", " # [x]\n")
        for key, value in later.items():
            below = (*names, key)
            header = self.choose(".", " . ").join(map(quoted, below))
            for index, each in enumerate(value) if isinstance(value, list) else ((None, value),):
                self.text += self.choose("", "\n", "# [[x]]\n")
                self.note((*path, key))
                here: KeyPath = (*path, key) if index is None else (*path, key, index)
                self.note(here)
                self.text += f"[{header}]\n" if index is None else f"[[{header}]] # ]\n"
                self.table(here, below, each)

    def dotted(self, path: KeyPath, names: tuple[str, ...], tree: dict[str, Any]) -> None:
        for key, value in tree.items():
            for end in range(1, len(names) + 1):
                self.note((*path, *names[:end]))
            if isinstance(value, dict) and value:
                self.dotted(path, (*names, key), value)
            else:
                self.note((*path, *names, key))
                self.text += ".".join(map(quoted, (*names, key))) + " = "
                self.value((*path, *names, key), value, inline=False)
                self.text += "\n"

    def value(self, path: KeyPath, value: Any, *, inline: bool) -> None:
        if isinstance(value, dict):
            self.text += "{"
            for number, (key, each) in enumerate(value.items()):
                self.text += ", " if number else " "
                self.note((*path, key))
                self.text += f"{quoted(key)} = "
                self.value((*path, key), each, inline=True)
            self.text += "}"
        elif isinstance(value, list):
            self.text += "["
            for index, each in enumerate(value):
                self.text += "," if index else ""
                self.text += self.choose("", " ", "\n", "\n# ]\n\t")
                self.note((*path, index))
                self.value((*path, index), each, inline=inline)
            self.text += self.choose("", ",") if value else ""
            self.text += self.choose("", "\n", " # [\n") + "]"
        else:
            self.text += value


def is_array_of_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def quoted(key: str) -> str:
    return key if key.isascii() and key.isalnum() else json.dumps(key, ensure_ascii=False)


@given(tree=DOCUMENTS, data=st.data())
@settings(max_examples=examples(300), deadline=None)
def test_generated_documents(tree: dict[str, Any], data: st.DataObject) -> None:
    writer = Writer(data)
    writer.document(tree)
    parsed = tomllib.loads(writer.text)
    assert positions(writer.text) == writer.lines
    assert set(writer.lines) == paths_of(parsed)


VALUES = st.recursive(
    st.integers(-9, 9) | st.booleans() | st.text("ab\"'\\\n#[]{}=.", max_size=6),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=12,
)


@given(tree=st.dictionaries(st.text("abc\"'.# ", min_size=1, max_size=3), VALUES, max_size=4))
@settings(max_examples=examples(150), deadline=None)
def test_documents_that_tomlkit_writes(tree: dict[str, Any]) -> None:
    text = tomlkit.dumps(tree)
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # it is not our business what tomlkit gets wrong
    assert set(positions(text)) == paths_of(parsed)
