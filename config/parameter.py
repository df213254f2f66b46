"""One row of the parameter table: a value's type, range, defaults and meaning."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from kssl.config.errors import ConfigError

Value = int | str
"""REG_DWORD or REG_SZ."""


class Profile(enum.StrEnum):
    """Where the defaults come from, and what is not available. See `kssl.config.profiles`."""

    NATIVE = "native"
    WS2008 = "ws2008"
    WS2003SP1 = "ws2003sp1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One toggle.

    A number is unsigned, ``minimum…maximum``, like a registry DWORD; a text is at most `maximum`
    characters long. `windows` is the default of Windows, None if it has no such value; `ws2008` is
    the one of Windows Server 2008 where that differs from Server 2003's. `zero` is the word for a
    0 that lies outside the range, or that the range's numbers do not explain; "" if there is none.
    `words`: what a text may be, if it is not any text; "" is the default's.
    `live` values apply on SIGHUP, the others when the service starts, as all of http.sys's do.
    """

    name: str
    default: Value
    windows: Value | None = None
    ws2008: Value | None = None
    minimum: int = 0
    maximum: int
    unit: str = ""
    zero: str = ""
    words: tuple[str, ...] = ()
    live: bool = False
    meaning: str
    risk: str

    @property
    def is_text(self) -> bool:
        return isinstance(self.default, str)

    @property
    def attribute(self) -> str:
        """The name in `Parameters`: ``EnableNonUTF8`` is ``enable_non_utf8``."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})", "_", self.name).lower()

    @property
    def range_text(self) -> str:
        """The allowed values in words, for messages and documentation."""
        unit = f" {self.unit}" if self.unit else ""
        if self.words:
            return " or ".join(word or "empty" for word in self.words)
        if self.is_text:
            return f"a text of at most {self.maximum} characters"
        if self.minimum == 0 and self.zero:
            return f"0 ({self.zero}) to {self.maximum}{unit}"
        zero = f"0 ({self.zero}) or " if self.zero else ""
        if not zero and self.maximum - self.minimum == 1:
            return f"{self.minimum} or {self.maximum}{unit}"
        return f"{zero}{self.minimum}-{self.maximum}{unit}"

    def default_in(self, profile: Profile) -> Value:
        if profile is Profile.WS2008 and self.ws2008 is not None:
            return self.ws2008
        if profile is not Profile.NATIVE and self.windows is not None:
            return self.windows
        return self.default

    def live_in(self, profile: Profile) -> bool:
        """Whether SIGHUP applies it. Windows reads all values when the driver starts."""
        return self.live and profile is Profile.NATIVE

    def allows(self, value: Value) -> bool:
        """Whether `value` has the right type and is in range, or the 0 with a word of its own."""
        if self.words:
            return value in self.words
        if isinstance(value, str):
            return self.is_text and len(value) <= self.maximum and value.isprintable()
        if self.is_text or isinstance(value, bool):
            return False
        return self.minimum <= value <= self.maximum or (value == 0 and self.zero != "")

    def check(self, value: object) -> Value:
        """`value` from a file or registry, if it may be one of this parameter.

        Raises:
            ConfigError: wrong type or out of range. It begins with ``Name=value``.
        """
        if isinstance(value, bool):
            raise ConfigError(f"{self.name}={str(value).lower()}: write {int(value)}")
        if not isinstance(value, str if self.is_text else int):
            shown = f'"{value}"' if isinstance(value, str) else str(value)
            what = "a text in quotes" if self.is_text else "a number without quotes"
            raise ConfigError(f"{self.name}={shown}: must be {what}, {self.range_text}")
        if not self.allows(value):
            raise ConfigError(f"{self.name}={value}: must be {self.range_text}")
        return value

    def parse(self, text: str) -> Value:
        """`text` as typed by a person: decimal, 0x hexadecimal, or its word for zero.

        Raises:
            ConfigError: not a number, or out of range.
        """
        if self.is_text:
            return self.check(text)
        text = text.strip()
        if self.zero and text.lower() == self.zero:
            return 0
        # Not int(text, 0): that also takes "1_000", "0o17", " +5" and other scripts' digits. The
        # cap on the digits keeps Python's own ValueError for huge numbers out of the way.
        if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", text):
            value = int(text, 16)
        elif re.fullmatch(r"[0-9]{1,20}", text):
            value = int(text)
        elif re.fullmatch(r"-?[0-9]+", text):
            raise ConfigError(f"{self.name}={text}: must be {self.range_text}")
        else:
            raise ConfigError(
                f"{self.name}={text}: not a number; must be {self.range_text}, "
                "decimal or 0x hexadecimal"
            )
        if not self.allows(value):
            raise ConfigError(f"{self.name}={text}: must be {self.range_text}")
        return value
