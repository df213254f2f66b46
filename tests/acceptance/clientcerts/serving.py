"""`kssl serve --config kssl.toml`: a site for each flags and failure, on one address."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from kssl.proxy.service.spawn import spawn_proxy
from tests.acceptance.services import Running, wait_for
from tests.proxy.frontend.certificates.table import FAILURES, FLAGS, host_of
from tests.proxy.frontend.certificates.wallet import Wallet

_SECONDS = 10.0
_FLAG = {"negotiate": "SslNegotiateCert", "require": "SslRequireCert"}


@dataclass(frozen=True)
class Logged:
    """`access`: status and cert=, "" without it. `error`: status and reason."""

    access: tuple[str, str] | None = None
    error: tuple[str, str] | None = None


class Serving(Running):
    """With logs, of which each client has its own lines: it comes from an address of its own."""

    folder: Path

    def logged(self) -> dict[str, Logged]:
        """By the client's address. Ends of connections that were not in order are left out."""
        access = {}
        for line in (self.folder / "access.log").read_text().splitlines():
            status = line.split('"')[2].split()[0]
            _, found, word = line.rpartition(" cert=")
            assert line.split()[0] not in access, line
            access[line.split()[0]] = (status, word if found else "")
        errors = {}
        for path in (self.folder / "HTTPERR").glob("*.log"):
            for line in path.read_text().splitlines():
                fields = line.split(" ")
                if line.startswith("#") or fields[11] == "Unclean_Close":
                    continue
                assert fields[2] not in errors, line
                errors[fields[2]] = (fields[9], fields[11])
        return {
            client: Logged(access.get(client), errors.get(client))
            for client in access.keys() | errors.keys()
        }

    def logged_of(self, clients: Collection[str]) -> dict[str, Logged]:
        """Lines come at the end of a turn of the service's, and may be behind the answers. If some
        do not come at all, what there is."""
        with contextlib.suppress(AssertionError):
            wait_for(lambda: self.logged().keys() >= set(clients), "their lines", _SECONDS)
        return self.logged()


@contextlib.contextmanager
def serving(
    folder: Path, wallet: Wallet, app_port: int, mode: str, *more: str
) -> Iterator[Serving]:
    folder.mkdir(0o700)
    config = folder / "kssl.toml"
    config.write_text(_toml(folder, wallet, app_port, mode))
    config.chmod(0o600)
    state = folder / "state"
    with (
        (folder / "stderr").open("wb") as stderr,
        spawn_proxy(
            None, "--config", str(config), *more,
            state_dir=state, listen=None, access_log=True, stderr=stderr,
        ) as process,
    ):  # fmt: skip
        running = Serving(process, state)
        running.folder = folder
        yield running


def _toml(folder: Path, wallet: Wallet, app_port: int, mode: str) -> str:
    lines = ["[parameters]", f"EnableKernelSSL = {int(mode == 'kernel')}"]
    lines += [f'ErrorLoggingDir = "{folder}"', "[logs]", f'access = "{folder}/access.log"']
    for flags in FLAGS:
        for failure in FAILURES:
            lines += [
                "[[site]]",
                f'hostnames = ["{host_of(flags, failure)}"]',
                'bindings = ["127.0.0.1:0"]',
                f'upstreams = ["127.0.0.1:{app_port}"]',
            ]
            if flags != "ignore":
                lines += [
                    f'sslFlags = ["Ssl", "{_FLAG[flags]}"]',
                    f'client_ca = "{wallet.ca}"',
                    f'client_cert_failure = "{failure}"',
                    f"client_crls = {json.dumps([str(each) for each in wallet.crls])}",
                ]
    return "\n".join([*lines, ""])
