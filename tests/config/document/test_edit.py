"""kssl.config.document.edit: what is asked for changes, and nothing else does."""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kssl.config.document.edit import Document, edit_file, read_document
from kssl.config.document.where import config_path
from kssl.config.errors import ConfigError, ProblemsError
from kssl.config.parameter import Parameter, Profile, Value
from kssl.config.table import PARAMETERS
from tests.config.reg.support import EXAMPLES, parameter_sets
from tests.examples import examples

COMMENTED = """\
# Ours.
profile = "native"

[parameters]      # the Windows names
enablekernelssl = 1   # fast
MaxConnections = 0x800
# FavorUTF8 = 0

# The shop.
[[site]]
name = "shop"     # [parameters] is above
upstreams = ["http://127.0.0.1:8000",
  "unix:/run/app.sock"]
"""


UPSTREAMS = """\
# The app.
[[site]]
upstreams = ["https://10.0.0.7:8443"]
upstream_ca = "ca.pem"  # ours
upstream_name   = "app.internal"
upstream_certificate = "client.pem"
upstream_key = "client.key"
# It never says goodbye.
upstream_truncation = "pass"

[parameters]
MaxConnections = 2048  # many
"""


def after_set(text: str, name: str, value: Value) -> str:
    document = Document(text)
    document.set_parameter(name, value)
    return document.text()


def after_delete(text: str, name: str) -> str:
    document = Document(text)
    assert document.delete_parameter(name)
    return document.text()


def test_nothing_changed_is_the_same_text() -> None:
    document = Document(COMMENTED)
    assert document.text() == COMMENTED
    assert not document.delete_parameter("FavorUTF8")
    assert document.text() == COMMENTED


def test_the_line_that_is_there_changes_and_keeps_comment_and_spelling() -> None:
    wanted = COMMENTED.replace("enablekernelssl = 1 ", "enablekernelssl = 0 ")
    assert after_set(COMMENTED, "EnableKernelSSL", 0) == wanted
    wanted = COMMENTED.replace("0x800", "4096")
    assert after_set(COMMENTED, "MAXCONNECTIONS", 4096) == wanted


def test_a_new_value_goes_to_the_end_of_its_table_but_not_to_the_next_comment() -> None:
    wanted = COMMENTED.replace("# FavorUTF8 = 0\n", "# FavorUTF8 = 0\nUserModeHops = 2\n")
    assert after_set(COMMENTED, "usermodehops", 2) == wanted


def test_delete() -> None:
    wanted = COMMENTED.replace("enablekernelssl = 1   # fast\n", "")
    assert after_delete(COMMENTED, "EnableKernelSSL") == wanted


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_what_is_said_of_upstreams_is_left_alone(line_break: str) -> None:
    text = UPSTREAMS.replace("\n", line_break)
    wanted = UPSTREAMS.replace("2048", "4096").replace("\n", line_break)
    assert after_set(text, "MaxConnections", 4096) == wanted
    wanted = UPSTREAMS.replace("MaxConnections = 2048  # many\n", "").replace("\n", line_break)
    assert after_delete(text, "MaxConnections") == wanted
    document = Document(text)
    document.add_binding({"ipport": "*:443", "certificate": "a.pem"})
    document.rebind(lambda binding: True, "ab")
    document.remove_binding(lambda binding: True)
    assert document.text().rstrip() == text.rstrip()


def test_line_breaks_of_windows_stay() -> None:
    text = COMMENTED.replace("\n", "\r\n")
    wanted = COMMENTED.replace("# FavorUTF8 = 0\n", "# FavorUTF8 = 0\nUserModeHops = 2\n")
    assert after_set(text, "UserModeHops", 2) == wanted.replace("\n", "\r\n")
    assert after_set("a = 1\r\n", "UserModeHops", 2) == (
        "a = 1\r\n\r\n[parameters]\r\nUserModeHops = 2\r\n"
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "[parameters]\nUserModeHops = 2\n"),
        ("# hello", "# hello\n\n[parameters]\nUserModeHops = 2\n"),
        ("[[site]]\na=1\n\n", "[[site]]\na=1\n\n[parameters]\nUserModeHops = 2\n"),
        ("[parameters]", "[parameters]\nUserModeHops = 2\n"),
        ("[parameters]\nFavorUTF8 = 0", "[parameters]\nFavorUTF8 = 0\nUserModeHops = 2\n"),
        ("parameters = {FavorUTF8 = 0} # a", "parameters = {FavorUTF8 = 0,UserModeHops = 2} # a"),
        (
            "parameters.FavorUTF8 = 0\n[s]\n",
            "parameters.FavorUTF8 = 0\nparameters.UserModeHops = 2\n[s]\n",
        ),
        ("[s]\n[ 'parameters' ]\n\n[t]\n", "[s]\n[ 'parameters' ]\nUserModeHops = 2\n\n[t]\n"),
        # tomlkit alone would move the second [[site]] before the table.
        (
            "[[site]]\na=1\n[parameters]\nUserModeHops=1\n[[site]]\na=2\n",
            "[[site]]\na=1\n[parameters]\nUserModeHops=2\n[[site]]\na=2\n",
        ),
        # A line inside a text is not a table.
        (
            "[s]\na='''\n[parameters]\nb=1\n'''\n[parameters]\nUserModeHops=1\n",
            "[s]\na='''\n[parameters]\nb=1\n'''\n[parameters]\nUserModeHops=2\n",
        ),
    ],
)  # fmt: skip
def test_wherever_the_table_is(text: str, wanted: str) -> None:
    assert after_set(text, "UserModeHops", 2) == wanted


def test_delete_the_last_dotted_key() -> None:
    assert after_delete("parameters.UserModeHops = 1\n[s]\n", "UserModeHops") == "[s]\n"


def test_what_cannot_be_edited_is_left_alone_and_said() -> None:
    text = "[[site]]\n[s]\n[[site]]\n[parameters.x]\na=1\n"
    document = Document(text, "my.toml")
    with pytest.raises(ConfigError, match=r"^my\.toml is written in a way.*edit it by hand"):
        document.set_parameter("UserModeHops", 2)
    assert document.text() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parameters = 5", "must be a table"),
        ("[[parameters]]", "must be a table"),
        ("[parameters]\nUserModeHops=1\nusermodehops=2", "stands there twice, as UserModeHops and"),
    ],
)
def test_files_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Document(text).set_parameter("UserModeHops", 2)


@pytest.mark.parametrize("text", ["[parameters", "a = 1\na = 2", "\x00", "a = " + "[" * 99999,
                                  "a = " + "9" * 9999, "a = 0x" + "f" * 9999])  # fmt: skip
def test_not_toml(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^my\.toml(:\d+: not TOML|: .* nested|.* too many digits)"
    ):
        Document(text, "my.toml")


def test_bad_values_and_names_are_refused() -> None:
    document = Document(COMMENTED)
    for name, value in (("MaxConnections", 5), ("MaxConnections", "9999"), ("Other", 1)):
        with pytest.raises(ConfigError):
            document.set_parameter(name, value)
    with pytest.raises(ConfigError):
        document.delete_parameter("Other")
    assert document.text() == COMMENTED


def test_a_bad_value_can_be_put_right() -> None:
    text = "[parameters]\nMaxConnections = '5' # many\nOther = 1\n"
    wanted = "[parameters]\nMaxConnections = 2000 # many\nOther = 1\n"
    assert after_set(text, "MaxConnections", 2000) == wanted
    assert after_delete(text, "MaxConnections") == "[parameters]\nOther = 1\n"


def test_parameters() -> None:
    assert Document(COMMENTED).parameters() == {
        "EnableKernelSSL": 1,
        "MaxConnections": 2048,
    }
    assert Document(COMMENTED).profile() == "native"


def test_all_problems_of_the_parameters_at_once() -> None:
    text = "[parameters]\nMaxConnections = 5\nUserModeHops = true\nOther = 1\nFavorUTF8 = 1\n"
    text += "favorutf8 = 0\n"
    with pytest.raises(ProblemsError) as caught:
        Document(text, "my.toml").parameters()
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (line, "parameters") for line in (2, 3, 4, 6)
    ]


@settings(max_examples=examples(100), deadline=None)
@given(parameter_sets)
def test_any_set_of_values(values: dict[str, Value | None]) -> None:
    document = Document(COMMENTED)
    before = tomllib.loads(COMMENTED)
    wanted = document.parameters()
    for name, value in values.items():
        if value is None:
            assert document.delete_parameter(name) == (name in wanted)
            wanted.pop(name, None)
        else:
            document.set_parameter(name, value)
            wanted[name] = value
    assert document.parameters() == wanted
    after = tomllib.loads(document.text())
    del before["parameters"], after["parameters"]
    assert after == before
    for comment in (
        "# Ours.",
        "# the Windows names",
        "# FavorUTF8 = 0",
        "\n\n# The shop.\n[[site]]",
    ):
        assert comment in document.text()


_PIECES = [
    "[parameters]\n", "[[parameters]]\n", "[[binding]]\n", "[[site]]\n", "parameters", "binding",
    "UserModeHops = 1\n", "parameters.UserModeHops = 1\n", "'UserModeHops'", "usermodehops", "=",
    ".", "{", "}", "[", "]", "'''", '"""', "\n", "\r\n", "\r", "#", "'", '"', ",", "1", "nan", "\\",
    "\u2028", "\x0c", "2020-01-01", "0x" + "f" * 5000, "true", "ipport = '*:443'\n",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A good file with pieces put in and cut out, or pieces alone."""
    text = draw(st.sampled_from(["", COMMENTED, TWO, TWO + COMMENTED, COMMENTED + "[s]\n" + TWO]))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 30))
        text = text[:start] + draw(st.sampled_from(_PIECES)) + text[end:]
    return text


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_any_text_is_edited_rightly_or_refused(text: str) -> None:
    try:
        document = Document(text)
    except ConfigError:
        return
    edits: list[Callable[[Document], object]] = [
        lambda document: document.set_parameter("UserModeHops", 2),
        lambda document: document.set_parameter("ErrorLoggingDir", 'a"\\'),
        lambda document: document.delete_parameter("UserModeHops"),
        lambda document: document.add_binding({"ipport": "x"}),
        lambda document: document.rebind(lambda binding: True, "ab"),
        lambda document: document.remove_binding(lambda binding: "ipport" in binding),
        lambda document: document.parameters(),
        lambda document: document.profile(),
    ]
    for edit in edits:
        before = tomllib.loads(document.text())
        with contextlib.suppress(ConfigError):
            edit(document)
        after = tomllib.loads(document.text())
        for each in (before, after):
            each.pop("parameters", None)
            each.pop("binding", None)
        assert str(after) == str(before)  # as text: NaN is not equal to itself


# Bindings.

TWO = """\
# Any.
[[binding]]
ipport = "*:443"      # all
thumbprint = "aa"

# For the shop.
[[binding]]
hostnameport = "shop.example:443"

# The site.
[[site]]
name = "x"
"""


def test_bindings_are_copies() -> None:
    document = Document(TWO)
    document.bindings()[0]["ipport"] = "changed"
    assert document.bindings() == [
        {"ipport": "*:443", "thumbprint": "aa"},
        {"hostnameport": "shop.example:443"},
    ]
    assert Document("").bindings() == []


def test_add_binding() -> None:
    document = Document(TWO)
    document.add_binding({"ipport": "127.0.0.1:8443", "certificate": 'a"b'})
    assert document.text() == TWO + (
        '\n[[binding]]\nipport = "127.0.0.1:8443"\ncertificate = "a\\"b"\n'
    )
    assert document.bindings()[2] == {"ipport": "127.0.0.1:8443", "certificate": 'a"b'}


def test_remove_binding_keeps_the_comments_around_it() -> None:
    document = Document(TWO)
    assert document.remove_binding(lambda binding: binding.get("thumbprint") == "aa") == 1
    start, end = TWO.index("[[binding]]"), TWO.index("# For the shop")
    assert document.text() == TWO[:start] + "\n" + TWO[end:]
    assert document.remove_binding(lambda binding: False) == 0
    assert document.remove_binding(lambda binding: True) == 1
    assert document.bindings() == []
    assert "# For the shop.\n\n# The site.\n[[site]]" in document.text()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[[binding]]\na=1\n[[site]]\n[[binding]]\na=1\n", "[[site]]\n"),
        ("binding = [{a=1}, {a=2}] # x\n", "binding = [{a=2}] # x\n"),
        ("[s]\nt='''\n[[binding]]\n'''\n[[binding]]\na=1\n", "[s]\nt='''\n[[binding]]\n'''\n"),
    ],
)
def test_remove_bindings_wherever_they_are(text: str, wanted: str) -> None:
    document = Document(text)
    document.remove_binding(lambda binding: binding["a"] == 1)
    assert document.text() == wanted


REBOUND = """\
[[binding]]  # old
ipport = "*:443"  # all
certhash = "aa"   # ours

# Next.
[[binding]]
ipport = "*:444"
certificate = "a.pem"  # gone with the file
# Kept.
key = "a.key"

[[site]]
"""


@pytest.mark.parametrize(
    ("port", "wanted"),
    [
        ("*:443", REBOUND.replace('"aa"', '"bb"')),
        (
            "*:444",
            REBOUND.replace('certificate = "a.pem"  # gone with the file\n', "").replace(
                'key = "a.key"\n', 'certhash = "bb"\n'
            ),
        ),
        ("*:445", REBOUND),
    ],
)
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_rebind_keeps_the_comments(port: str, wanted: str, line_break: str) -> None:
    document = Document(REBOUND.replace("\n", line_break))
    document.rebind(lambda binding: binding["ipport"] == port, "bb")
    assert document.text() == wanted.replace("\n", line_break)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "binding = [{a=1, certhash='a'}, {a=2}] # x\n",
            'binding = [{a=1, certhash="b"}, {a=2}] # x\n',
        ),
        ("binding = [{a=1, key='a'}] # x\n", 'binding = [{a=1, certhash = "b"}] # x\n'),
        (
            "[s]\nt='''\n[[binding]]\na=1\n'''\n[[binding]]\na=1\n",
            "[s]\nt='''\n[[binding]]\na=1\n'''\n[[binding]]\na=1\ncerthash = \"b\"\n",
        ),
        (
            "[[binding]]\na=1\n[[site]]\n[[binding]]\na=1",
            '[[binding]]\na=1\ncerthash = "b"\n[[site]]\n[[binding]]\na=1\ncerthash = "b"\n',
        ),
    ],
)
def test_rebind_wherever_they_are(text: str, wanted: str) -> None:
    document = Document(text)
    document.rebind(lambda binding: binding["a"] == 1, "b")
    assert document.text() == wanted


def test_add_to_an_array() -> None:
    document = Document("binding = [{a=1}] # x\n[s]\n")
    document.add_binding({"a": 2})
    assert document.text() == "binding = [{a=1}, {a = 2}] # x\n[s]\n"


@pytest.mark.parametrize("text", ["binding = 3", "binding = [3]", "[binding]"])
def test_what_are_no_bindings(text: str) -> None:
    with pytest.raises(ConfigError, match="must be tables"):
        Document(text).add_binding({"a": 1})


# Files.


def hops(document: Document) -> None:
    document.set_parameter("UserModeHops", 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "my.toml"
    path.write_text(COMMENTED)
    path.chmod(0o640)
    return path


def test_a_file_is_edited_and_keeps_its_mode(path: Path, tmp_path: Path) -> None:
    edit_file(path, tmp_path / "state", hops)
    assert path.read_text() == after_set(COMMENTED, "UserModeHops", 2)
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["my.toml", "state"]


def test_a_new_file_is_private(tmp_path: Path) -> None:
    state = tmp_path / "state"
    edit_file(state / "kssl.toml", state, hops)
    assert (state / "kssl.toml").read_text() == "[parameters]\nUserModeHops = 2\n"
    assert (state / "kssl.toml").stat().st_mode & 0o777 == 0o600


def test_the_file_behind_a_link_is_edited(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "state" / "kssl.toml"
    link.parent.mkdir(0o700)
    link.symlink_to(path)
    edit_file(link, link.parent, hops)
    assert link.is_symlink()
    assert "UserModeHops = 2" in path.read_text()


def test_no_change_is_no_write(path: Path, tmp_path: Path) -> None:
    before = path.stat()
    edit_file(path, tmp_path / "state", lambda document: None)
    assert path.stat().st_ino == before.st_ino


def test_a_change_that_fails_leaves_the_file(path: Path, tmp_path: Path) -> None:
    def change(document: Document) -> None:
        hops(document)
        document.set_parameter("MaxConnections", 5)

    with pytest.raises(ConfigError, match="MaxConnections=5"):
        edit_file(path, tmp_path / "state", change)
    assert path.read_text() == COMMENTED


def test_changes_at_the_same_time_all_count(path: Path, tmp_path: Path) -> None:
    rows = [row for row in PARAMETERS if not row.is_text]

    def change(row: Parameter) -> None:
        value = row.default_in(Profile.NATIVE)
        edit_file(
            path, tmp_path / "state", lambda document: document.set_parameter(row.name, value)
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, rows))
    assert set(Document(path.read_text()).parameters()) == {row.name for row in rows}


@pytest.mark.parametrize("mode", [0o660, 0o606, 0o666])
def test_files_that_others_may_write_are_refused(path: Path, tmp_path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(ConfigError, match=rf"may be changed by .* \(mode {mode:04o}\).*; run: ch"):
        edit_file(path, tmp_path / "state", hops)
    assert path.read_text() == COMMENTED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_files_of_others_are_refused(path: Path, tmp_path: Path) -> None:
    os.chown(path, 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to another user"):
        edit_file(path, tmp_path / "state", hops)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_group_stays(path: Path, tmp_path: Path) -> None:
    os.chown(path, 0, 12345)
    edit_file(path, tmp_path / "state", hops)
    assert path.stat().st_gid == 12345


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "not UTF-8"),
        (b"\xff\xfe", "is in UTF-16"),
        (b"\xef\xbb\xbfa = 1", "byte order mark"),
        (b"[", "not TOML"),
        (b"#" * (5 << 20), "is larger than"),
    ],
)
def test_bad_files(path: Path, tmp_path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        edit_file(path, tmp_path / "state", hops)
    assert path.read_bytes() == content


def test_what_is_no_file(tmp_path: Path) -> None:
    state = tmp_path / "state"
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    os.mkfifo(tmp_path / "fifo")
    for bad in (tmp_path, loop, tmp_path / "missing" / "kssl.toml", tmp_path / "fifo"):
        with pytest.raises(ConfigError):
            edit_file(bad, state, hops)
    assert read_document(tmp_path / "missing") is None


def test_which_file(tmp_path: Path) -> None:
    environment = {"KSSL_CONFIG": "/etc/kssl.toml"}
    assert config_path(Path("/a"), tmp_path, environment) == Path("/a")
    assert config_path(Path("a"), tmp_path, environment) == Path.cwd() / "a"
    assert config_path(None, tmp_path, environment) == Path("/etc/kssl.toml")
    assert config_path(None, tmp_path, {"KSSL_CONFIG": ""}) == tmp_path / "kssl.toml"
