"""What goes wrong in a benchmark."""

from __future__ import annotations


class BenchError(RuntimeError):
    """The benchmark cannot go on, or its numbers would be lies; str() is for people."""
