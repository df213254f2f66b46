"""`kssl cert`: as a person runs it."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from kssl.config.document.keys import CLIENT_CERTIFICATES
from kssl.config.running import RunningService, remove_record, start_time, write_record
from kssl.config.store.bindings import read_bindings
from kssl.config.store.place import IPPORT, parse_place
from kssl.proxy.cli.cert import ELSEWHERE
from tests.config.store.made import APP, NOW, OTHER, WEB, Made, secrets_of
from tests.needs import need
from tests.proxy.cli.conftest import Kssl
from tests.proxy.frontend.rig import wait_for

ANY = parse_place(IPPORT, "*:443")
PASSPHRASE = "correct horse"
STAGED = "staged; nothing changes until: kssl cert commit\n"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder that `kssl` uses."""
    return tmp_path / "xdg" / "kssl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """app.pem, app.key, both.pem, encrypted.key, other.key, and passphrase."""
    both = APP.pem + APP.key
    key = load_pem_private_key(APP.key, None)
    encrypted = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode())
    )
    for name, data in (
        ("app.pem", APP.pem), ("app.key", APP.key), ("both.pem", both), ("other.key", OTHER.key),
        ("encrypted.key", encrypted), ("passphrase", PASSPHRASE.encode() + b"\nsecond line\n"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def added(kssl: Kssl, folder: Path, made: Made = APP) -> str:
    path = folder / "some.pem"
    path.write_bytes(made.pem + made.key)
    path.chmod(0o600)
    result = kssl("cert", "add", str(path))
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def fine(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    assert not any(secret in result.stdout + result.stderr for secret in secrets_of(APP))
    assert PASSPHRASE not in result.stdout + result.stderr
    return result.stdout


def refused(result: subprocess.CompletedProcess[str], words: str) -> None:
    assert result.returncode == 2
    assert result.stdout == ""
    assert words in result.stderr
    assert result.stderr.startswith("kssl: ")
    assert result.stderr.count("\n") == 1
    assert not any(secret in result.stderr for secret in secrets_of(APP))
    assert PASSPHRASE not in result.stderr


def test_from_add_to_served_to_deleted(kssl: Kssl, folder: Path, state: Path) -> None:
    result = kssl("cert", "add", str(folder / "app.pem"), "--key", str(folder / "app.key"))
    assert fine(result) == f"{APP.thumbprint}\n"
    assert result.stderr == STAGED
    result = kssl("cert", "bind", "ipport=*:443", f"certhash={APP.thumbprint[:8].upper()}")
    assert (fine(result), result.stderr) == ("", STAGED)
    assert not (state / "kssl.toml").exists()
    assert "staged add" in fine(kssl("cert", "list"))
    lines = fine(kssl("cert", "commit")).splitlines()
    short = APP.thumbprint[:16]
    assert lines == [
        f"added {short}",
        f"bound ipport=*:443 to {short}",
        f"written: {state / 'kssl.toml'}",
    ]
    assert read_bindings(state / "kssl.toml") == {ANY: APP.thumbprint}
    key = state / "certificates" / f"{APP.thumbprint}.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    listed = fine(kssl("cert", "list"))
    assert short in listed
    assert "served" in listed
    assert "app.example" in listed
    assert "    ipport=*:443\n" in listed
    shown = fine(kssl("cert", "show", short))
    assert APP.thumbprint in shown
    assert "issued by the next" in shown
    refused(kssl("cert", "delete", short), "is bound to ipport=*:443")
    assert fine(kssl("cert", "delete", short, "--force")) == ""
    assert fine(kssl("cert", "commit")).startswith("unbound ipport=*:443\ndeleted")
    assert fine(kssl("cert", "list")) == "no certificates; add one: kssl cert add FILE\n"
    assert not key.exists()
    assert fine(kssl("cert", "commit")) == "nothing is staged; nothing changes\n"


def test_discard(kssl: Kssl, folder: Path, state: Path) -> None:
    assert fine(kssl("cert", "discard")) == "nothing was staged\n"
    added(kssl, folder)
    assert fine(kssl("cert", "discard")) == "dropped: 1 change\n"
    assert [path for path in state.rglob("*") if path.suffix in (".pem", ".key", ".json")] == []


def test_json(kssl: Kssl, folder: Path) -> None:
    added(kssl, folder)
    report = json.loads(fine(kssl("cert", "list", "--json")))
    assert [each["thumbprint"] for each in report["certificates"]] == [APP.thumbprint]
    assert report["staged"] == 1
    shown = json.loads(fine(kssl("cert", "show", "--json", APP.thumbprint)))
    assert shown["names"] == ["app.example"]


def test_another_configuration_file(kssl: Kssl, folder: Path, state: Path) -> None:
    path = folder / "own.toml"
    path.write_text('# mine\n[[site]]\nhostnames = ["app.example"]\n')
    added(kssl, folder)
    fine(kssl("cert", "bind", "--config", str(path), "ipport=*:443", f"certhash={APP.thumbprint}"))
    refused(kssl("cert", "commit"), "give --config")
    fine(kssl("cert", "commit", "--config", str(path)))
    assert path.read_text().startswith('# mine\n[[site]]\nhostnames = ["app.example"]\n')
    assert read_bindings(path) == {ANY: APP.thumbprint}
    assert not (state / "kssl.toml").exists()
    shown = fine(kssl("cert", "show", "--config", str(path), APP.thumbprint))
    assert "covers      app.example\n" in shown


def test_the_configuration_file_of_the_environment(kssl: Kssl, folder: Path, state: Path) -> None:
    added(kssl, folder)
    for action in (("bind", "ipport=*:443", f"certhash={APP.thumbprint}"), ("commit",)):
        subprocess.run(
            [sys.executable, "-m", "kssl.proxy", "cert", *action, "--state-dir", str(state)],
            env={**os.environ, "KSSL_CONFIG": str(folder / "env.toml")},
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
    assert read_bindings(folder / "env.toml") == {ANY: APP.thumbprint}


# --- what can be added


def test_a_shuffled_chain_is_put_in_order_with_a_note(
    kssl: Kssl, folder: Path, state: Path
) -> None:
    (folder / "app.pem").write_bytes(b"".join(reversed(APP.chain)))
    result = kssl("cert", "add", str(folder / "app.pem"), "--key", str(folder / "app.key"))
    assert fine(result) == f"{APP.thumbprint}\n"
    assert "note: " in result.stderr
    assert "the chain is out of order" in result.stderr
    fine(kssl("cert", "commit"))
    stored = (state / "certificates" / f"{APP.thumbprint}.pem").read_bytes()
    assert stored.split() == APP.pem.split()


def test_an_expired_one_is_warned_of(kssl: Kssl, folder: Path) -> None:
    made = Made("late.example", not_after=NOW.replace(year=NOW.year - 1, day=1))
    path = folder / "late.pem"
    path.write_bytes(made.pem + made.key)
    result = kssl("cert", "add", str(path))
    assert fine(result) == f"{made.thumbprint}\n"
    assert "expired on" in result.stderr
    assert "other users may read this private key" in result.stderr
    assert ", expired" in fine(kssl("cert", "list"))


def test_a_duplicate(kssl: Kssl, folder: Path) -> None:
    added(kssl, folder)
    fine(kssl("cert", "commit"))
    result = kssl("cert", "add", str(folder / "both.pem"))
    assert fine(result) == f"{APP.thumbprint}\n"
    assert result.stderr == "note: it is there already\n"


def test_an_encrypted_key(kssl: Kssl, folder: Path, state: Path) -> None:
    files = (str(folder / "app.pem"), "--key", str(folder / "encrypted.key"))
    refused(kssl("cert", "add", *files), "--passphrase-file FILE")
    result = kssl("cert", "add", *files, "--passphrase-file", str(folder / "passphrase"))
    assert fine(result) == f"{APP.thumbprint}\n"
    fine(kssl("cert", "commit"))
    key = (state / "certificates" / f"{APP.thumbprint}.key").read_bytes()
    assert b"ENCRYPTED" not in key
    (folder / "passphrase").write_text("wrong horse\n")
    result = kssl("cert", "add", *files, "--passphrase-file", str(folder / "passphrase"))
    refused(result, "the passphrase does not open this private key")


def test_pkcs12_by_content_and_by_option(kssl: Kssl, folder: Path) -> None:
    pfx = folder / "app.bin"
    subprocess.run(
        [need("openssl"), "pkcs12", "-export", "-in", str(folder / "app.pem"), "-inkey",
         str(folder / "app.key"), "-out", str(pfx), "-passout", f"file:{folder / 'passphrase'}"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    refused(kssl("cert", "add", str(pfx)), "encrypted and no passphrase is given")
    with_passphrase = ("--passphrase-file", str(folder / "passphrase"))
    refused(
        kssl("cert", "add", str(pfx), "--key", str(folder / "app.key"), *with_passphrase),
        "leave out --key",
    )
    refused(kssl("cert", "add", "--pfx", str(folder / "app.pem")), "is not PKCS #12")
    for options in ((), ("--pfx",)):
        assert fine(kssl("cert", "add", str(pfx), *options, *with_passphrase)).strip() == (
            APP.thumbprint
        )


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [(PASSPHRASE, 0, STAGED.strip()), ("wrong horse", 2, "does not open"), ("", 2, "encrypted")],
)
def test_the_passphrase_is_asked_for_on_a_terminal(
    folder: Path, typed: str, code: int, words: str
) -> None:
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "kssl.proxy", "cert", "add", str(folder / "app.pem"), "--key",
         str(folder / "encrypted.key"), "--state-dir", str(folder / "state")],
        stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    try:
        assert process.stderr is not None
        prompt = b""
        while not prompt.endswith(b"encrypted.key: "):
            byte = process.stderr.read(1)
            assert byte, prompt
            prompt += byte
        # It is about to hold a key: no core file may have it.
        assert re.search(
            r"Max core file size +0 +0 ", Path(f"/proc/{process.pid}/limits").read_text()
        )
        os.write(master, typed.encode() + b"\n")
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert process.returncode == code
    assert words in errors.decode()
    assert "Traceback" not in errors.decode()
    assert not typed or typed.encode() not in output + errors


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_files_that_are_wrong(kssl: Kssl, folder: Path) -> None:
    der = APP.credentials().chain[0].public_bytes(Encoding.DER)
    key = ("--key", str(folder / "app.key"))
    for path, options, words in (
        (folder / "none.pem", key, "does not exist"),
        (folder, key, "is a folder"),
        (write(folder / "empty", b""), key, "is empty"),
        (write(folder / "huge", b"-" * (1 << 21)), key, "is larger than"),
        (write(folder / "der", der), key, "it looks like DER; convert it: openssl x509"),
        (write(folder / "random", bytes(range(256))), key, "is not PEM"),
        (folder / "app.pem", (), "holds no private key"),
        (folder / "app.pem", ("--key", str(folder / "other.key")), "does not belong to any"),
        (folder / "app.pem", ("--key", str(folder / "empty")), "is empty"),
        (folder / "app.pem", ("--key", str(folder / "app.pem")), "holds no private key"),
        (folder / "app.pem", ("--passphrase-file", str(folder / "none"), *key), "does not exist"),
        (folder / "app.pem", ("--passphrase-file", str(folder / "huge"), *key), "larger than"),
    ):
        refused(kssl("cert", "add", str(path), *options), words)
    assert fine(kssl("cert", "list")).startswith("no certificates")


def test_names_in_certificates_cannot_write_on_the_terminal(kssl: Kssl, folder: Path) -> None:
    issued = trustme.CA(organization_name="\x1b[2Jevil\r\n").issue_cert(
        "app.example", organization_name="\x1b]0;title\x07"
    )
    path = write(folder / "evil.pem", issued.private_key_and_cert_chain_pem.bytes())
    thumbprint = kssl("cert", "add", str(path)).stdout.strip()
    for output in (kssl("cert", "list"), kssl("cert", "show", thumbprint)):
        assert fine(output).replace("\n", "").isprintable()
        assert "\\x1b" in output.stdout or output.args[4] == "list"


# --- bind


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ipport=*:443",), "certhash= is missing"),
        (("certhash=00000000",), "give one place"),
        (("ipport=*:443", "hostnameport=a:443", "certhash=00000000"), "give one place"),
        (("ipport=*:443", "ipport=*:444", "certhash=00000000"), "given twice"),
        (("ipport=nonsense", "certhash=00000000"), "missing"),
        (("ipport", "certhash=00000000"), "is not KEY=VALUE"),
        (("ipport=*:443", "certhash=0000000"), "8 or more"),
        (("ipport=*:443", "certhash=00000000"), "no certificate in the store"),
        (("ipport=*:443", "certhash=00000000", "disabletls13=enable"), "not supported yet"),
        (("ipport=*:443", "certhash=00000000", "colour=red"), "colour= is not known"),
    ],
)
def test_bind_usage(kssl: Kssl, words: tuple[str, ...], message: str) -> None:
    refused(kssl("cert", "bind", *words), message)


@pytest.mark.parametrize(
    ("word", "where"),
    [
        ("ClientCertNegotiation=enable", 'sslFlags = ["Ssl", "SslNegotiateCert"] and client_ca'),
        ("VerifyClientCertRevocation=enable", "set the key of this name in its [[site]]"),
        ("verifyrevocationwithcachedclientcertonly=enable", "set the key of this name"),
        ("revocationfreshnesstime=60", "set the key of this name"),
        ("urlretrievaltimeout=5000", "set the key of this name"),
        ("usagecheck=disable", "set the key of this name"),
        ("sslctlidentifier=x", "whom to trust is client_ca"),
        ("sslctlstorename=CA", "whom to trust is client_ca"),
        ("dsmapperusage=enable", "client_cert_headers"),
        ("reject=enable", "kssl reg set RejectClientCertificates 1"),
    ],
)
def test_what_netsh_says_of_client_certificates_is_said_elsewhere(
    kssl: Kssl, word: str, where: str
) -> None:
    result = kssl("cert", "bind", "ipport=*:443", "certhash=00000000", word)
    refused(result, where)
    assert f"{word.partition('=')[0].lower()}= is " in result.stderr


def test_the_keys_that_netsh_words_are_told_to_be_are_some() -> None:
    told = {word for word, text in ELSEWHERE.items() if "key of this name" in text}
    assert len(told) == 5
    assert told <= {key.name for key in CLIENT_CERTIFICATES}


def test_netsh_words_without_a_meaning_are_ignored(kssl: Kssl, folder: Path) -> None:
    result = kssl(
        "cert", "bind", "IpPort=*:443", f"certhash={added(kssl, folder)}",
        "appid={00112233-4455-6677-8899-AABBCCDDEEFF}", "certstorename=MY",
    )  # fmt: skip
    fine(result)
    assert result.stderr.splitlines()[:2] == [
        "note: appid= is ignored: it has no meaning here",
        "note: certstorename= is ignored: it has no meaning here",
    ]


def test_unbind_usage(kssl: Kssl) -> None:
    refused(kssl("cert", "unbind", "ipport=*:443"), "is not bound")
    refused(kssl("cert", "unbind", "ipport=*:443", "certhash=00000000"), "leave it out")


# --- running services


SERVICE = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGTERM])
print("ready", flush=True)
print(signal.sigwait([signal.SIGHUP, signal.SIGTERM]).name, flush=True)
"""


StartService = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def start_service() -> Iterator[StartService]:
    """Starts processes that say which signal they got first, and end."""
    processes = []

    def start() -> subprocess.Popen[str]:
        written = _ticks()
        wait_for(lambda: _ticks() > written, "a start that is later than what was written")
        process = subprocess.Popen(
            [sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def _ticks() -> int:
    """Return the time as the kernel counts it for the starts of processes."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


@pytest.fixture
def service(start_service: StartService) -> subprocess.Popen[str]:
    return start_service()


def record(state: Path, pid: int, *, config: str, profile: str = "native") -> None:
    write_record(
        state,
        RunningService(
            pid=pid, started=start_time(pid), arguments=[], folder="/", config=config,
            profile=profile, mode="kernel", urls=["https://127.0.0.1:8443"],
        ),
    )  # fmt: skip


def test_commit_reloads_the_service(
    kssl: Kssl, folder: Path, state: Path, service: subprocess.Popen[str]
) -> None:
    added(kssl, folder)
    record(state, service.pid, config=str(state / "kssl.toml"))
    last = fine(kssl("cert", "commit")).splitlines()[-1]
    assert last == f"service {service.pid} (https://127.0.0.1:8443): reloaded"
    assert service.communicate(timeout=60)[0] == "SIGHUP\n"


@pytest.mark.parametrize(
    ("profile", "same_file", "words"),
    [("ws2003sp1", True, "takes effect after restart (kssl restart)"), ("native", False, "")],
)
def test_commit_leaves_other_services_alone(
    kssl: Kssl, folder: Path, state: Path, service: subprocess.Popen[str],
    profile: str, same_file: bool, words: str,
) -> None:  # fmt: skip
    added(kssl, folder)
    config = state / "kssl.toml" if same_file else folder / "other.toml"
    record(state, service.pid, config=str(config), profile=profile)
    output = fine(kssl("cert", "commit"))
    assert words in output
    assert (f"service {service.pid}" in output) is same_file
    service.terminate()
    assert service.communicate(timeout=60)[0] == "SIGTERM\n"


def test_a_service_keeps_what_it_was_started_with_until_its_restart(
    kssl: Kssl, folder: Path, state: Path, start_service: StartService
) -> None:
    """In profile ws2003sp1, a worker that dies is replaced by one with the old certificates."""
    config = state / "kssl.toml"
    old, new = added(kssl, folder, APP), added(kssl, folder, WEB)
    fine(kssl("cert", "bind", "ipport=*:443", f"certhash={old}"))
    fine(kssl("cert", "commit"))
    key = state / "certificates" / f"{old}.key"
    service = start_service()
    record(state, service.pid, config=str(config), profile="ws2003sp1")

    # What it has not read may go at once.
    fine(kssl("cert", "delete", new))
    result = kssl("cert", "commit")
    assert (f"deleted {new[:16]}\n" in fine(result), result.stderr) == (True, "")

    fine(kssl("cert", "delete", old, "--force"))
    for told in ("unbound ipport=*:443", ""):
        result = kssl("cert", "commit")
        assert fine(result).partition("\n")[0] == told
        assert result.stderr == (
            f"note: {old[:16]} is not deleted yet: service {service.pid} "
            "(https://127.0.0.1:8443) may still serve it; after its restart (kssl restart), "
            "repeat: kssl cert commit\n"
        )
        assert read_bindings(config) == {}
        assert key.exists()
    assert "staged delete" in fine(kssl("cert", "list"))

    remove_record(state, service.pid)
    record(state, start_service().pid, config=str(config), profile="ws2003sp1")
    result = kssl("cert", "commit")
    assert fine(result).startswith(f"deleted {old[:16]}\n")
    assert not key.exists()


def test_other_services_keep_nothing(
    kssl: Kssl, folder: Path, state: Path, service: subprocess.Popen[str]
) -> None:
    thumbprint = added(kssl, folder)
    fine(kssl("cert", "bind", "ipport=*:443", f"certhash={thumbprint}"))
    fine(kssl("cert", "commit"))
    record(state, service.pid, config=str(folder / "other.toml"), profile="ws2003sp1")
    fine(kssl("cert", "delete", thumbprint, "--force"))
    result = kssl("cert", "commit")
    assert (f"deleted {thumbprint[:16]}\n" in fine(result), result.stderr) == (True, "")


def test_what_another_service_uses_is_not_deleted(
    kssl: Kssl, folder: Path, state: Path, service: subprocess.Popen[str]
) -> None:
    added(kssl, folder, WEB)
    fine(kssl("cert", "commit"))
    other = folder / "other.toml"
    other.write_text(f'[[binding]]\nipport = "*:443"\ncerthash = "{WEB.thumbprint}"\n')
    record(state, service.pid, config=str(other))
    refused(kssl("cert", "delete", WEB.thumbprint), "with which a service runs")
