"""`kssl cert test`: as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.fastpath.verifier.rules.pki import CLIENT, DAY, SERVER, rsa_key, self_signed, sign
from tests.proxy.cli.conftest import Kssl

ROOT = self_signed("CN=Root,O=Example")
MIDDLE = ROOT.issue("CN=Middle,O=Example", ca=True)
ALICE = MIDDLE.issue(
    "CN=alice", (CLIENT, False),
    (x509.SubjectAlternativeName([x509.RFC822Name("alice@example.org")]), False),
)  # fmt: skip
AT = ("--at", "2026-06-01T14:00+02:00")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """ca.pem, chain.pem, alice.pem, alice.der, and middle/ for the intermediate store."""
    (tmp_path / "middle").mkdir(mode=0o755)
    for name, data in (
        ("ca.pem", ROOT.pem), ("chain.pem", ALICE.pem + MIDDLE.pem), ("alice.pem", ALICE.pem),
        ("alice.der", ALICE.der), ("middle/a.pem", MIDDLE.pem),
        ("root.crl", ROOT.crl()), ("middle.crl", MIDDLE.crl(ALICE.certificate)),
    ):  # fmt: skip
        write(tmp_path / name, data)
    return tmp_path


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    path.chmod(0o644)
    return str(path)


def test_a_good_chain(kssl: Kssl, folder: Path) -> None:
    result = kssl("cert", "test", str(folder / "chain.pem"), "--ca", str(folder / "ca.pem"), *AT)
    assert (result.returncode, result.stderr) == (0, "")
    serials = [f"{each.certificate.serial_number:x}" for each in (ALICE, MIDDLE, ROOT)]
    valid = "2026-05-22 12:00:00 to 2026-09-09 12:00:00 UTC"
    fingerprint = json.loads(
        kssl("cert", "test", str(folder / "chain.pem"), "--json").stdout
    )["identity"]["sha256"]  # fmt: skip
    assert (
        result.stdout
        == f"""\
verdict       ok
reason        the client's certificate 'CN=alice' is trusted by
              'CN=Root,O=Example'
at            2026-06-01 12:00:00 UTC

client        CN=alice
  issued by   CN=Middle,O=Example
  serial      {serials[0]}
  valid       {valid}
  found       presented by the client
  fine

CA 1          CN=Middle,O=Example
  issued by   CN=Root,O=Example
  serial      {serials[1]}
  valid       {valid}
  found       presented by the client
  fine

CA 2          CN=Root,O=Example
  issued by   CN=Root,O=Example
  serial      {serials[2]}
  valid       {valid}
  found       from the trust store
  fine

names         email:alice@example.org
SHA-256       {fingerprint}
"""
    )


def test_json(kssl: Kssl, folder: Path) -> None:
    result = kssl(
        "cert", "test", str(folder / "chain.pem"), "--ca", str(folder / "ca.pem"), *AT, "--json",
        "--crl", str(folder / "root.crl"), str(folder / "middle.crl"),
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (1, "")
    found = json.loads(result.stdout)
    assert list(found) == [
        "ok", "outcome", "substatus", "reason", "site", "at", "steps", "identity", "fetched",
        "notes",
    ]  # fmt: skip
    assert (found["ok"], found["outcome"], found["substatus"]) == (False, "revoked", 13)
    assert found["at"] == "2026-06-01T12:00:00+00:00"
    revoked = "was revoked on 2026-05-30 12:00:00 UTC (keyCompromise)"
    assert found["steps"][0] == {
        "subject": "CN=alice",
        "issuer": "CN=Middle,O=Example",
        "serial": f"{ALICE.certificate.serial_number:x}",
        "not_before": "2026-05-22T12:00:00+00:00",
        "not_after": "2026-09-09T12:00:00+00:00",
        "from": "presented",
        "revocation": revoked,
        "faults": [{"kind": "revocation", "text": revoked, "remedy": "use another certificate"}],
    }
    assert [step["from"] for step in found["steps"]] == ["presented", "presented", "trust store"]
    assert found["identity"]["sans"] == ["email:alice@example.org"]
    assert found["notes"] == []


def test_options(kssl: Kssl, folder: Path) -> None:
    server = write(folder / "server.pem", MIDDLE.issue("s", (SERVER, False)).pem)
    ca, middle = ("--ca", str(folder / "ca.pem")), ("--intermediates", str(folder / "middle"))
    alice = str(folder / "alice.der")
    for arguments, substatus in (
        ((alice, *ca), 16),
        ((alice, *ca, *middle), None),
        ((alice, *ca, *middle, "--max-depth", "0"), 16),
        ((alice, *ca, *middle, "--crl", str(folder / "root.crl")), 13),
        ((alice, *ca, *middle, "--revocation"), 13),
        ((alice, *ca, *middle, "--allow", "email:*@example.org"), None),
        ((alice, *ca, *middle, "--allow", "dns:x", "--allow", "email:*@example.org"), None),
        ((alice, *ca, *middle, "--allow", "dns:x", "dns:y"), 12),
        ((alice, *ca, *middle, "--deny", "issuer:*,O=Example"), 12),
        ((server, *ca, *middle), 16),
        ((server, *ca, *middle, "--no-usage-check"), None),
    ):
        result = kssl("cert", "test", *arguments, *AT, "--json")
        assert json.loads(result.stdout)["substatus"] == substatus, arguments
        assert result.returncode == (0 if substatus is None else 1)


def test_times(kssl: Kssl, folder: Path) -> None:
    known = ("--ca", str(folder / "ca.pem"), "--json")
    for time, substatus in (
        ("2026-05-22T12:00:00", None), ("2026-05-22T11:59:59Z", 17), ("2026-05-22", 17),
        ("2026-09-09T14:00:00+02:00", None), ("2026-09-10", 17),
    ):  # fmt: skip
        result = kssl("cert", "test", str(folder / "chain.pem"), *known, "--at", time)
        assert json.loads(result.stdout)["substatus"] == substatus, time


def test_now_is_the_default(kssl: Kssl, folder: Path) -> None:
    """Years from now it will have expired; the reason that is told first is another."""
    result = kssl("cert", "test", str(folder / "chain.pem"))
    assert result.returncode == 1
    assert result.stderr == "note: no --ca is given, so nobody is trusted\n"
    assert "403.16, untrusted or malformed" in result.stdout
    assert "not among the CAs of this site" in " ".join(result.stdout.split())


def test_a_private_key_beside_the_chain_is_not_read(kssl: Kssl, folder: Path) -> None:
    key = ALICE.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both = write(folder / "both.pem", key + ALICE.pem + MIDDLE.pem)
    result = kssl("cert", "test", both, "--ca", str(folder / "ca.pem"), *AT)
    assert result.returncode == 0
    assert key.splitlines()[1].decode() not in result.stdout


def test_names_are_shown_and_not_obeyed(kssl: Kssl, folder: Path) -> None:
    evil = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "\x1b[2J" + "x" * 50 + "\r\nverdict")]
    )
    key = ec.generate_private_key(ec.SECP256R1())
    san = x509.SubjectAlternativeName([x509.DNSName("a\x1b[31m" + "y" * 300)])
    leaf = sign(evil, MIDDLE.certificate.subject, key.public_key(), MIDDLE.key, [(san, False)])
    path = write(folder / "evil.pem", leaf.public_bytes(Encoding.PEM))
    for arguments in (
        (),
        ("--ca", str(folder / "ca.pem"), "--intermediates", str(folder / "middle")),
    ):
        result = kssl("cert", "test", path, *arguments, *AT)
        lines = result.stdout.splitlines()
        assert all(line.isprintable() and len(line) <= 80 for line in lines), lines
        assert sum(line.startswith("verdict") for line in lines) == 1
        assert r"\1B[2J" in result.stdout


def test_every_step_that_fails_is_told(kssl: Kssl, folder: Path) -> None:
    root = self_signed("old root", until=-DAY)
    ca = write(folder / "old.pem", root.pem)
    leaf = write(folder / "leaf.pem", root.issue("leaf", (SERVER, False), until=-DAY).pem)
    result = kssl("cert", "test", leaf, "--ca", ca, *AT)
    assert result.returncode == 1
    problems = [line.strip() for line in result.stdout.splitlines() if "PROBLEM" in line]
    assert [line.split()[1:4] for line in problems] == [
        ["is", "not", "for"], ["has", "expired", "on"], ["has", "expired", "on"],
    ]  # fmt: skip


def test_revocation_and_notes(kssl: Kssl, folder: Path) -> None:
    weak = ROOT.issue("weak", ca=True, key=rsa_key(1024))
    chain = write(folder / "more.pem", ALICE.pem + MIDDLE.pem + weak.pem)
    known = (chain, "--ca", str(folder / "ca.pem"), *AT, "--crl", str(folder / "root.crl"))
    clean = write(folder / "clean.crl", MIDDLE.crl())
    lines = kssl("cert", "test", *known, clean).stdout.splitlines()
    assert lines.count("  revocation  good") == 2
    assert lines[-2:] == [
        "note          presented, but left out: 'CN=weak' has an RSA key of 1024 bits,",
        "              which is too weak",
    ]
    lines = kssl("cert", "test", *known, str(folder / "middle.crl")).stdout.splitlines()
    # A problem is told once, in the sentence and at its step.
    assert sum("was revoked on" in line for line in lines) == 2


def test_usage_errors(kssl: Kssl, folder: Path) -> None:
    chain, writable = str(folder / "chain.pem"), folder / "writable.pem"
    write(writable, ROOT.pem)
    writable.chmod(0o666)
    empty = write(folder / "empty.pem", b"")
    for arguments, words in (
        ((str(folder / "missing.pem"),), "missing.pem does not exist"),
        ((empty,), "is empty"),
        ((str(folder / "middle"),), "is a folder"),
        ((chain, "--ca", empty), "is empty"),
        ((chain, "--ca", str(writable)), "may be changed by everybody"),
        ((chain, "--at", "yesterday"), "'yesterday' is not a time; write 2026-01-31"),
        ((chain, "--at", "0001-01-01T00:00+02:00"), "is not a time"),
        ((chain, "--max-depth", "99"), "from 0 to 32"),
        ((chain, "--allow", "alice"), "'alice' is not a rule"),
        ((chain, "--crl", chain), "holds no block -----BEGIN X509 CRL-----"),
    ):
        result = kssl("cert", "test", *arguments)
        assert (result.returncode, result.stdout) == (2, ""), arguments
        assert result.stderr.startswith("kssl: ")
        assert result.stderr.count("\n") == 1
        assert words in result.stderr
    assert kssl("cert", "test").returncode == 2


def test_malformed(kssl: Kssl, folder: Path) -> None:
    path = write(folder / "odd.der", ALICE.der + b"\0")
    result = kssl("cert", "test", path, "--ca", str(folder / "ca.pem"), *AT)
    assert result.returncode == 1
    assert "the client's certificate is malformed" in result.stdout
