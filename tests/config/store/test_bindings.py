"""kssl.config.store.bindings: [[binding]] tables change, the rest of the file does not."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import pytest

from kssl.config.errors import ConfigError
from kssl.config.store.bindings import read_bindings, write_bindings
from kssl.config.store.place import HOSTNAMEPORT, IPPORT, parse_place

ADDRESS = parse_place(IPPORT, "0.0.0.0:443")
ANY = parse_place(IPPORT, "*:8443")
NAME = parse_place(HOSTNAMEPORT, "app.example:443")
A, B = "aa" * 32, "bb" * 32

FILE = f"""\
# the proxy of the shop
profile = "native"   # not ws2008

[parameters]
MaxConnections = 2000

[[binding]]   # the old address
ipport = "0.0.0.0:443"  # everywhere
certhash = "{A.upper()}"

[[site]]
hostnames = ["app.example"]
upstreams = ["http://127.0.0.1:8000"]
[site.limits]
maxUrl = 4096
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "kssl.toml"
    file.write_text(FILE)
    file.chmod(0o640)
    return file


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert read_bindings(tmp_path / "kssl.toml") == {}


def test_reading(path: Path) -> None:
    path.write_text(
        'binding = [{ hostnameport = "App.example:443", certhash = "AA:BB cc" },\n'
        '  { ipport = "*:8443", certificate = "x.pem" }]\n'
    )
    assert read_bindings(path) == {NAME: "aabbcc", ANY: ""}


def test_adding_keeps_everything_else_as_it_was(path: Path, tmp_path: Path) -> None:
    write_bindings(path, tmp_path, {NAME: B, ANY: A}, ())
    text = path.read_text()
    lines = iter(text.splitlines())
    assert all(line in lines for line in FILE.splitlines() if line)  # each, in this order
    assert read_bindings(path) == {ADDRESS: A, NAME: B, ANY: A}
    after, before = tomllib.loads(text), tomllib.loads(FILE)
    assert {**after, "binding": 0} == {**before, "binding": 0}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["kssl.toml", "lock"]


def test_rebinding_changes_one_line(path: Path, tmp_path: Path) -> None:
    write_bindings(path, tmp_path, {ADDRESS: B}, ())
    assert path.read_text() == FILE.replace(A.upper(), B)


def test_rebinding_takes_the_place_of_files(path: Path, tmp_path: Path) -> None:
    path.write_text('[[binding]]\nipport = "*:8443"\ncertificate = "x.pem"\nkey = "x.key"\n')
    write_bindings(path, tmp_path, {ANY: B}, ())
    assert tomllib.loads(path.read_text()) == {"binding": [{"ipport": "*:8443", "certhash": B}]}


def test_removing(path: Path, tmp_path: Path) -> None:
    write_bindings(path, tmp_path, {}, {ADDRESS, NAME})
    assert "binding" not in path.read_text()
    assert "# the proxy of the shop" in path.read_text()
    assert tomllib.loads(path.read_text())["site"][0]["limits"] == {"maxUrl": 4096}


def test_removing_one_of_several_and_adding_another(path: Path, tmp_path: Path) -> None:
    write_bindings(path, tmp_path, {NAME: B, ANY: A}, ())
    write_bindings(path, tmp_path, {parse_place(IPPORT, "[::1]:443"): A}, {NAME})
    assert {place.netloc for place in read_bindings(path)} == {
        "0.0.0.0:443", "*:8443", "[::1]:443"
    }  # fmt: skip


def test_inline_tables(path: Path, tmp_path: Path) -> None:
    path.write_text(f'binding = [{{ ipport = "*:8443", certhash = "{A}" }}]\n[parameters]\n')
    write_bindings(path, tmp_path, {NAME: B}, ())
    assert read_bindings(path) == {ANY: A, NAME: B}
    write_bindings(path, tmp_path, {}, {NAME, ANY})
    assert tomllib.loads(path.read_text()) == {"parameters": {}}


def test_tables_with_others_in_between_are_changed_or_left_alone(
    path: Path, tmp_path: Path
) -> None:
    text = FILE + f'\n[[binding]]\nhostnameport = "app.example:443"\ncerthash = "{A}"\n'
    path.write_text(text)
    try:
        write_bindings(path, tmp_path, {ANY: B}, {ADDRESS})
    except ConfigError as error:
        assert "kssl.toml" in str(error)  # noqa: PT017 - either is fine, damage is not
        assert path.read_text() == text
    else:
        assert read_bindings(path) == {NAME: A, ANY: B}
        assert tomllib.loads(path.read_text())["site"] == tomllib.loads(FILE)["site"]


def test_a_last_line_without_its_end(path: Path, tmp_path: Path) -> None:
    path.write_text(f'[[binding]]\nipport = "*:8443"\ncerthash = "{A}"  # the end')
    write_bindings(path, tmp_path, {NAME: B}, ())
    assert read_bindings(path) == {ANY: A, NAME: B}
    assert "# the end\n" in path.read_text()


def test_nothing_to_change_writes_nothing(path: Path, tmp_path: Path) -> None:
    before = path.stat()
    write_bindings(path, tmp_path, {ADDRESS: A}, {NAME})
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_new_file_is_private(tmp_path: Path) -> None:
    write_bindings(tmp_path / "new.toml", tmp_path, {ANY: A}, ())
    assert stat.S_IMODE((tmp_path / "new.toml").stat().st_mode) == 0o600
    assert read_bindings(tmp_path / "new.toml") == {ANY: A}


def test_behind_a_link_the_file_is_changed_and_the_link_stays(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    write_bindings(link, tmp_path, {NAME: B}, ())
    assert link.is_symlink()
    assert NAME in read_bindings(path)


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_is_refused(path: Path, tmp_path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(ConfigError, match=r"may be changed by.*chmod go-w"):
        write_bindings(path, tmp_path, {NAME: B}, ())
    assert path.read_text() == FILE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_is_refused(path: Path, tmp_path: Path) -> None:
    os.chown(path, 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to another user"):
        write_bindings(path, tmp_path, {NAME: B}, ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = \nb = 1", ":1: not TOML"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("binding = 1", "must be .*tables"),
        ("binding = [1]", "must be .*tables"),
        ("[[binding]]\n[[binding]]\n", r"binding\[1\].*neither"),
        ('[[binding]]\nipport = "x"\n', r"binding\[1\].*missing"),
        ('[[binding]]\nipport = "*:1"\ncerthash = 1\n', "certhash: must be"),
        ('[[binding]]\nipport = "*:1"\n[[binding]]\nipport = "*:1"\n', r"binding\[2\].*twice"),
        (b"\xff", "not UTF-8"),
        (b"#" * (1 << 20) + b"\n", "larger than"),
    ],
)
def test_files_that_are_wrong(path: Path, tmp_path: Path, text: str | bytes, words: str) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(content)
    for act in (
        lambda: read_bindings(path),
        lambda: write_bindings(path, tmp_path, {ANY: A}, ()),
    ):
        with pytest.raises(ConfigError, match=words):
            act()
    assert path.read_bytes() == content


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        read_bindings(tmp_path)
