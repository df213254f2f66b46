"""kssl.config.store.pkcs12: what openssl exports, as Windows does; and everything that is none."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kssl.config.credentials import PassphraseNeededError
from kssl.config.errors import ConfigError
from kssl.config.pemfile import SourceFile
from kssl.config.store.folder import thumbprint_of
from kssl.config.store.pkcs12 import is_pkcs12, pkcs12_credentials
from tests.config.store.made import APP, NOW, OTHER, secrets_of
from tests.needs import need

PASSPHRASE = "correct horse"
Export = Callable[..., SourceFile]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """`openssl pkcs12 -export` with more options; the passphrase is `PASSPHRASE`."""
    (tmp_path / "app.pem").write_bytes(APP.pem)
    (tmp_path / "app.key").write_bytes(APP.key)

    def run(*options: str, passphrase: str = PASSPHRASE) -> SourceFile:
        result = subprocess.run(
            [need("openssl"), "pkcs12", "-export", "-in", "app.pem", "-out", "app.pfx",
             *(() if "-nokeys" in options else ("-inkey", "app.key")),
             "-passout", f"pass:{passphrase}", *options],
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        return SourceFile(Path("app.pfx"), 0o600, (tmp_path / "app.pfx").read_bytes())

    return run


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-legacy", "-descert"),  # what Windows exported for decades: 3DES and SHA-1
        ("-legacy",),  # RC2 of 40 bits for the certificates
        ("-keypbe", "AES-256-CBC", "-certpbe", "AES-256-CBC", "-macalg", "SHA256"),
        ("-keypbe", "NONE", "-certpbe", "NONE"),
        ("-name", "a friendly name"),
    ],
    ids=" ".join,
)
def test_exports(export: Export, options: tuple[str, ...]) -> None:
    source = export(*options)
    assert is_pkcs12(source.data)
    loaded = pkcs12_credentials(source, PASSPHRASE.encode(), NOW)
    assert [each.public_bytes(Encoding.PEM) for each in loaded.chain] == [
        each.rstrip(b"\n") + b"\n" for each in APP.chain
    ]
    assert thumbprint_of(loaded.chain[0]) == APP.thumbprint
    assert (
        loaded.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        == APP.key
    )


@pytest.mark.parametrize("options", [(), ("-keypbe", "NONE", "-certpbe", "NONE", "-nomac")])
def test_no_passphrase_is_needed_for_an_empty_one(export: Export, options: tuple[str, ...]) -> None:
    loaded = pkcs12_credentials(export(*options, passphrase=""), None, NOW)
    assert thumbprint_of(loaded.chain[0]) == APP.thumbprint


def test_a_passphrase_is_needed(export: Export) -> None:
    with pytest.raises(PassphraseNeededError, match=r"app\.pfx is encrypted"):
        pkcs12_credentials(export(), None, NOW)


def test_another_passphrase(export: Export) -> None:
    with pytest.raises(ConfigError, match=r"app\.pfx: the passphrase does not open it") as caught:
        pkcs12_credentials(export(), b"wrong horse", NOW)
    assert "wrong horse" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_passphrase_that_is_not_ascii(export: Export) -> None:
    source = export(passphrase="Bücher€")
    loaded = pkcs12_credentials(source, "Bücher€".encode(), NOW)
    assert thumbprint_of(loaded.chain[0]) == APP.thumbprint


def test_without_a_key(export: Export) -> None:
    with pytest.raises(ConfigError, match="holds no private key; export it together"):
        pkcs12_credentials(export("-nokeys"), PASSPHRASE.encode(), NOW)


def test_without_a_certificate(export: Export) -> None:
    with pytest.raises(ConfigError, match="holds no certificate; export it together"):
        pkcs12_credentials(export("-nocerts"), PASSPHRASE.encode(), NOW)


def test_a_small_rsa_key(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505
    refused_key(key, tmp_path, r"1024 bits is too small")


def test_a_dsa_key(tmp_path: Path) -> None:
    refused_key(dsa.generate_private_key(2048), tmp_path, "not supported")


def refused_key(key: rsa.RSAPrivateKey | dsa.DSAPrivateKey, folder: Path, words: str) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    openssl = need("openssl")
    for arguments in (
        ("req", "-x509", "-key", "key.pem", "-out", "cert.pem", "-subj", "/CN=small"),
        ("pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-out", "app.pfx",
         "-passout", f"pass:{PASSPHRASE}"),
    ):  # fmt: skip
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)
    source = SourceFile(Path("app.pfx"), 0o600, (folder / "app.pfx").read_bytes())
    with pytest.raises(ConfigError, match=words) as caught:
        pkcs12_credentials(source, PASSPHRASE.encode(), NOW)
    assert str(caught.value).startswith("app.pfx")


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE.encode()])
def test_damage(export: Export, passphrase: bytes | None) -> None:
    """Whatever is cut off or changed: an error for people, and never part of the key."""
    whole = export().data
    for number in range(0, len(whole), 37):
        for data in (whole[:number], whole[:number] + b"\xff\x00" + whole[number + 2 :]):
            try:
                loaded = pkcs12_credentials(
                    SourceFile(Path("app.pfx"), 0o600, data), passphrase, NOW
                )
            except ConfigError as error:
                text = str(error)
                assert "app.pfx" in text
                assert not any(secret in text for secret in secrets_of(APP))
            else:
                assert thumbprint_of(loaded.chain[0]) == APP.thumbprint  # the damage is elsewhere


@pytest.mark.parametrize(
    "data",
    [b"", b"\x30", b"\x30\x80", b"\x30\x84\xff", OTHER.pem, bytes(9), b"\x30\x03\x02\x01\x04"],
)
def test_what_is_none(data: bytes) -> None:
    assert not is_pkcs12(data)
    with pytest.raises(ConfigError, match=r"not PKCS #12 .*leave out --pfx"):
        pkcs12_credentials(SourceFile(Path("app.pfx"), 0o600, data), None, NOW)


def test_a_certificate_in_der_is_none(tmp_path: Path) -> None:
    assert not is_pkcs12(APP.credentials().chain[0].public_bytes(Encoding.DER))


def test_indefinite_length_is_one() -> None:
    assert is_pkcs12(b"\x30\x80\x02\x01\x03\x30\x80")
