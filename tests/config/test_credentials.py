"""kssl.config.credentials: every way a certificate or a key can be wrong, and in which words."""

from __future__ import annotations

import os
import pickle
import stat
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from kssl.config import pemfile
from kssl.config.credentials import load_credentials
from kssl.config.errors import ConfigError
from kssl.config.keykinds import PrivateKey
from kssl.config.pemfile import read_source

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AnyKey = PrivateKey | dsa.DSAPrivateKey | x25519.X25519PrivateKey


def pem(
    key: AnyKey,
    encryption: KeySerializationEncryption | None = None,
    form: PrivateFormat = PrivateFormat.PKCS8,
) -> bytes:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


@dataclass
class Issued:
    certificate: x509.Certificate
    key: PrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def issue(
    name: str,
    issuer: Issued | None = None,
    key: PrivateKey | None = None,
    *,
    start: datetime = NOW - timedelta(days=1),
    end: datetime = NOW + timedelta(days=365),
    san: bool = True,
) -> Issued:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    if san:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName("app.example")]), critical=False
        )
    signer = issuer.key if issuer else key
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else SHA256()
    return Issued(builder.sign(signer, algorithm), key)


ROOT = issue("root")
MIDDLE = issue("middle", ROOT)
LEAF = issue("leaf", MIDDLE)
OTHER = issue("other")


def files(tmp_path: Path, chain: Sequence[Issued] | bytes, key: bytes | None) -> tuple[Path, Path]:
    certificate_path, key_path = tmp_path / "app.pem", tmp_path / "app.key"
    data = chain if isinstance(chain, bytes) else b"".join(each.pem for each in chain)
    certificate_path.write_bytes(data)
    if key is not None:
        key_path.write_bytes(key)
        key_path.chmod(0o600)
    return certificate_path, key_path


def refused(
    tmp_path: Path,
    words: str,
    chain: Sequence[Issued] | bytes = (LEAF,),
    key: bytes | None = None,
    passphrase: bytes | None = None,
) -> ConfigError:
    """The error, which never shows a key, nor drags along an exception that might."""
    paths = files(tmp_path, chain, pem(LEAF.key) if key is None else key)
    with pytest.raises(ConfigError, match=words) as caught:
        load_credentials(*paths, passphrase, now=NOW)
    text = "".join(traceback.format_exception(caught.value))
    assert "direct cause" not in text
    assert "During handling" not in text
    for secret in (key or pem(LEAF.key)).split(b"\n")[1:-2]:
        assert not secret.strip() or secret.decode("latin-1") not in text
    assert str(tmp_path / "app.") in str(caught.value)
    return caught.value


# --- what works


def test_chain_and_key(tmp_path: Path) -> None:
    loaded = load_credentials(*files(tmp_path, [LEAF, MIDDLE], pem(LEAF.key)), now=NOW)
    assert loaded.chain == [LEAF.certificate, MIDDLE.certificate]
    assert loaded.key.public_key() == LEAF.key.public_key()
    assert loaded.warnings == []


def test_paths_may_be_strings_and_the_clock_may_be_left_out(tmp_path: Path) -> None:
    certificate_path, key_path = files(tmp_path, [LEAF], pem(LEAF.key))
    assert load_credentials(str(certificate_path), str(key_path)).chain == [LEAF.certificate]


@pytest.mark.parametrize("key_first", [False, True])
def test_key_inside_the_certificate_file(tmp_path: Path, key_first: bool) -> None:
    parts = [LEAF.pem, MIDDLE.pem]
    parts.insert(0 if key_first else 2, b"a comment\n" + pem(LEAF.key))
    path, _ = files(tmp_path, b"".join(parts).replace(b"\n", b"\r\n"), None)
    path.chmod(0o600)
    loaded = load_credentials(path, None, now=NOW)
    assert (loaded.chain, loaded.warnings) == ([LEAF.certificate, MIDDLE.certificate], [])


@pytest.mark.parametrize(
    "make",
    [
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate,
    ],
    ids=["rsa", "p256", "p384", "p521", "ed25519"],
)
def test_supported_keys(tmp_path: Path, make: object) -> None:
    assert callable(make)
    issued = issue("leaf", ROOT, make())
    loaded = load_credentials(*files(tmp_path, [issued], pem(issued.key)), now=NOW)
    assert type(loaded.key) is type(issued.key)


def test_traditional_formats(tmp_path: Path) -> None:
    # `openssl ecparam -genkey` puts the curve in a block of its own before the key.
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    key = parameters + pem(LEAF.key, form=PrivateFormat.TraditionalOpenSSL)
    assert b"BEGIN EC PRIVATE KEY" in key
    load_credentials(*files(tmp_path, [LEAF], key), now=NOW)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_encrypted_key(tmp_path: Path, form: PrivateFormat) -> None:
    key = pem(LEAF.key, BestAvailableEncryption(b"hunter2"), form)
    load_credentials(*files(tmp_path, [LEAF], key), b"hunter2", now=NOW)
    refused(tmp_path, r"app\.key, line 1: .*encrypted and no passphrase", key=key)
    wrong = refused(tmp_path, "the passphrase does not open", key=key, passphrase=b"hunter3")
    assert "hunter" not in str(wrong)


def test_passphrase_for_a_plain_key_is_ignored(tmp_path: Path) -> None:
    load_credentials(*files(tmp_path, [LEAF], pem(LEAF.key)), b"hunter2", now=NOW)


def test_repr_shows_no_key_and_pickle_refuses(tmp_path: Path) -> None:
    loaded = load_credentials(*files(tmp_path, [LEAF], pem(LEAF.key)), now=NOW)
    assert "key" not in repr(loaded).lower()
    with pytest.raises(TypeError, match="do not leave the process"):
        pickle.dumps(loaded)


# --- files


def test_missing_files(tmp_path: Path) -> None:
    certificate_path, key_path = files(tmp_path, [LEAF], None)
    with pytest.raises(ConfigError, match=r"key file .*app\.key does not exist"):
        load_credentials(certificate_path, key_path)
    with pytest.raises(ConfigError, match=r"certificate file .*none\.pem does not exist"):
        load_credentials(tmp_path / "none.pem", key_path)


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        load_credentials(tmp_path, None)


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = files(tmp_path, [LEAF], None)

    def denied(*_: object) -> None:  # root, as in a container, may read everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pemfile, "open", denied, raising=False)
    with pytest.raises(ConfigError, match=r"app\.pem cannot be read by this user"):
        load_credentials(path, None)


def test_odd_names_and_sizes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a file name"):
        load_credentials("a\0b", None)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_credentials(tmp_path / ("x" * 300), None)
    refused(tmp_path, "is empty", chain=b" \n")
    refused(tmp_path, "larger than", chain=b"x" * ((1 << 20) + 1))


def test_not_pem(tmp_path: Path) -> None:
    refused(tmp_path, r"certificate file .*app\.pem is not PEM; it has no line", chain=b"hello")
    pfx = b"\x30\x82\x0a\x00\x02\x01\x03" + bytes(100)
    refused(tmp_path, r"is not PEM; it looks like PKCS #12 .*kssl cert add .*app\.pem", chain=pfx)
    refused(tmp_path, "line 1: it has a BEGIN line without the END", chain=LEAF.pem[:-40])
    refused(tmp_path, "this looks like a BEGIN or END line of PEM, but", chain=LEAF.pem[:-10])
    der = LEAF.certificate.public_bytes(Encoding.DER)
    refused(tmp_path, r"DER; convert it: openssl x509 -inform DER -in .*app\.pem", chain=der)
    refused(tmp_path, r"key file .*app\.key is not PEM", key=b"hello")


def test_damaged_certificate_has_its_line(tmp_path: Path) -> None:
    lines = MIDDLE.pem.splitlines(keepends=True)
    damaged = b"".join([lines[0], *lines[2:]])
    line = LEAF.pem.count(b"\n") + 1
    refused(tmp_path, rf"app\.pem, line {line}: this certificate is damaged", LEAF.pem + damaged)


# --- contents


def test_files_mixed_up(tmp_path: Path) -> None:
    refused(tmp_path, "holds no certificate, only PRIVATE KEY", chain=pem(LEAF.key))
    refused(tmp_path, r"app\.key holds no private key, only CERTIFICATE", key=LEAF.pem)
    path, _ = files(tmp_path, [LEAF], None)
    with pytest.raises(ConfigError, match="holds no private key; name the key's file as well"):
        load_credentials(path, None)


def test_mismatch(tmp_path: Path) -> None:
    refused(tmp_path, r"app\.key does not belong to the .*app\.pem.*CN=leaf", key=pem(OTHER.key))
    refused(tmp_path, "to any certificate", chain=[LEAF, MIDDLE], key=pem(OTHER.key))


def test_damaged_and_doubled_keys(tmp_path: Path) -> None:
    lines = pem(LEAF.key).splitlines(keepends=True)
    refused(tmp_path, r"app\.key, line 1: .*damaged", key=b"".join([lines[0], *lines[2:]]))
    refused(tmp_path, r"2 private keys \(lines 1, 6\)", key=pem(LEAF.key) + pem(OTHER.key))


def test_small_and_unsupported_keys(tmp_path: Path) -> None:
    small = pem(rsa.generate_private_key(65537, 1024))  # noqa: S505 - that is the point
    refused(tmp_path, "RSA key of 1024 bits is too small; use RSA of 2048", key=small)
    for key in (
        ec.generate_private_key(ec.SECP256K1()),
        x25519.X25519PrivateKey.generate(),
        dsa.generate_private_key(1024),  # noqa: S505 - nothing it protects
    ):
        refused(tmp_path, "not supported; use RSA .*Ed25519", key=pem(key))


# --- warnings


def warnings(tmp_path: Path, chain: Sequence[Issued], key: PrivateKey = LEAF.key) -> list[str]:
    return load_credentials(*files(tmp_path, chain, pem(key)), now=NOW).warnings


@pytest.mark.parametrize("bits", [0o644, 0o604, 0o620])
def test_open_key_file(tmp_path: Path, bits: int) -> None:
    paths = files(tmp_path, [LEAF], pem(LEAF.key))
    paths[1].chmod(bits)
    (warning,) = load_credentials(*paths, now=NOW).warnings
    assert f"mode {bits:04o}" in warning
    assert warning.endswith(f"run: chmod 600 {paths[1]}")
    assert stat.S_IMODE(os.stat(paths[1]).st_mode) == bits


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (-10, -1, "the certificate expired on 2026-05-31 12:00 UTC"),
        (1, 10, "valid only from 2026-06-02 12:00 UTC"),
        (-1, 13, "expires in 13 days, on 2026-06-14"),
        (-1, 1, "expires in 1 day, on"),
    ],
)
def test_dates(tmp_path: Path, start: int, end: int, words: str) -> None:
    leaf = issue("leaf", ROOT, start=NOW + timedelta(days=start), end=NOW + timedelta(days=end))
    (warning,) = warnings(tmp_path, [leaf], leaf.key)
    assert words in warning


def test_fourteen_days_are_enough(tmp_path: Path) -> None:
    leaf = issue("leaf", ROOT, end=NOW + timedelta(days=14))
    assert warnings(tmp_path, [leaf], leaf.key) == []


def test_expired_issuer(tmp_path: Path) -> None:
    middle = issue("old", ROOT, start=NOW - timedelta(days=9), end=NOW - timedelta(days=2))
    leaf = issue("leaf", middle)
    (warning,) = warnings(tmp_path, [leaf, middle], leaf.key)
    assert "the issuer CN=old expired" in warning


def test_no_san(tmp_path: Path) -> None:
    leaf = issue("leaf", ROOT, san=False)
    (warning,) = warnings(tmp_path, [leaf], leaf.key)
    assert "names no host" in warning


@pytest.mark.parametrize(
    "given",
    [
        [MIDDLE, LEAF, ROOT],
        [ROOT, MIDDLE, LEAF],
        [LEAF, ROOT, MIDDLE],
        [LEAF, LEAF, MIDDLE, ROOT],
    ],
)
def test_chain_is_put_in_order(tmp_path: Path, given: list[Issued]) -> None:
    loaded = load_credentials(*files(tmp_path, given, pem(LEAF.key)), now=NOW)
    assert loaded.chain == [each.certificate for each in (LEAF, MIDDLE, ROOT)]
    (warning,) = loaded.warnings
    assert "out of order" in warning


def test_stranger_in_the_chain_goes_last(tmp_path: Path) -> None:
    loaded = load_credentials(*files(tmp_path, [LEAF, OTHER, MIDDLE], pem(LEAF.key)), now=NOW)
    assert loaded.chain == [each.certificate for each in (LEAF, MIDDLE, OTHER)]
    (warning,) = loaded.warnings
    assert "CN=other" in warning


def test_an_rsa_key_whose_numbers_are_not_of_one_key(tmp_path: Path) -> None:
    """The library's long check is skipped: a signature must show it."""
    good = rsa.generate_private_key(65537, 2048)
    numbers = good.private_numbers()
    damaged = rsa.RSAPrivateNumbers(
        p=numbers.p,
        q=numbers.q,
        d=numbers.d ^ 2,
        dmp1=numbers.dmp1 ^ 2,
        dmq1=numbers.dmq1,
        iqmp=numbers.iqmp,
        public_numbers=numbers.public_numbers,
    ).private_key(unsafe_skip_rsa_key_validation=True)
    certificate, key = tmp_path / "app.pem", tmp_path / "app.key"
    certificate.write_bytes(issue("app", key=good).pem)
    key.write_bytes(pem(damaged))
    with pytest.raises(ConfigError, match=r"app\.key, line 1: this private key is damaged"):
        load_credentials(certificate, key, now=NOW)


# -- files that others may change ----------------------------------------------------------


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o664])
def test_a_guarded_file_that_others_may_change(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "app.pem"
    path.write_bytes(issue("app").pem)
    path.chmod(mode)
    words = rf"certificate file {path} may be changed by .*\(mode {mode:04o}\).*chmod go-w {path}"
    with pytest.raises(ConfigError, match=words):
        read_source(path, "certificate", guarded=True)
    assert read_source(path, "certificate").mode == mode
    path.chmod(mode & ~0o022)
    assert read_source(path, "certificate", guarded=True).data == path.read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_guarded_file_of_another_user(tmp_path: Path) -> None:
    path = tmp_path / "app.key"
    path.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    path.chmod(0o600)
    os.chown(path, 12345, -1)
    with pytest.raises(ConfigError, match=r"belongs to another user \(uid 12345\), .*chown 0 "):
        read_source(path, "key", guarded=True)


def test_roots_file_is_good_for_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "app.pem"
    path.write_bytes(issue("app").pem)
    path.chmod(0o644)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    read_source(path, "certificate", guarded=True)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    if owner == 0:
        read_source(path, "certificate", guarded=True)
    else:
        with pytest.raises(ConfigError, match="belongs to another user"):
            read_source(path, "certificate", guarded=True)
