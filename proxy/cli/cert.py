"""`kssl cert`: certificates and their bindings, staged until `kssl cert commit`.

What a command is asked for goes to stdout, notes go to stderr. Private keys are loaded in this
process, to see that they belong to their certificates; it ends when they are stored.
"""

from __future__ import annotations

import argparse
import getpass
import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kssl.config.credentials import Credentials, PassphraseNeededError, pem_credentials
from kssl.config.document.where import NAME, VARIABLE, config_path
from kssl.config.errors import ConfigError, printable
from kssl.config.parameter import Profile
from kssl.config.pemfile import SourceFile, read_source
from kssl.config.profiles import RULES
from kssl.config.running import RunningService, running_services
from kssl.config.statedir import default_state_dir
from kssl.config.store.bindings import read_bindings
from kssl.config.store.pkcs12 import is_pkcs12, pkcs12_credentials
from kssl.config.store.place import FORMS, HOSTNAMEPORT, IPPORT, Place, parse_place
from kssl.config.store.report import list_report, show_report
from kssl.config.store.sites import read_sites
from kssl.config.store.staged import BIND, UNBIND
from kssl.config.store.store import Store, short
from kssl.fastpath.ipc.hardening import protect_memory
from kssl.proxy.cli import cert_test
from kssl.proxy.cli.cert_text import CERTHASH, STAGED, count, list_text, show_text, told

# Of `netsh http add sslcert`: what has no meaning here, and what would change the meaning.
IGNORED = ("appid", "certstorename")
UNSUPPORTED = frozenset(
    (
        "ccs", "disablehttp2", "disablequic", "disablelegacytls", "disabletls12", "disabletls13",
        "disableocspstapling", "enabletokenbinding", "logextendedevents", "enablesessionticket",
        "disablesessionid",
    )
)  # fmt: skip
_SAME_NAME = "is no part of a binding here; set the key of this name in its [[site]] of kssl.toml"
_TRUST = "is no part of a binding here; whom to trust is client_ca in its [[site]] of kssl.toml"
ELSEWHERE = {
    "clientcertnegotiation": (
        "is no part of a binding here; in its [[site]] of kssl.toml write "
        'sslFlags = ["Ssl", "SslNegotiateCert"] and client_ca'
    ),
    "verifyclientcertrevocation": _SAME_NAME,
    "verifyrevocationwithcachedclientcertonly": _SAME_NAME,
    "revocationfreshnesstime": _SAME_NAME,
    "urlretrievaltimeout": _SAME_NAME,
    "usagecheck": _SAME_NAME,
    "sslctlidentifier": _TRUST,
    "sslctlstorename": _TRUST,
    "dsmapperusage": (
        "is not supported: nobody is mapped to an account of Windows here; what the app is told "
        "of a client's certificate is client_cert_headers in its [[site]] of kssl.toml"
    ),
    "reject": (
        "is not supported: no binding refuses connections here; to refuse whoever presents a "
        "certificate: kssl reg set RejectClientCertificates 1"
    ),
}
"""What netsh says of client certificates → where it is said here. It is not passed over: whoever
writes it believes that it is in force."""
_MAX_PASSPHRASE = 4096  # bytes; the bound is for a wrong file


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("cert", help="certificates, and what they are bound to")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        one = actions.add_parser(name, help=text, description=text)
        one.add_argument("--state-dir", type=Path, metavar="DIR")
        one.add_argument(
            "--config", type=Path, metavar="FILE",
            help=f"default ${VARIABLE}, else {NAME} in the state folder",
        )  # fmt: skip
        one.set_defaults(run=run)
        return one

    add = action("add", run_add, "stage a certificate and its key: PEM or PKCS #12")
    add.add_argument("file", type=Path, metavar="FILE", help="the chain; with the key, or --key")
    add.add_argument("--key", type=Path, metavar="FILE", help="PEM private key")
    add.add_argument("--pfx", action="store_true", help="PKCS #12; else its content tells")
    add.add_argument(
        "--passphrase-file", type=Path, metavar="FILE",
        help="its first line opens the key; else it is asked for on a terminal",
    )  # fmt: skip
    bind = action("bind", run_bind, "stage a binding; a former one of the same place is replaced")
    bind.add_argument(
        "words", nargs="+", metavar="KEY=VALUE", help=f"{FORMS}; and {CERTHASH}=THUMBPRINT"
    )
    unbind = action("unbind", run_unbind, "stage the end of a binding")
    unbind.add_argument("words", nargs="+", metavar="KEY=VALUE", help=FORMS)
    listing = action("list", run_list, "what is in the store, what is staged, what is served")
    listing.add_argument("--json", action="store_true")
    show = action("show", run_show, "everything about one certificate")
    show.add_argument("thumbprint", metavar="THUMBPRINT")
    show.add_argument("--json", action="store_true")
    delete = action("delete", run_delete, "stage a deletion")
    delete.add_argument("thumbprint", metavar="THUMBPRINT")
    delete.add_argument("--force", action="store_true", help="with its bindings")
    action("commit", run_commit, "make what is staged real")
    action("discard", run_discard, "drop what is staged")
    cert_test.register(actions)


def run_add(arguments: argparse.Namespace) -> int:
    protect_memory()
    store = _store(arguments)
    credentials = _load(arguments)
    thumbprint, note = store.add(credentials)
    _notes([*credentials.warnings, *([note] if note else [])])
    print(thumbprint)
    return _staged(store)


def run_bind(arguments: argparse.Namespace) -> int:
    words = _words(arguments.words)
    place = _place(words)
    certhash = words.pop(CERTHASH, "")
    if not certhash:
        raise ConfigError(f"{CERTHASH}= is missing; give the thumbprint: kssl cert list")
    _nothing_else(words)
    store = _store(arguments)
    _notes(store.bind(place, certhash))
    return _staged(store)


def run_unbind(arguments: argparse.Namespace) -> int:
    words = _words(arguments.words)
    place = _place(words)
    _nothing_else(words)
    store = _store(arguments)
    store.unbind(place)
    return _staged(store)


def run_delete(arguments: argparse.Namespace) -> int:
    store = _store(arguments)
    others = _configs(_services(arguments))
    _notes(store.delete(arguments.thumbprint, force=arguments.force, others=others))
    return _staged(store)


def run_list(arguments: argparse.Namespace) -> int:
    store = _store(arguments)
    report = list_report(store.view(), read_sites(store.config), datetime.now(UTC))
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        _print(list_text(report))
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    store = _store(arguments)
    entry = store.entry(arguments.thumbprint)
    report = show_report(entry, read_sites(store.config), datetime.now(UTC))
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        _print(show_text(report))
    return 0


def run_commit(arguments: argparse.Namespace) -> int:
    protect_memory()
    store = _store(arguments)
    services = _services(arguments)
    concerned = [each for each in services if _runs_with(each, store.config)]
    keep = _still_named(store, concerned)
    changes = store.commit(datetime.now(UTC), _configs(services), keep)
    kept = store.deletions()
    if not changes and not kept:
        print("nothing is staged; nothing changes")
        return 0
    _print(told(change) for change in changes)
    if any(change.op in (BIND, UNBIND) for change in changes):
        _print([f"written: {store.config}"])
    if changes:
        _print(_tell(service) for service in concerned)
    _notes(
        f"{short(thumbprint)} is not deleted yet: {_who(keep[thumbprint])} may still serve it; "
        "after its restart (kssl restart), repeat: kssl cert commit"
        for thumbprint in kept
        if thumbprint in keep
    )
    return 0


def run_discard(arguments: argparse.Namespace) -> int:
    dropped = _store(arguments).discard()
    if dropped == 0:
        print("nothing was staged")
    else:
        print("dropped what was staged" if dropped < 0 else f"dropped: {count(dropped)}")
    return 0


# --- what they have in common


def _store(arguments: argparse.Namespace) -> Store:
    state_dir = _state_dir(arguments)
    return Store(state_dir, config_path(arguments.config, state_dir, os.environ))


def _state_dir(arguments: argparse.Namespace) -> Path:
    return arguments.state_dir or default_state_dir()


def _services(arguments: argparse.Namespace) -> list[RunningService]:
    return running_services(_state_dir(arguments))


def _configs(services: Sequence[RunningService]) -> set[Path]:
    return {Path(service.config) for service in services if service.config}


def _runs_with(service: RunningService, config: Path) -> bool:
    return bool(service.config) and Path(service.config).resolve() == config


def _still_named(store: Store, services: Iterable[RunningService]) -> dict[str, RunningService]:
    """Thumbprints → a service that needs their files: until its restart it goes by the
    configuration file as it was at its start, and so does a worker that has to be replaced."""
    named: dict[str, RunningService] = {}
    for service in services:
        if RULES[Profile(service.profile)].hot_certificates:
            continue
        if _started(service) > _changed(store.config):
            named |= dict.fromkeys(read_bindings(store.config).values(), service)
        else:  # what it has read is gone
            named |= dict.fromkeys(store.deletions(), service)
    return named


def _started(service: RunningService) -> float:
    """Seconds since the epoch, as files have them."""
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + service.started / os.sysconf("SC_CLK_TCK")


def _changed(path: Path) -> float:
    """When the file was last changed or moved to its place; infinite: nobody can tell."""
    try:
        return path.stat().st_ctime
    except OSError:
        return math.inf


def _who(service: RunningService) -> str:
    return f"service {service.pid} ({service.where})"


def _tell(service: RunningService) -> str:
    """Make `service` serve what was committed, or say what is left to be done."""
    who = _who(service)
    profile = Profile(service.profile)
    if not RULES[profile].hot_certificates:
        return (
            f"{who}: takes effect after restart (kssl restart): in profile {profile}, server "
            "certificate configuration changes require a restart of the HTTP service"
        )
    try:
        os.kill(service.pid, signal.SIGHUP)
    except ProcessLookupError:
        return f"{who}: has ended meanwhile"
    except PermissionError:
        return f"{who}: cannot be told by this user; run: kill -HUP {service.pid}"
    return f"{who}: reloaded"


def _staged(store: Store) -> int:
    if store.staged():
        print(STAGED, file=sys.stderr)
    return 0


def _notes(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"note: {printable(line)}", file=sys.stderr)


def _print(lines: Iterable[str]) -> None:
    """Subjects and names in certificates are foreign text: nothing in them may be obeyed."""
    for line in lines:
        print(printable(line))


# --- add


def _load(arguments: argparse.Namespace) -> Credentials:
    """Ask for a passphrase only if one is needed; the files are read once."""
    source = read_source(arguments.file, "certificate")
    key = None if arguments.key is None else read_source(arguments.key, "key")
    pfx = arguments.pfx or is_pkcs12(source.data)
    if pfx and key is not None:
        raise ConfigError(f"{source.path} is PKCS #12 and holds its key; leave out --key")
    passphrase = _passphrase_of(arguments.passphrase_file)
    try:
        return _opened(source, key, pfx, passphrase)
    except PassphraseNeededError as error:
        if passphrase is not None or not sys.stdin.isatty():
            raise ConfigError(
                f"{error} (--passphrase-file FILE; on a terminal, you are asked)"
            ) from None
    name = printable(str((key or source).path))
    passphrase = getpass.getpass(f"Passphrase of {name}: ").encode()
    return _opened(source, key, pfx, passphrase)


def _opened(
    source: SourceFile, key: SourceFile | None, pfx: bool, passphrase: bytes | None
) -> Credentials:
    if pfx:
        return pkcs12_credentials(source, passphrase)
    return pem_credentials(source, key, passphrase)


def _passphrase_of(path: Path | None) -> bytes | None:
    if path is None:
        return None
    source = read_source(path, "passphrase")
    if len(source.data) > _MAX_PASSPHRASE:
        raise ConfigError(f"passphrase file {path} is larger than {_MAX_PASSPHRASE} bytes")
    return source.data.splitlines()[0]


# --- bind, unbind


def _words(words: Sequence[str]) -> dict[str, str]:
    """``KEY=VALUE …`` with keys in lower case. Raises ConfigError."""
    found: dict[str, str] = {}
    for word in words:
        key, separator, value = word.partition("=")
        key = key.lower()
        if not separator or not value:
            raise ConfigError(f"{word!r} is not KEY=VALUE; write {FORMS}, and {CERTHASH}=…")
        if key in found:
            raise ConfigError(f"{key}= is given twice; give it once")
        if key in UNSUPPORTED:
            raise ConfigError(f"{key}= is not supported yet; leave it out")
        if key in ELSEWHERE:
            raise ConfigError(f"{key}= {ELSEWHERE[key]}")
        if key in IGNORED:
            _notes([f"{key}= is ignored: it has no meaning here"])
            continue
        if key not in (IPPORT, HOSTNAMEPORT, CERTHASH):
            raise ConfigError(f"{key}= is not known; write {FORMS}, and {CERTHASH}=…")
        found[key] = value
    return found


def _place(words: dict[str, str]) -> Place:
    """Takes the place out of `words`. Raises ConfigError."""
    kinds = [kind for kind in (IPPORT, HOSTNAMEPORT) if kind in words]
    if len(kinds) != 1:
        raise ConfigError(f"give one place to bind: {FORMS}")
    return parse_place(kinds[0], words.pop(kinds[0]))


def _nothing_else(words: dict[str, str]) -> None:
    for key in words:
        raise ConfigError(f"{key}= has no meaning with this command; leave it out")
