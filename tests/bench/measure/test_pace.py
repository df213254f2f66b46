"""The fixed rate, and whether it was kept."""

from __future__ import annotations

import pytest

from kssl.bench.measure.pace import choose_rate, held
from kssl.bench.measure.rounds import Round
from kssl.bench.subjects import Subject
from tests.bench.report.sample import KERNEL, NGINX, one_round

ROUNDS = [one_round("tiny", NGINX, number, 10.0, 0.0) for number in range(3)]


def _unasked(subject: Subject) -> Round:
    raise AssertionError(f"{subject.name} was measured already")


def test_half_of_what_was_measured_of_nginx() -> None:
    assert choose_rate([KERNEL, NGINX], ROUNDS, _unasked) == (500, "nginx's peak")


def test_tried_out_where_it_was_not_measured() -> None:
    tried = choose_rate([KERNEL, NGINX], [], lambda subject: one_round("tiny", subject, 0, 1, 1))
    assert tried == (500, "nginx's peak")


def test_without_nginx() -> None:
    tried = choose_rate([KERNEL], [], lambda subject: one_round("tiny", subject, 0, 1, 1))
    assert tried == (500, "kssl kernel's peak")


@pytest.mark.parametrize(("rate", "kept"), [(1000, True), (1010, True), (1100, False)])
def test_held(rate: int, kept: bool) -> None:
    assert held(rate, ROUNDS) is kept
