"""Reading kssl.toml."""
# STAND-IN

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.errors import ConfigError
from config.model import Binding, CertificateFiles, Configuration, Site
from config.parameter import Profile, Value
from config.profiles import RULES
from config.sources import from_environment, resolve
from config.target import Listen, Target

DEFAULT_LISTEN = Listen("127.0.0.1", 8443)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    state_dir: Path
    path: Path | None = None
    profile: Profile | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    command_line: Mapping[str, Value] = field(default_factory=dict)
    target: Target | None = None
    listen: Listen = DEFAULT_LISTEN
    listen_given: bool = False
    certificate: Path | None = None
    key: Path | None = None


def read_configuration(request: Request) -> Configuration:
    if request.path is not None:
        raise ConfigError(f"{request.path}: configuration files are not read yet")
    if request.target is None:
        raise ConfigError("no TARGET; give one, or --config FILE with a [[site]]")
    profile = request.profile or Profile.NATIVE
    environment = from_environment(request.environment)
    parameters, sources = resolve(
        profile, file={}, environment=environment, command_line=request.command_line
    )
    site = Site(
        name="default",
        bindings=(Binding(request.listen),),
        default=True,
        certificate=CertificateFiles(request.certificate, request.key)
        if request.certificate
        else None,
        upstreams=(request.target,),
        ssl_flags=frozenset(("Ssl",) if RULES[profile].ssl_required else ()),
    )
    return Configuration(profile=profile, parameters=parameters, sources=sources, sites=(site,))
