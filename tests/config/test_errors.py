"""kssl.config.errors: one printable line, whatever went into it."""

from __future__ import annotations

from kssl.config.errors import ConfigError, reason


def test_message_is_one_printable_line() -> None:
    text = str(ConfigError("bad name 'a\nb\x1b[31m\u202e\udcff'"))
    assert text == r"bad name 'a\nb\x1b[31m\u202e\udcff'"
    assert text.isprintable()


def test_ordinary_text_is_left_alone() -> None:
    assert str(ConfigError("Schlüssel „ä“ fehlt")) == "Schlüssel „ä“ fehlt"


def test_reason_is_the_systems_words() -> None:
    assert reason(PermissionError(13, "Permission denied", "/x")) == "Permission denied"
    assert reason(TimeoutError()) == "TimeoutError"
