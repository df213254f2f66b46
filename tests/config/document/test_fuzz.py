"""Arbitrary texts, accidents in the example, and any value in any key; see `fuzzing`."""

from __future__ import annotations

from hypothesis import given

from kssl.config.document.positions import positions
from kssl.config.errors import ConfigError
from tests.config.document.fuzzing import (
    MUTATED,
    TEXTS,
    VALUES_IN_KEYS,
    check,
    fuzz_settings,
    mutated,
)
from tests.config.document.support import FUZZ_EXAMPLES, read


@given(VALUES_IN_KEYS)
@fuzz_settings(FUZZ_EXAMPLES)
def test_any_value_in_any_key(text: str) -> None:
    check(text)


@given(MUTATED)
@fuzz_settings(FUZZ_EXAMPLES)
def test_accidents(text: str) -> None:
    check(text)


@given(TEXTS)
@fuzz_settings(FUZZ_EXAMPLES)
def test_any_text(text: str) -> None:
    check(text)
    positions(text)


def test_accidents_reach_the_reader() -> None:
    """If tomllib refused them all, nothing of ours would be tested."""
    outcomes = {"right": 0, "wrong": 0, "not TOML": 0}
    for seed in range(300):
        try:
            read(mutated(seed))
        except ConfigError as error:
            outcomes["not TOML" if "not TOML" in str(error) else "wrong"] += 1
        else:
            outcomes["right"] += 1
    assert outcomes["right"] > 5
    assert outcomes["wrong"] > 50
