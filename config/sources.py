"""Where a value comes from: command line > environment > file > profile's default."""

from __future__ import annotations

from collections.abc import Mapping

from kssl.config.errors import ConfigError
from kssl.config.parameter import Profile, Value
from kssl.config.parameters import Parameters, find_parameter
from kssl.config.table import PARAMETERS

DEFAULT, FILE, ENVIRONMENT, COMMAND_LINE = "default", "file", "environment", "command line"

PREFIX = "KSSL_SET_"
"""``KSSL_SET_MAXCONNECTIONS=2000`` in the environment; the name in any case."""


def from_environment(environment: Mapping[str, str]) -> dict[str, Value]:
    """Registry name → value. Raises ConfigError for an unknown name or a bad value."""
    values: dict[str, Value] = {}
    for variable, text in environment.items():
        if variable.upper().startswith(PREFIX):
            try:
                parameter = find_parameter(variable[len(PREFIX) :])
                values[parameter.name] = parameter.parse(text)
            except ConfigError as error:
                raise ConfigError(f"environment variable {variable}: {error}") from None
    return values


def resolve(
    profile: Profile,
    *,
    file: Mapping[str, Value],
    environment: Mapping[str, Value],
    command_line: Mapping[str, Value],
) -> tuple[Parameters, dict[str, str]]:
    """The values in force, and the source of each. All keys are registry names as in the table.

    Raises ConfigError for a value out of range.
    """
    layers = ((FILE, file), (ENVIRONMENT, environment), (COMMAND_LINE, command_line))
    values: dict[str, Value] = {}
    sources = {row.name: DEFAULT for row in PARAMETERS}
    for source, layer in layers:
        values |= layer
        sources |= dict.fromkeys(layer, source)
    return Parameters.of(values, profile), sources
