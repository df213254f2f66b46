"""kssl.config.pemfile: a file is read as what it is, or refused with file, line and cause."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kssl.config.errors import ConfigError
from kssl.config.pemfile import SourceFile, pem_blocks

BODY = b"MIIB" + b"A" * 60
ONE = b"-----BEGIN CERTIFICATE-----\n" + BODY + b"\n" + b"Qg==\n-----END CERTIFICATE-----\n"
TWO = ONE.replace(b"MIIB", b"MIIC")
KEY = ONE.replace(b"CERTIFICATE", b"PRIVATE KEY")
BOM = b"\xef\xbb\xbf"


def read(data: bytes) -> list[tuple[str, int, bytes]]:
    return [
        (each.label, each.line, each.pem)
        for each in pem_blocks(SourceFile(Path("a.pem"), 0, data), "CA")
    ]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (ONE + TWO, [1, 5]),
        (BOM + ONE + TWO, [1, 5]),
        (BOM + ONE + BOM + TWO, [1, 5]),
        (ONE.rstrip() + TWO, [1, 4]),
        (ONE.rstrip() + b"\t " + TWO.rstrip(), [1, 4]),
        ((ONE + TWO).replace(b"\n", b"\r"), [1, 5]),
        ((ONE + TWO).replace(b"\n", b"\r\n"), [1, 5]),
        ((ONE + TWO).replace(b"\n", b"\n\n"), [1, 9]),
        (re.sub(rb"(?m)^", b"  \t", ONE + TWO), [1, 5]),
        ((ONE + TWO).decode().encode("utf-16"), [1, 5]),
        ((ONE + TWO).decode().encode("utf-16-be"), [1, 5]),
        ((ONE + TWO).decode().encode("utf-16-le"), [1, 5]),
        (b"\xfe\xff" + (ONE + TWO).decode().encode("utf-16-be"), [1, 5]),
        (("A name: é\n" + (ONE + TWO).decode()).encode("utf-16"), [2, 6]),
        (b"subject=/CN=a\n" + ONE + b"the BEGIN, the END\n" + TWO + b"\0\xffjunk", [2, 7]),
        (ONE.rstrip() + b" junk\n" + TWO, [1, 5]),
        ((ONE + TWO).replace(b"-----\nMI", b"-----MI"), [1, 4]),
        (ONE.replace(b"\nQg==", b"Qg==") + TWO.replace(b"AAAA\n", b"AA\nAA\n"), [1, 4]),
    ],
)  # fmt: skip
def test_shapes(data: bytes, lines: list[int]) -> None:
    """Each gives the same two blocks, as any parser reads them."""
    assert read(data) == [("CERTIFICATE", lines[0], ONE), ("CERTIFICATE", lines[1], TWO)]


def test_headers_of_an_encrypted_key() -> None:
    headers = b"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"
    key = KEY.replace(BODY, headers + BODY)
    assert read(ONE.rstrip() + key) == [("CERTIFICATE", 1, ONE), ("PRIVATE KEY", 4, key)]
    assert read(re.sub(rb"(?m)^", b" ", key)) == [("PRIVATE KEY", 1, key)]


@pytest.mark.parametrize(
    ("data", "line", "why"),
    [
        (ONE + TWO.replace(b"-----BEGIN", b"----BEGIN"), 5, "needs five hyphens"),
        (ONE + TWO.replace(b"-----BEGIN", "\u2014BEGIN".encode()), 5, "needs five hyphens"),
        (ONE + TWO.replace(b"BEGIN CERT", b"begin cert"), 5, "needs five hyphens"),
        (ONE + TWO.replace(b"BEGIN CERTIFICATE-----", b"BEGIN CERTIFICATE"), 5, "five hyphens"),
        (ONE.replace(b"-----END", b"--END") + TWO, 4, "needs five hyphens"),
        (ONE.replace(b"-----\n", b"") + TWO, 1, "needs five hyphens"),
        (ONE[:-7] + TWO, 4, "needs five hyphens"),
        (ONE.rstrip()[:-5] + TWO, 4, "needs five hyphens"),  # they share their hyphens
        (ONE[: ONE.index(b"-----END")] + TWO, 1, "without the END line"),
        (ONE + TWO[: TWO.index(b"-----END")], 5, "without the END line"),
        (ONE.replace(b"END CERT", b"END X509 CERT"), 1, "without the END line"),
        (ONE + TWO[TWO.index(b"-----END") :], 5, "without the BEGIN line"),
        (ONE + TWO.split(b"\n", 1)[1], 7, "without the BEGIN line"),
        (ONE + BODY, 5, "Base64 without the BEGIN line"),
        (BODY + b"\n" + ONE, 1, "Base64 without the BEGIN line"),
        (ONE + TWO.replace(b"Qg==", b"Q!=="), 7, "not Base64"),
        (ONE + TWO.replace(b"Qg==", b"# a comment"), 7, "not Base64"),
        (ONE + TWO.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"), 5, "openssl x509 -in a.pem"),
        (ONE + TWO.replace(b"CERTIFICATE", b"PKCS7"), 5, "openssl pkcs7 -print_certs"),
        (ONE + TWO.replace(b"CERTIFICATE", b"CERTIFICAT"), 5, "CERTIFICAT is not read"),
    ],
)
def test_what_looks_like_pem_is_never_left_out(data: bytes, line: int, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(data)
    assert f"CA file a.pem, line {line}: " in str(caught.value)
    assert why in str(caught.value)


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_two_encodings_in_one_file(coding: str) -> None:
    for data in (ONE.decode().encode(coding) + TWO, TWO + ONE.decode().encode(coding)):
        with pytest.raises(ConfigError, match=r"CA file a\.pem is in UTF-16, but not all of it"):
            read(data)
