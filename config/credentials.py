"""Loading a certificate chain and its private key, with errors a person can act on.

`load_credentials` is called ONLY inside the crypto worker process, and in `kssl cert`, a process
of its own that ends when it has stored the key: it is the moment when a private key enters memory,
and no other process may have it. The front end passes file names.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from kssl.config import foreign
from kssl.config.errors import ConfigError
from kssl.config.keykinds import PrivateKey, check_pss, limits
from kssl.config.pemfile import Block, SourceFile, pem_blocks, read_source

# Bits. OpenSSL's security level 2 and every browser refuse less.
MIN_RSA_BITS = 2048
EXPIRY_NOTICE = timedelta(days=14)
SUPPORTED_KEYS = f"RSA of {MIN_RSA_BITS} bits or more, ECDSA P-256, P-384, P-521, Ed25519 and Ed448"
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

_CERTIFICATE_LABELS = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a site shows and proves: leaf first, then its issuers; the leaf's private key.

    `warnings` are lines for the log, in no need of the key. `repr` does not show the key, and
    the object cannot be pickled, because it must not leave the process.
    """

    chain: list[x509.Certificate]
    key: PrivateKey = field(repr=False)
    warnings: list[str] = field(default_factory=list)

    def __reduce__(self) -> str:
        raise TypeError("credentials do not leave the process that loaded them")


class PassphraseNeededError(ConfigError):
    """The key is encrypted and no passphrase was given."""


def load_credentials(
    cert_path: str | os.PathLike[str],
    key_path: str | os.PathLike[str] | None,
    passphrase: bytes | None = None,
    now: datetime | None = None,
) -> Credentials:
    """Load and check a PEM chain and its key; `key_path` None: the key is in the same file.

    The leaf is the certificate that the key belongs to, wherever it stands in the file.
    `passphrase` is ignored for a key that is not encrypted. `now` is aware; None reads the clock.
    CALL THIS ONLY INSIDE THE CRYPTO WORKER OR `kssl cert`.

    Raises:
        ConfigError: a file cannot be read or holds something else, the key does not open, is
            not supported, or belongs to none of the certificates.
    """
    cert_file = read_source(Path(cert_path), "certificate")
    key_file = None if key_path is None else read_source(Path(key_path), "key")
    return pem_credentials(cert_file, key_file, passphrase, now)


def pem_credentials(
    cert_file: SourceFile,
    key_file: SourceFile | None,
    passphrase: bytes | None = None,
    now: datetime | None = None,
    *,
    of_server: bool = True,
) -> Credentials:
    """As `load_credentials`, of files that have been read. CALL THIS WHERE YOU MAY CALL THAT.

    `of_server`: it is shown to clients, who look for a host name in it.
    """
    certificates = _certificates(cert_file)
    key = _key(key_file or cert_file, passphrase, separate=key_file is not None)
    key_file = key_file or cert_file
    notes = key_file.notes_on_mode()
    return checked_credentials(
        certificates, key, cert_file.path, key_file.path, now, notes, of_server=of_server
    )


def checked_credentials(
    certificates: Sequence[x509.Certificate],
    key: PrivateKey,
    cert_path: Path,
    key_path: Path,
    now: datetime | None = None,
    notes: Sequence[str] = (),
    *,
    of_server: bool = True,
) -> Credentials:
    """The chain put in order, with `notes` first among the warnings. The paths are for messages.

    Raises:
        ConfigError: the key belongs to none of the certificates.
    """
    now = (now or datetime.now(UTC)).astimezone(UTC)
    warnings = list(notes)
    chain = _ordered(certificates, key, cert_path, key_path, warnings)
    _check_dates(chain, cert_path, now, warnings)
    check_pss(chain[0], str(cert_path))
    if of_server:
        _check_names(chain[0], cert_path, warnings)
        if problem := limits(chain[0], key):
            warnings.append(
                f"{cert_path}: {problem}; for all clients use RSA of {MIN_RSA_BITS} bits or more, "
                "or ECDSA P-256 or P-384"
            )
    return Credentials(chain, key, warnings)


def supported_key(key: object, where: str) -> PrivateKey:
    """`key` itself. Raises ConfigError, which begins with `where`, if it is of no use."""
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < MIN_RSA_BITS:
            raise ConfigError(
                f"{where}: an RSA key of {key.key_size} bits is too small; use {SUPPORTED_KEYS}"
            )
        return key
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, _CURVES):
        return key
    raise ConfigError(f"{where}: this kind of private key is not supported; use {SUPPORTED_KEYS}")


def _certificates(file: SourceFile) -> list[x509.Certificate]:
    certificates = []
    blocks = pem_blocks(file, "certificate")
    for block in blocks:
        if block.label in _CERTIFICATE_LABELS:
            try:
                certificates.append(foreign.certificate(block.pem, pem=True, odd_names=True))
            except foreign.UnreadableError as error:
                raise ConfigError(
                    f"{file.path}, line {block.line}: this certificate {error}"
                ) from None
    if not certificates:
        raise ConfigError(
            f"certificate file {file.path} holds no certificate, only "
            f"{_labels(blocks)}; name the file with -----BEGIN CERTIFICATE-----"
        )
    return certificates


def _labels(blocks: Sequence[Block]) -> str:
    return ", ".join(dict.fromkeys(block.label for block in blocks))


def _key(file: SourceFile, passphrase: bytes | None, *, separate: bool) -> PrivateKey:
    """The one private key of `file`. Library errors are not chained: they have seen the key."""
    found = pem_blocks(file, "key" if separate else "certificate")
    blocks = [block for block in found if block.label.endswith("PRIVATE KEY")]
    if not blocks and not separate:
        raise ConfigError(f"{file.path} holds no private key; name the key's file as well")
    if not blocks:
        raise ConfigError(f"key file {file.path} holds no private key, only {_labels(found)}")
    if len(blocks) > 1:
        raise ConfigError(
            f"key file {file.path} holds {len(blocks)} private keys "
            f"(lines {', '.join(str(block.line) for block in blocks)}); keep one"
        )
    block = blocks[0]
    where = f"{file.path}, line {block.line}"
    # PKCS #8 says it in the label, the older format in a header (RFC 1421 Proc-Type).
    encrypted = block.label.startswith("ENCRYPTED") or b"Proc-Type: 4,ENCRYPTED" in block.pem
    if encrypted and not passphrase:
        raise PassphraseNeededError(
            f"{where}: the private key is encrypted and no passphrase is given; give it, "
            f"or decrypt the key: openssl pkey -in {shlex.quote(str(file.path))} -out new.key"
        )
    problem = (
        "the passphrase does not open this private key (or it is damaged)"
        if encrypted
        else "this private key is damaged or in a format that is not supported"
    )
    try:
        with foreign.reading(problem, keep=(UnsupportedAlgorithm,)):
            key = load_pem_private_key(
                block.pem,
                passphrase if encrypted else None,
                # The whole check takes 40 ms for 2048 bits: seconds for some hundred sites, at
                # every start. It is against keys of strangers; damage is found by `_prove`.
                unsafe_skip_rsa_key_validation=True,
            )
            private = supported_key(key, where)
            _prove(private)
    except UnsupportedAlgorithm:
        raise ConfigError(
            f"{where}: this kind of private key is not supported; use {SUPPORTED_KEYS}"
        ) from None
    except foreign.UnreadableError as error:
        raise ConfigError(f"{where}: {error}") from None
    return private


def _prove(key: PrivateKey) -> None:
    """Raise whatever the library raises for an RSA key whose numbers are not of one key."""
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(b"kssl", PKCS1v15(), SHA256())
        key.public_key().verify(signature, b"kssl", PKCS1v15(), SHA256())


def _ordered(
    certificates: Sequence[x509.Certificate],
    key: PrivateKey,
    cert_path: Path,
    key_path: Path,
    warnings: list[str],
) -> list[x509.Certificate]:
    """The certificates, leaf first and each followed by its issuer; says what it changed.

    A certificate that no other leads to goes to the end. It is not dropped: it may be one of
    two issuers with the same name, and clients take extra ones (RFC 9846 §4.5.1).
    """
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    leaf = next((each for each in certificates if _public(each) == public), None)
    if leaf is None:
        raise ConfigError(
            f"the private key in {key_path} does not belong to "
            f"{'any' if len(certificates) > 1 else 'the'} certificate in {cert_path} "
            f"(for {_subject(certificates[0])}); one of the two files is the wrong one"
        )
    rest = [each for each in dict.fromkeys(certificates) if each != leaf]
    chain = [leaf]
    while issuers := [each for each in rest if foreign.issued(chain[-1], each)]:
        issuer = issuers[0]
        chain.append(issuer)
        rest.remove(issuer)
    if rest:
        warnings.append(
            f"{cert_path}: no certificate of the chain was issued by "
            f"{', '.join(_subject(each) for each in rest)}; remove it, or add what is missing"
        )
    if [*chain, *rest] != list(certificates) and not (rest and certificates[0] == leaf):
        warnings.append(
            f"{cert_path}: the chain is out of order or has duplicates, served in the right order; "
            "put the server's certificate first, each followed by its issuer"
        )
    return [*chain, *rest]


def _public(certificate: x509.Certificate) -> bytes | None:
    return foreign.attempt(
        lambda: certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ),
        None,
    )


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "an empty subject"


def _check_dates(
    chain: Sequence[x509.Certificate], path: Path, now: datetime, warnings: list[str]
) -> None:
    for number, certificate in enumerate(chain):
        what = "the certificate" if number == 0 else f"the issuer {_subject(certificate)}"
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if now > end:
            warnings.append(f"{path}: {what} expired on {end:%Y-%m-%d %H:%M} UTC; renew it")
        elif now < start:
            warnings.append(
                f"{path}: {what} is valid only from {start:%Y-%m-%d %H:%M} UTC; "
                "check the clock or wait"
            )
        elif end - now < EXPIRY_NOTICE:
            days = (end - now).days
            warnings.append(
                f"{path}: {what} expires in {days} day{'' if days == 1 else 's'}, "
                f"on {end:%Y-%m-%d %H:%M} UTC; renew it"
            )


def _check_names(leaf: x509.Certificate, path: Path, warnings: list[str]) -> None:
    names = foreign.host_names(leaf)
    if names is not None and names.ignored:
        warnings.append(
            f"{path}: the certificate has {' and '.join(dict.fromkeys(names.ignored))} in its "
            "subjectAltName, which is ignored here, and which some clients refuse; it is served "
            f"for {', '.join(names.all) or 'no host'}"
        )
    if names is None:
        warnings.append(
            f"{path}: the certificate names no host (it has no subjectAltName), so clients "
            "will refuse it; have it issued again with the host names"
        )
