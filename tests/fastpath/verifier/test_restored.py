"""A verifier that replaces one that died while a file of one site is broken."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from kssl.fastpath.ipc.supervisor import Supervisor
from kssl.fastpath.verifier.messages import ClientVerdict
from kssl.fastpath.verifier.policies import UnusableError, load, restore
from kssl.fastpath.verifier.question import Question
from tests.config import oddities
from tests.fastpath.verifier.support import site, told


def test_the_other_sites_are_judged_as_ever(tmp_path: Path) -> None:
    for name in ("good", "odd"):
        (tmp_path / name).mkdir()
    good, odd = site(tmp_path / "good"), site(tmp_path / "odd", max_depth=3)
    odd.ca.write_bytes(oddities.pem(oddities.with_version(3, ca=True)))
    settings = told(tmp_path, good, odd)
    with pytest.raises(UnusableError, match=r"line 1: .*version field 3"):
        load(settings)
    loaded = restore(settings)
    assert list(loaded.sites) == [good.policy]
    assert list(loaded.broken) == [odd.policy]
    assert "version field 3" in loaded.broken[odd.policy]


class Down:
    """A supervisor whose verifier does not come up."""

    link = None
    down = "the certificate verifier does not start: no descriptors"

    def forget(self, _: object) -> None: ...


@pytest.mark.asyncio
async def test_a_question_to_one_that_is_down_is_answered_at_once() -> None:
    answers: list[ClientVerdict | None] = []
    Question(cast(Supervisor, Down()), "p" * 32, [b"DER"], answers.append)
    assert not answers  # never from `__init__`
    await asyncio.sleep(0)
    assert answers == [None]
