"""The checked set of values: one for each row of `kssl.config.table.PARAMETERS`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from kssl.config.errors import ConfigError
from kssl.config.parameter import Parameter, Profile, Value
from kssl.config.table import PARAMETERS

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """A value for each row of the table; units as there. Without arguments: the native defaults.

    `max_field_length` is never larger than `max_request_bytes` (it is lowered, as http.sys
    does), so a reader need not combine the two. `max_connections` 0 means unlimited.

    Raises:
        ConfigError: a value is out of range.
    """

    enable_kernel_ssl: int = 1
    user_mode_hops: int = 1
    enable_ssl_close_notify: int = 1
    tls_preset: str = ""
    disable_ssl_cert_chain_cache_only_url_retrieval: int = 0
    url_retrieval_allowed: str = ""
    reject_client_certificates: int = 0
    max_field_length: int = 16384
    max_request_bytes: int = 32768
    max_response_head_bytes: int = 65536
    url_segment_max_length: int = 0
    url_segment_max_count: int = 0
    allow_restricted_chars: int = 0
    percent_u_allowed: int = 1
    enable_non_utf8: int = 1
    favor_utf8: int = 1
    max_connections: int = 0
    max_connection_memory: int = 0
    max_bytes_per_send: int = 131072
    disable_server_header: int = 0
    idle_connection_timeout: int = 120
    header_wait_timeout: int = 30
    entity_body_timeout: int = 120
    upstream_connect_timeout: int = 10
    upstream_response_timeout: int = 120
    tunnel_idle_timeout: int = 3600
    stop_grace: int = 4
    restart_grace: int = 600
    enable_error_logging: int = 1
    error_log_file_truncate_size: int = 0x100000
    error_logging_dir: str = ""

    def __post_init__(self) -> None:
        for parameter in PARAMETERS:
            parameter.check(getattr(self, parameter.attribute))
        if self.max_field_length > self.max_request_bytes:
            object.__setattr__(self, "max_field_length", self.max_request_bytes)

    @property
    def by_name(self) -> dict[str, Value]:
        """Registry name → value, in the order of the table."""
        return {row.name: getattr(self, row.attribute) for row in PARAMETERS}

    @classmethod
    def of(cls, values: Mapping[str, Value], profile: Profile = Profile.NATIVE) -> Parameters:
        """`values` by registry name, the rest from `profile`. Raises ConfigError."""
        named = {find_parameter(name).name: value for name, value in values.items()}
        every = {row.attribute: named.get(row.name, row.default_in(profile)) for row in PARAMETERS}
        return cls(**every)  # type: ignore[arg-type]  # __post_init__ checks each type


def parse_assignment(assignment: str) -> tuple[Parameter, Value]:
    """``Name=Value`` as typed after ``--set``.

    Raises:
        ConfigError: not an assignment, an unknown name, not a number, or out of range.
    """
    name, equals, text = assignment.partition("=")
    name = name.strip()
    if not equals or not name:
        raise ConfigError(
            f"{assignment!r} is not an assignment; write NAME=VALUE, for example EnableKernelSSL=0"
        )
    parameter = find_parameter(name)
    return parameter, parameter.parse(text)


def parse_assignments(assignments: Iterable[str]) -> dict[str, Value]:
    """Registry name → value; of a name given twice the last counts. Raises ConfigError."""
    pairs = map(parse_assignment, assignments)
    return {parameter.name: value for parameter, value in pairs}


# A field that no row describes would escape every check, and a default of its own would differ
# from the documented one; find out at import, not in production.
if [(field.name, field.default) for field in fields(Parameters)] != [
    (row.attribute, row.default) for row in PARAMETERS
]:
    raise AssertionError("PARAMETERS and Parameters differ")
