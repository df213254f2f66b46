"""Certificates of odd shapes: read as what they are, or refused with file, line and cause."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kssl.config import foreign
from kssl.config.credentials import load_credentials
from kssl.config.errors import ConfigError
from kssl.config.keykinds import check_pss, pkcs8_pem
from kssl.config.store.folder import Folder, thumbprint_of
from kssl.config.store.report import key_type, names
from kssl.fastpath.verifier.rules.trust import load_certificates
from tests.config import oddities
from tests.config.oddities import ODD

REFUSED: list[tuple[Callable[[], bytes], str]] = [
    (lambda: oddities.with_version(1), r"version field 1 \(version 2\), which is not supported"),
    (lambda: oddities.with_version(3), r"version field 3 \(version 4\), which is not supported"),
    (oddities.with_latin_1, "its subject .*another encoding.* cannot be read"),
    (oddities.with_doubled_extension, r"extension 2\.5\.29\.17 twice"),
    (oddities.year_zero, "is damaged"),
]
IDS = ["v2", "v4", "latin-1", "doubled", "year-0"]


def files(folder: Path, certificate: bytes, key: bytes) -> tuple[Path, Path]:
    paths = folder / "app.pem", folder / "app.key"
    paths[0].write_bytes(b"# a comment\n" + certificate)
    paths[1].write_bytes(key)
    paths[1].chmod(0o600)
    return paths


@pytest.mark.parametrize(("make", "words"), REFUSED, ids=IDS)
def test_refused_with_file_line_and_cause(
    tmp_path: Path, make: Callable[[], bytes], words: str
) -> None:
    paths = files(tmp_path, oddities.pem(make()), oddities.key_pem(oddities.KEY))
    with pytest.raises(ConfigError, match=rf"app\.pem, line 2: this certificate .*{words}"):
        load_credentials(*paths)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        *REFUSED,
        (lambda: oddities.with_version(3, ca=True), "version field 3"),
        (lambda: oddities.with_x400_address(ca=True), "x400Address"),
    ],
    ids=[*IDS, "v4-ca", "x400-ca"],
)
def test_client_ca(tmp_path: Path, make: Callable[[], bytes], words: str) -> None:
    """Those of names that cannot be read are refused here: they would judge clients."""
    path = tmp_path / "ca.pem"
    path.write_bytes(oddities.pem(make()))
    with pytest.raises(ConfigError, match=rf"ca\.pem, line 1: this certificate .*{words}"):
        load_certificates(path, "client_ca")


def test_a_name_of_an_odd_kind_is_ignored_and_told(tmp_path: Path) -> None:
    made = oddities.with_x400_address()
    found = load_credentials(*files(tmp_path, oddities.pem(made), oddities.key_pem(oddities.KEY)))
    assert names(found.chain[0]) == ["localhost", "127.0.0.1"]
    assert re.search(
        r"app\.pem: .*an x400Address in its subjectAltName.*served for localhost, 127\.0\.0\.1",
        found.warnings[-1],
    )


def test_a_panic_of_the_parser_is_an_error_like_others() -> None:
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(foreign.UnreadableError, match="is damaged"), foreign.reading():
        raise panic("index out of bounds")
    assert foreign.attempt(lambda: x509.load_der_x509_certificate(b"0"), None) is None


@pytest.mark.parametrize("wish", [KeyboardInterrupt, SystemExit, MemoryError])
def test_what_is_no_fault_of_the_bytes_passes(wish: type[BaseException]) -> None:
    with pytest.raises(wish), foreign.reading():
        raise wish


def test_rsassa_pss(tmp_path: Path) -> None:
    found = load_credentials(ODD / "pss.pem", ODD / "pss.key")
    assert any("RSASSA-PSS" in line and "browsers" in line for line in found.warnings)
    assert key_type(found.chain[0]) == "RSASSA-PSS 3072"
    # The store writes the key again, as the kind that it is: id-RSASSA-PSS of RFC 4055.
    folder = Folder(tmp_path)
    thumbprint = thumbprint_of(found.chain[0])
    folder.write(thumbprint, found)
    assert folder.key_path(thumbprint).read_bytes() == pkcs8_pem(found.chain[0], found.key)
    written = load_credentials(folder.certificate_path(thumbprint), folder.key_path(thumbprint))
    assert pkcs8_pem(written.chain[0], written.key) == pkcs8_pem(found.chain[0], found.key)
    again = load_pem_private_key(pkcs8_pem(found.chain[0], found.key), None)
    assert again.public_key() == found.key.public_key()


@pytest.mark.parametrize(
    ("parameters", "usable"),
    [
        ("", True),
        # SHA-256 and a salt of 32, then of 33; SHA-384 and 48; SHA-1 by default.
        ("3016a00f300d06096086480165030402010500a203020120", True),
        ("3016a00f300d06096086480165030402010500a203020121", False),
        ("3016a00f300d06096086480165030402020500a203020130", True),
        ("3000", False),
    ],
)
def test_what_an_rsassa_pss_key_may_sign(parameters: str, usable: bool) -> None:
    plain = bytes.fromhex("300b06092a864886f70d01010a")
    body = plain[2:] + bytes.fromhex(parameters)
    leaf = x509.load_pem_x509_certificate((ODD / "pss.pem").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kssl.config.keykinds._algorithm", lambda _: bytes((0x30, len(body))) + body)
        if usable:
            check_pss(leaf, "app.pem")
        else:
            with pytest.raises(ConfigError, match=r"app\.pem: the certificate"):
                check_pss(leaf, "app.pem")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519 .*browsers do not take"),
        (ed448.Ed448PrivateKey.generate(), "Ed448 .*browsers and programs in Go"),
        (ec.generate_private_key(ec.SECP521R1()), "P-521, which Chrome and Edge do not"),
        (ec.generate_private_key(ec.SECP256R1()), ""),
    ],
    ids=["Ed25519", "Ed448", "P-521", "P-256"],
)
def test_which_clients_cannot_use_a_key(
    tmp_path: Path,
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey,
    words: str,
) -> None:
    made = oddities.pem(oddities.made(key))
    found = load_credentials(*files(tmp_path, made, oddities.key_pem(key)))
    if words:
        assert re.search(words, found.warnings[0])
    else:
        assert not found.warnings
