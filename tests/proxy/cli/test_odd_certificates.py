"""`kssl check` and `kssl cert add` of certificates of odd shapes: no traceback, file and cause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config import oddities
from tests.config.oddities import ODD
from tests.proxy.cli.conftest import Kssl

CASES: list[tuple[Callable[[], bytes], int, str]] = [
    (lambda: oddities.with_version(1), 1, "X.509 version field 1"),
    (oddities.with_latin_1, 1, "another encoding"),
    (oddities.with_x400_address, 0, "an x400Address in its subjectAltName"),
]


def written(folder: Path, der: bytes) -> tuple[Path, Path]:
    certificate, key = folder / "odd.pem", folder / "odd.key"
    certificate.write_bytes(oddities.pem(der))
    key.write_bytes(oddities.key_pem(oddities.KEY))
    key.chmod(0o600)
    return certificate, key


def check(kssl: Kssl, folder: Path, *lines: str) -> tuple[int, str]:
    path = folder / "kssl.toml"
    path.write_text(
        "\n".join(['[[site]]\nhostnames = ["app.localhost"]\nupstreams = ["8000"]', *lines])
    )
    result = kssl("check", "--config", str(path))
    assert "Traceback" not in result.stderr
    assert "died" not in result.stderr
    return result.returncode, result.stderr


@pytest.mark.parametrize(("make", "code", "words"), CASES, ids=["v2", "latin-1", "x400"])
def test_check_and_add(
    kssl: Kssl, tmp_path: Path, make: Callable[[], bytes], code: int, words: str
) -> None:
    certificate, key = written(tmp_path, make())
    told = check(kssl, tmp_path, f'certificate = "{certificate}"', f'key = "{key}"')
    assert told[0] == code
    assert f"{certificate}" in told[1]
    assert words in told[1]
    added = kssl("cert", "add", str(certificate), "--key", str(key))
    assert added.returncode == (2 if code else 0)
    assert words in added.stderr
    assert "Traceback" not in added.stderr


def test_a_version_3_client_ca(kssl: Kssl, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(oddities.pem(oddities.with_version(3, ca=True)))
    flags = 'sslFlags = ["Ssl", "SslRequireCert"]'
    code, told = check(kssl, tmp_path, flags, f'client_ca = "{ca}"')
    assert code == 1
    assert f"{ca}, line 1: this certificate has the X.509 version field 3" in told


def test_rsassa_pss_is_fine_and_says_for_whom(kssl: Kssl, tmp_path: Path) -> None:
    certificate, key = tmp_path / "pss.pem", tmp_path / "pss.key"
    certificate.write_bytes((ODD / "pss.pem").read_bytes())
    key.write_bytes((ODD / "pss.key").read_bytes())
    key.chmod(0o600)
    code, told = check(kssl, tmp_path, f'certificate = "{certificate}"', f'key = "{key}"')
    assert code == 0
    assert "RSASSA-PSS (RFC 4055), which browsers and programs in Go cannot use" in told
