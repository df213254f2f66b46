"""The folder of fetched CAs: bounded, whole files, and nothing that others have put there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from cryptography import x509

from kssl.fastpath.verifier import kept as module
from kssl.fastpath.verifier.kept import Kept
from tests.fastpath.verifier.rules.pki import DAY, NOW, Made, rsa_key, self_signed
from tests.fastpath.verifier.support import site, told, verifier

ROOT = self_signed("CN=Root")


def made(number: int = 0, **more: object) -> Made:
    return ROOT.issue(f"CN={number}", ca=True, **more)  # type: ignore[arg-type]


def opened(state: Path) -> Kept:
    kept = Kept(state)
    kept.load(NOW)
    return kept


def files(state: Path) -> list[Path]:
    return sorted((state / "intermediates").iterdir())


def loaded(state: Path) -> list[x509.Certificate]:
    return Kept(state).load(NOW)


def test_what_is_kept_is_there_again(tmp_path: Path) -> None:
    one, two = made(1).certificate, made(2).certificate
    kept = opened(tmp_path)
    kept.keep([one])
    kept.keep([two, one])
    assert kept.warnings == []
    assert set(loaded(tmp_path)) == {one, two}
    assert len(files(tmp_path)) == 2


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 3)
    kept = opened(tmp_path)
    certificates = [made(number).certificate for number in range(5)]
    for age, each in enumerate(certificates[:3]):
        known = set(files(tmp_path))
        kept.keep([each])
        (new,) = set(files(tmp_path)) - known
        os.utime(new, (1000 + age, 1000 + age))
    kept.keep(certificates[3:])
    assert set(loaded(tmp_path)) == set(certificates[2:])


def test_the_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = made()
    monkeypatch.setattr(module, "MAX_SIZE", 2 * len(one.der) + 40)
    kept = opened(tmp_path)
    kept.keep(made(number).certificate for number in range(4))
    assert len(files(tmp_path)) == 2


def test_what_is_of_no_use_is_deleted(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    good = made(1).certificate
    weak = ROOT.issue("CN=weak", ca=True, key=rsa_key(1024)).certificate
    kept.keep([good, made(2, until=-DAY).certificate, weak])
    damaged = made(3)
    path = tmp_path / "intermediates" / f"{damaged.certificate.serial_number % 16:064x}.der"
    path.write_bytes(damaged.der)  # another name than its content has
    assert len(files(tmp_path)) == 4
    assert loaded(tmp_path) == [good]
    assert len(files(tmp_path)) == 1


def test_unfinished_files(tmp_path: Path) -> None:
    opened(tmp_path)
    folder = tmp_path / "intermediates"
    old, new, other = (folder / f".{'0' * 15}1.tmp", folder / f".{'0' * 15}2.tmp", folder / "notes")
    for each in (old, new, other):
        each.touch()
    os.utime(old, (time.time() - 100,) * 2)
    assert loaded(tmp_path) == []
    assert files(tmp_path) == sorted([new, other])  # another process may still write one


def test_links_are_not_followed(tmp_path: Path) -> None:
    opened(tmp_path)
    target = tmp_path / "elsewhere"
    target.write_bytes(made().der)
    (tmp_path / "intermediates" / f"{'0' * 64}.der").symlink_to(target)
    assert loaded(tmp_path) == []
    assert target.exists()


@pytest.mark.parametrize("which", [".", "intermediates"])
def test_a_folder_that_others_may_change(tmp_path: Path, which: str) -> None:
    """Told as a warning; the service goes on."""
    state = tmp_path / "state"
    kept = opened(state)
    (state / which).chmod(0o777)
    wanted = site(tmp_path)
    with verifier() as front:
        (warning,) = front.ready(told(tmp_path, wanted))
        assert warning.startswith("fetched intermediate CAs are not kept: others may write to")
        assert front.judge(wanted).word == "none"
    assert kept.load(NOW) == []
    kept.keep([made().certificate])
    (state / which).chmod(0o700)
    assert files(state) == []


def test_a_disk_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    kept = opened(tmp_path)
    monkeypatch.setattr(module, "write_private", full)
    kept.keep([made().certificate])
    assert "No space left" in caplog.text
