"""Files with CAs and revocation lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kssl.config.errors import ConfigError
from kssl.fastpath.verifier.rules import trust
from kssl.fastpath.verifier.rules.crl import CrlSet
from kssl.fastpath.verifier.rules.policy import MAX_DEPTH, Policy
from kssl.fastpath.verifier.rules.trust import load_certificates, load_crls
from tests.fastpath.verifier.rules.support import LEAF, MIDDLE, OTHER, ROOT

SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")


def write(path: Path, data: bytes, mode: int = 0o644) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def certificates(path: Path) -> list[x509.Certificate]:
    return list(load_certificates(path, "client_ca"))


def fails(path: Path, *words: str) -> None:
    with pytest.raises(ConfigError) as found:
        load_certificates(path, "client_ca")
    for each in words:
        assert each in str(found.value)


def test_a_bundle(tmp_path: Path) -> None:
    text = b"0 is the first one\n" + ROOT.pem + b"\nanother\n" + OTHER.pem + ROOT.pem
    path = write(tmp_path / "ca.pem", text)
    assert certificates(path) == [ROOT.certificate, OTHER.certificate]


def test_der(tmp_path: Path) -> None:
    assert certificates(write(tmp_path / "ca.cer", ROOT.der)) == [ROOT.certificate]


def test_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "cas"
    write(folder / "b.pem", OTHER.pem)
    write(folder / "a.crt", ROOT.pem)
    write(folder / "c.DER", MIDDLE.der)
    write(folder / "README", b"no certificate")
    write(folder / ".hidden.pem", b"no certificate")
    (folder / "more.pem").mkdir()
    (folder / "0a1b2c3d.0").symlink_to("a.crt")
    found = certificates(folder)
    assert set(found) == {ROOT.certificate, OTHER.certificate, MIDDLE.certificate}
    assert len(found) == 3


def test_bad_files_are_told_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "cas"
    write(folder / "good.pem", ROOT.pem)
    bad = write(
        folder / "bad.pem", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    )
    fails(folder, f"{bad}, line 1: this certificate is damaged")
    write(bad, ROOT.pem + OTHER.pem.replace(b"M", b"!", 1))
    fails(folder, f"{bad}, line {ROOT.pem.count(bytes([10])) + 2}: this line is not Base64")
    write(bad, b"\n")
    fails(folder, f"{bad} is empty")
    write(bad, b"text")
    fails(folder, f"{bad} is not PEM")
    write(bad, ROOT.der + b"\0")
    fails(folder, f"{bad}: this certificate is damaged")
    write(bad, b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n")
    fails(folder, f"{bad} holds no block -----BEGIN CERTIFICATE-----")
    key = ROOT.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write(bad, ROOT.pem + key)
    fails(folder, f"{bad}, line", "holds a private key, which has no business here")
    with pytest.raises(ConfigError) as found:
        load_certificates(folder, "client_ca")
    assert key.splitlines()[1].decode() not in str(found.value)


def test_who_may_change_them(tmp_path: Path) -> None:
    fails(write(tmp_path / "ca.pem", ROOT.pem, 0o666), "may be changed by everybody")
    folder = tmp_path / "cas"
    write(folder / "a.pem", ROOT.pem, 0o664)
    fails(folder, "may be changed by group")
    write(folder / "a.pem", ROOT.pem)
    folder.chmod(0o777)
    fails(folder, "may be changed by everybody")


def test_nothing_there(tmp_path: Path) -> None:
    fails(tmp_path / "missing.pem", "does not exist")
    (tmp_path / "cas").mkdir(mode=0o755)
    fails(tmp_path / "cas", "holds no certificate file")


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "cas" / "ca.pem", ROOT.pem + OTHER.pem + LEAF.pem)
    write(tmp_path / "cas" / "more.pem", MIDDLE.pem)
    monkeypatch.setattr(trust, "MAX_CERTIFICATES", 3)
    assert len(certificates(path)) == 3
    fails(path.parent, "more than 3 certificates")
    monkeypatch.setattr(trust, "MAX_FILES", 1)
    fails(path.parent, "more than 1 files")
    monkeypatch.setattr(trust, "MAX_FILE", 100)
    fails(path, "larger than 100 bytes")


@pytest.mark.skipif(not SYSTEM.exists(), reason="there is no bundle of the system's CAs")
def test_the_cas_of_the_system() -> None:
    found = certificates(SYSTEM)
    assert len(found) > 50
    Policy.prepare(found)


def test_crls(tmp_path: Path) -> None:
    pem = [
        x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in (ROOT.crl(), OTHER.crl())
    ]
    both = write(tmp_path / "both.pem", b"".join(pem))
    one = write(tmp_path / "one.crl", MIDDLE.crl())
    found = load_crls([both, one])
    assert set(found.lists) == {
        each.certificate.subject for each in (ROOT, OTHER, MIDDLE)
    }  # fmt: skip
    broken = write(tmp_path / "broken.crl", b"\x30\x82\0")
    for path, words in (
        (broken, f"{broken}: this CRL is damaged"),
        (write(tmp_path / "ca.pem", ROOT.pem), "holds no block -----BEGIN X509 CRL-----"),
        (write(tmp_path / "open.crl", MIDDLE.crl(), 0o666), "may be changed by everybody"),
    ):
        with pytest.raises(ConfigError) as error:
            load_crls([one, path])
        assert words in str(error.value)


@pytest.mark.parametrize("depth", [-1, MAX_DEPTH + 1])
def test_depths(depth: int) -> None:
    Policy.prepare([], max_depth=MAX_DEPTH)
    with pytest.raises(ConfigError, match="from 0 to 32"):
        Policy.prepare([], max_depth=depth)


def test_a_second_crl_is_not_left_out() -> None:
    pem = [
        x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in (ROOT.crl(), OTHER.crl())
    ]
    assert len(CrlSet.parse(pem).lists) == 2
    with pytest.raises(ConfigError, match="CRL 1: more than one CRL in PEM"):
        CrlSet.parse([b"".join(pem)])


@pytest.mark.parametrize("beside", [ROOT.crl(), b""])
def test_what_is_not_read_is_refused(tmp_path: Path, beside: bytes) -> None:
    """A CRL among CAs would be taken for heeded."""
    text = b"-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n"
    more = x509.load_der_x509_crl(beside).public_bytes(Encoding.PEM) if beside else text
    path = write(tmp_path / "cas.pem", ROOT.pem + more)
    with pytest.raises(ConfigError, match=r"cas\.pem, line \d+: client_ca file holds .* too"):
        load_certificates(path, "client_ca")
