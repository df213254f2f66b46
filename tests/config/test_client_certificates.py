"""kssl.config.client_certificates: what the verifier is told, and the short name of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.config.client_certificates import REJECT, ClientCertificates, Failure, Headers
from tests.config.document.fuzzing import fuzz_settings
from tests.config.document.support import FUZZ_EXAMPLES

LEAST = ClientCertificates(required=False, ca=Path("/ca.pem"))

OTHERS: dict[str, Any] = {
    "required": True,
    "ca": Path("/other.pem"),
    "failure": Failure.ALERT,
    "headers": Headers.OFF,
    "intermediates": Path("/between"),
    "max_depth": 0,
    "usage_check": False,
    "revocation": True,
    "crls": (Path("/a.crl"),),
    "freshness": 1,
    "cached_revocation_only": True,
    "retrieval_timeout": 1,
    "allow": ("dns:a",),
    "deny": ("dns:a",),
}
"""Another value for each field."""

PATHS = st.text().map(Path)
RULES = st.lists(st.text(), max_size=3).map(tuple)
WANTED = st.builds(
    ClientCertificates,
    required=st.booleans(),
    ca=PATHS,
    failure=st.sampled_from(Failure),
    headers=st.sampled_from(Headers),
    intermediates=st.none() | PATHS,
    max_depth=st.integers(0, 32),
    usage_check=st.booleans(),
    revocation=st.booleans(),
    crls=st.lists(PATHS, max_size=3).map(tuple),
    freshness=st.integers(0, 1 << 32),
    cached_revocation_only=st.booleans(),
    retrieval_timeout=st.integers(1, 20_000),
    allow=RULES,
    deny=RULES,
)


@given(WANTED)
@fuzz_settings(FUZZ_EXAMPLES)
def test_round_trip(wanted: ClientCertificates) -> None:
    text = wanted.to_json()
    again = ClientCertificates.from_json(text)
    assert again == wanted
    assert again.policy == wanted.policy
    assert "\n" not in text
    for field in dataclasses.fields(wanted):  # what is equal may still be a mere text
        value = getattr(wanted, field.name)
        assert type(getattr(again, field.name)) is type(value)
        if isinstance(value, tuple):
            assert [*map(type, getattr(again, field.name))] == [*map(type, value)]


def test_every_field_has_another_value_here() -> None:
    assert set(OTHERS) == {field.name for field in dataclasses.fields(ClientCertificates)}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(ClientCertificates)])
def test_each_field_makes_another_policy(name: str) -> None:
    other = dataclasses.replace(LEAST, **{name: OTHERS[name]})
    assert other != LEAST
    assert other.policy != LEAST.policy
    assert ClientCertificates.from_json(other.to_json()) == other


def test_rules_of_both_kinds_are_not_taken_for_each_other() -> None:
    allow = dataclasses.replace(LEAST, allow=("dns:a",))
    deny = dataclasses.replace(LEAST, deny=("dns:a",))
    assert allow.policy != deny.policy


def test_the_name_is_short_and_always_the_same() -> None:
    assert LEAST.policy == dataclasses.replace(LEAST).policy
    assert len(LEAST.policy) == 32
    assert set(LEAST.policy) <= set("0123456789abcdef")
    assert LEAST.policy != REJECT


def test_what_is_told_has_a_name_for_each_field() -> None:
    told = json.loads(LEAST.to_json())
    assert list(told) == sorted(OTHERS)
    assert told["failure"] == "page"
    assert told["intermediates"] is None
