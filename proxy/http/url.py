"""Limits of paths."""
# STAND-IN

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UrlRules:
    segment_max_length: int = 260
    segment_max_count: int = 255
    allow_restricted_chars: bool = False
    percent_u_allowed: bool = True
    enable_non_utf8: bool = True
    favor_utf8: bool = True
