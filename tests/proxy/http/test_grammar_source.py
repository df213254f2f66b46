"""What the patterns may not contain."""

from __future__ import annotations

import re

from kssl.proxy.http import grammar, names


def test_no_group_is_repeated_possessively() -> None:
    """Python before 3.11.5 matches such a group wrongly (python/cpython#106052)."""
    matchers = [*vars(grammar).values(), names.special_lines]
    patterns = [
        matcher.__self__.pattern
        for matcher in matchers
        if isinstance(getattr(matcher, "__self__", None), re.Pattern)
    ]
    assert len(patterns) > 10
    for pattern in patterns:
        groups = re.sub(rb"\[(?:\\.|[^\]\\])*\]", b"[]", pattern)  # without what classes contain
        assert re.search(rb"(?<!\\)\)[*+?]\+", groups) is None, pattern
