"""A table with aligned columns."""

from __future__ import annotations

from collections.abc import Sequence


def render(
    head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, *, last_left: bool = False
) -> str:
    """The first ``left`` columns (and the last) to the left, the others, numbers, to the right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width)
            if column < left or (last_left and column == len(head) - 1)
            else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def number(value: float) -> str:
    """Three significant digits or more, thousands apart."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
