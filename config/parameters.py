"""The table of toggles, and the checked set of values made from it.

Names, ranges and Windows defaults are those of
``HKLM\\System\\CurrentControlSet\\Services\\HTTP\\Parameters`` where Windows has the value; the
time limits carry the names of http.sys's timers; UserModeHops (after the stations of seeds 002 and
004) and the two ``Upstream…`` ones are ours.

A row stands here only if it changes what this version does. To add one: a row in `PARAMETERS`
and a field in `Parameters`; a test refuses one without the other.

`Parameter.default` is the *native* profile. It differs from Windows in three places:
EnableKernelSSL (Windows Server 2003: 0) and EnableSslCloseNotify (0) are on, because speed and
truncation protection should not have to be asked for; HeaderWaitTimeout is 30 s instead of 120,
because a client that trickles its header holds a connection for that long.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields

from config.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Parameter:
    """One toggle. All values are unsigned integers, like a registry DWORD.

    `windows_default` is None if Windows has no such value. `zero` is the word for a 0 that lies
    outside ``minimum…maximum`` but is allowed and means the absence of a limit; "" if there is
    no such exception.
    """

    name: str
    default: int
    minimum: int
    maximum: int
    unit: str
    meaning: str
    windows_default: int | None = None
    zero: str = ""

    @property
    def attribute(self) -> str:
        """The name in `Parameters`: ``EnableKernelSSL`` is ``enable_kernel_ssl``."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.name).lower()

    @property
    def range_text(self) -> str:
        """The allowed values in words, for messages and documentation."""
        unit = f" {self.unit}" if self.unit else ""
        zero = f"0 ({self.zero}) or " if self.zero else ""
        if not zero and self.maximum - self.minimum == 1:
            return f"{self.minimum} or {self.maximum}{unit}"
        return f"{zero}{self.minimum}-{self.maximum}{unit}"

    def allows(self, value: int) -> bool:
        """Whether `value` is in range, or the 0 that means "no limit"."""
        return self.minimum <= value <= self.maximum or (value == 0 and self.zero != "")


# Upper bound of the timers: 65535 s is the largest that http.sys's timeout properties hold
# (HTTP_TIMEOUT_LIMIT_INFO: USHORT seconds). 0 would mean "give up at once", hence a minimum of 1.
_LONGEST = 0xFFFF

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "EnableKernelSSL", 1, 0, 1, "",
        "1: the front end encrypts records itself (kernel mode); "
        "0: each record goes to the crypto worker and back (user mode)",
        windows_default=0,
    ),
    Parameter(
        "UserModeHops", 1, 1, 2, "processes",
        "user mode, the processes behind the front end: 1: the crypto worker; "
        "2: a filter that only relays, then the worker (HTTPFilter and LSASS). "
        "2 is there to be measured: more CPU time, and one process more whose death ends "
        "connections. No effect in kernel mode",
    ),
    Parameter(
        "EnableSslCloseNotify", 1, 0, 1, "",
        "1: require and send close_notify, and resume a session only after a clean close",
        windows_default=0,
    ),
    Parameter(
        "MaxFieldLength", 16384, 64, 65534, "bytes",
        "longest single header field; lowered to MaxRequestBytes if larger",
        windows_default=16384,
    ),
    Parameter(
        "MaxRequestBytes", 16384, 256, 16777216, "bytes",
        "longest request line and header fields together",
        windows_default=16384,
    ),
    Parameter(
        "MaxConnections", 0, 1024, 2031616, "connections",
        "client connections at the same time; more are refused",
        windows_default=0, zero="unlimited",
    ),
    Parameter(
        "IdleConnectionTimeout", 120, 1, _LONGEST, "seconds",
        "how long a kept-alive connection may wait for its next request",
        windows_default=120,
    ),
    Parameter(
        "HeaderWaitTimeout", 30, 1, _LONGEST, "seconds",
        "time for the whole request header to arrive",
        windows_default=120,
    ),
    Parameter(
        "EntityBodyTimeout", 120, 1, _LONGEST, "seconds",
        "longest pause between two pieces of a request body, or of a client in reading a response",
        windows_default=120,
    ),
    Parameter(
        "UpstreamConnectTimeout", 10, 1, _LONGEST, "seconds",
        "time for a connection to the upstream to open",
    ),
    Parameter(
        "UpstreamResponseTimeout", 120, 1, _LONGEST, "seconds",
        "longest wait for the upstream's response header, and between pieces of its body",
    ),
)  # fmt: skip

_BY_LOWER_NAME = {parameter.name.lower(): parameter for parameter in PARAMETERS}


def find_parameter(name: str) -> Parameter:
    """The row called `name`, in any case, as the registry has it.

    Raises:
        ConfigError: there is no such parameter; similar names are suggested.
    """
    parameter = _BY_LOWER_NAME.get(name.lower())
    if parameter is None:
        close = difflib.get_close_matches(name.lower(), _BY_LOWER_NAME, n=3, cutoff=0.6)
        names = [_BY_LOWER_NAME[lower].name for lower in close]
        hint = (
            f"did you mean {' or '.join(names)}?"
            if names
            else "the names are " + ", ".join(row.name for row in PARAMETERS)
        )
        raise ConfigError(f"there is no parameter {name!r}; {hint}")
    return parameter


def _default(name: str) -> int:
    return find_parameter(name).default


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """A value for each row of the table; units as there. Without arguments: the defaults.

    `max_field_length` is never larger than `max_request_bytes` (it is lowered, as http.sys
    does), so a reader need not combine the two. `max_connections` 0 means unlimited.

    Raises:
        ConfigError: a value is out of range.
    """

    enable_kernel_ssl: int = _default("EnableKernelSSL")
    user_mode_hops: int = _default("UserModeHops")
    enable_ssl_close_notify: int = _default("EnableSslCloseNotify")
    max_field_length: int = _default("MaxFieldLength")
    max_request_bytes: int = _default("MaxRequestBytes")
    max_connections: int = _default("MaxConnections")
    idle_connection_timeout: int = _default("IdleConnectionTimeout")
    header_wait_timeout: int = _default("HeaderWaitTimeout")
    entity_body_timeout: int = _default("EntityBodyTimeout")
    upstream_connect_timeout: int = _default("UpstreamConnectTimeout")
    upstream_response_timeout: int = _default("UpstreamResponseTimeout")

    def __post_init__(self) -> None:
        for parameter in PARAMETERS:
            value = getattr(self, parameter.attribute)
            if not parameter.allows(value):
                raise ConfigError(f"{parameter.name}={value}: must be {parameter.range_text}")
        if self.max_field_length > self.max_request_bytes:
            object.__setattr__(self, "max_field_length", self.max_request_bytes)

    @property
    def by_name(self) -> dict[str, int]:
        """Registry name → value, in the order of the table."""
        return {row.name: int(getattr(self, row.attribute)) for row in PARAMETERS}


def parse_value(parameter: Parameter, text: str) -> int:
    """`text` as a value of `parameter`: decimal, 0x hexadecimal, or its word for no limit.

    Raises:
        ConfigError: not a number, or out of range.
    """
    text = text.strip()
    if parameter.zero and text.lower() == parameter.zero:
        return 0
    # Not int(text, 0): that also takes "1_000", "0o17", " +5" and other scripts' digits. The
    # cap on the digits keeps Python's own ValueError for huge numbers out of the way.
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", text):
        value = int(text, 16)
    elif re.fullmatch(r"[0-9]{1,20}", text):
        value = int(text)
    elif re.fullmatch(r"-?[0-9]+", text):
        raise ConfigError(f"{parameter.name}={text}: must be {parameter.range_text}")
    else:
        raise ConfigError(
            f"{parameter.name}={text}: not a number; must be {parameter.range_text}, "
            "decimal or 0x hexadecimal"
        )
    if not parameter.allows(value):
        raise ConfigError(f"{parameter.name}={text}: must be {parameter.range_text}")
    return value


def parse_assignments(assignments: Iterable[str]) -> Parameters:
    """The parameters after ``Name=Value`` assignments; of a name given twice the last counts.

    Raises:
        ConfigError: not an assignment, an unknown name, not a number, or out of range.
    """
    values: dict[str, int] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ConfigError(
                f"{assignment!r} is not an assignment; write NAME=VALUE, "
                "for example EnableKernelSSL=0"
            )
        parameter = find_parameter(name)
        values[parameter.attribute] = parse_value(parameter, text)
    return Parameters(**values)


def as_markdown() -> str:
    """The table for docs/parameters.md; a test keeps the two the same."""
    lines = [
        "# Parameters",
        "",
        "Set them with `--set NAME=VALUE`, decimal or 0x hexadecimal; names in any case. They are",
        "read when the service starts. Made by `python -m config > docs/parameters.md`.",
        "",
        "| name | default | Windows' default | allowed | meaning |",
        "|---|---|---|---|---|",
    ]
    for row in PARAMETERS:
        windows = "none" if row.windows_default is None else str(row.windows_default)
        lines.append(
            f"| {row.name} | {row.default} | {windows} | {row.range_text} | {row.meaning} |"
        )
    return "\n".join(lines) + "\n"


# A field that no row describes would escape every check; find out at import, not in production.
if {field.name for field in fields(Parameters)} != {row.attribute for row in PARAMETERS}:
    raise AssertionError("PARAMETERS and Parameters differ")
