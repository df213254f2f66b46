"""kssl.config.reg.parse: what a file says, and what is wrong with it."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import example, given, settings

from kssl.config.errors import ConfigError, ProblemsError
from kssl.config.parameter import Parameter, Value
from kssl.config.reg.parse import RegFile, parse_reg
from kssl.config.table import PARAMETERS
from tests.config.reg.support import EXAMPLES, EXPORT, EXPORTED, OUR_KEY, anything, v5


def parsed(data: bytes) -> dict[str, Value | None]:
    return parse_reg(data).changes({})


def problems(data: bytes) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        parse_reg(data, "a.reg")
    return [str(problem) for problem in caught.value.problems]


# What regedit writes.


def test_an_export_of_windows() -> None:
    data = EXPORT.read_bytes()
    assert data.startswith(codecs.BOM_UTF16_LE)
    assert data[2:].decode("utf-16-le").count("\r\n") == data[2:].decode("utf-16-le").count("\n")
    found = parse_reg(data, "windows.reg")
    assert found.changes({"UserModeHops": 2}) == EXPORTED
    assert found.cleared == 0
    assert found.ignored == 20
    assert found.notes[1] == 'windows.reg:21: "UriEnableCache" has no meaning here, ignored'
    assert found.notes[4] == (
        r"windows.reg:30: [HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\HTTP\Parameters"
        r"\SslBindingInfo\0.0.0.0:443]: another key, ignored (9 values)"
    )
    assert "ignored (no values)" in found.notes[3]


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize(
    ("bom", "codec"),
    [
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF8, "utf-8"),
        (b"", "utf-8"),
    ],
)
def test_encodings_and_line_breaks(bom: bytes, codec: str, line_break: str) -> None:
    text = EXPORT.read_bytes().decode("utf-16").replace("\r\n", line_break)
    found = parse_reg(bom + text.encode(codec), "windows.reg")
    assert found == parse_reg(EXPORT.read_bytes(), "windows.reg")


def test_version_4_is_windows_1252_unless_it_is_utf_8() -> None:
    text = f'REGEDIT4\r\n\r\n{OUR_KEY}\r\n"ErrorLoggingDir"="Prüfung"\r\n'
    assert parsed(text.encode("cp1252")) == {"ErrorLoggingDir": "Prüfung"}
    assert parsed(text.encode()) == {"ErrorLoggingDir": "Prüfung"}
    assert parsed(codecs.BOM_UTF16_LE + text.encode("utf-16-le")) == {"ErrorLoggingDir": "Prüfung"}


def test_hex_text_of_version_4_is_in_the_ansi_code_page() -> None:
    line = '"ErrorLoggingDir"=hex(2):44,3a,5c,fc,00'
    assert parsed(f"REGEDIT4\n{OUR_KEY}\n{line}\n".encode()) == {"ErrorLoggingDir": "D:\\ü"}


# Keys.


@pytest.mark.parametrize(
    "key",
    [
        r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\HTTP\Parameters",
        r"hkey_local_machine\system\currentcontrolset\services\http\parameters",
        r"HKEY_LOCAL_MACHINE\SYSTEM\ControlSet001\Services\HTTP\Parameters",
        r"HKLM\System\ControlSet012\Services\HTTP\Parameters",
    ],
)
def test_our_key(key: str) -> None:
    data = f'Windows Registry Editor Version 5.00\n[{key}] ; ours\n"UserModeHops"=dword:2'
    assert parsed(data.encode()) == {"UserModeHops": 2}


@pytest.mark.parametrize(
    "key",
    [
        r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\HTTP",
        r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\x",
        r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\HTTP\Parameters" + "\\",
        r"HKEY_CURRENT_USER\SYSTEM\CurrentControlSet\Services\HTTP\Parameters",
        r"HKEY_LOCAL_MACHINE\SYSTEM\ControlSet1\Services\HTTP\Parameters",
        r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\HTTPFilter\Parameters",
        "H\u212aLM" + r"\SYSTEM\CurrentControlSet\Services\HTTP\Parameters",
    ],
)
def test_other_keys_are_ignored_with_a_note(key: str) -> None:
    data = f'Windows Registry Editor Version 5.00\n[{key}]\n"UserModeHops"=dword:2\nrubbish\n'
    found = parse_reg(data.encode(), "a.reg")
    assert found == RegFile((), 0, (f"a.reg:2: [{key}]: another key, ignored (1 value)",), 1)


def test_deleting_our_key_deletes_what_is_there_and_what_came_before() -> None:
    minus = OUR_KEY.replace("[", "[-")
    found = parse_reg(
        v5('"UserModeHops"=dword:2', minus, OUR_KEY, '"MaxConnections"=dword:800'), "a.reg"
    )
    assert found.cleared == 5
    assert found.changes({"UserModeHops": 1, "FavorUTF8": 0}) == {
        "UserModeHops": None,
        "FavorUTF8": None,
        "MaxConnections": 0x800,
    }


def test_deleting_another_key_deletes_nothing() -> None:
    found = parse_reg(v5(r"[-HKEY_LOCAL_MACHINE\SYSTEM]", '"UserModeHops"=dword:2'), "a.reg")
    assert (found.assignments, found.cleared) == ((), 0)
    assert "nothing is deleted" in found.notes[0]
    assert found.notes[0].startswith("a.reg:4: ")


# Values.


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"MaxConnections"=dword:00000800', {"MaxConnections": 2048}),
        ('"maxconnections"=DWORD:800', {"MaxConnections": 2048}),
        ('  "MaxConnections" = dword:800 ; so many', {"MaxConnections": 2048}),
        ('"MaxConnections"=hex(4):00,08,00,00', {"MaxConnections": 2048}),
        ('"MaxConnections"=hex(4):00,\\\n  08,00,\\\n00\n', {"MaxConnections": 2048}),
        ('"MaxConnections"=hex(4):0,8,0,0,', {"MaxConnections": 2048}),
        ('"MaxConnections"=hex(4):00,\\\n  08,00,00 ; so many\n', {"MaxConnections": 2048}),
        ('"ErrorLogFileTruncateSize"=dword:ffffffff', {"ErrorLogFileTruncateSize": 0xFFFFFFFF}),
        ('"MaxConnections"=-', {"MaxConnections": None}),
        ('"MaxConnections"=- ; away', {"MaxConnections": None}),
        ('"ErrorLoggingDir"="C:\\\\a \\"b\\" ;c"', {"ErrorLoggingDir": 'C:\\a "b" ;c'}),
        ('"ErrorLoggingDir"=""', {"ErrorLoggingDir": ""}),
        ('"ErrorLoggingDir"=hex(1):41,00,00,00', {"ErrorLoggingDir": "A"}),
        ('"ErrorLoggingDir"=hex(2):41,00', {"ErrorLoggingDir": "A"}),
        ('"ErrorLoggingDir"=hex(2):', {"ErrorLoggingDir": ""}),
        ("; a comment\n;\n\n", {}),
    ],
)
def test_values(line: str, expected: dict[str, Value | None]) -> None:
    assert parsed(v5(line)) == expected
    assert parse_reg(v5(line)).notes == ()


def test_of_a_name_given_twice_the_last_counts_with_a_note() -> None:
    found = parse_reg(v5('"UserModeHops"=dword:2', '"usermodehops"=dword:1'), "a.reg")
    assert found.changes({}) == {"UserModeHops": 1}
    assert found.notes == ("a.reg:5: UserModeHops stands in line 4 too; this one counts",)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('@="x"', "the key's default value"),
        ('"UriEnableCache"=dword:1', '"UriEnableCache"'),
        ('"A \\"b\\""=hex(b):00,00', '"A "b""'),
        ('"MaxConnection"=-', '"MaxConnection"'),
        ('"Other"="of\ntwo lines"', '"Other"'),
    ],
)
def test_unknown_names_are_ignored_with_a_note(line: str, what: str) -> None:
    found = parse_reg(v5(line, '"UserModeHops"=dword:2'), "a.reg")
    assert found.notes == (f"a.reg:4: {what} has no meaning here, ignored",)
    assert (found.ignored, found.changes({})) == (1, {"UserModeHops": 2})


@pytest.mark.parametrize("row", PARAMETERS, ids=lambda row: row.name)
def test_each_range(row: Parameter) -> None:
    if row.words:
        for word in row.words:
            assert parsed(v5(f'"{row.name}"="{word}"')) == {row.name: word}
        assert problems(v5(f'"{row.name}"="other"')) == [
            f"a.reg:4: {row.name}: 'other' is not allowed: must be {row.range_text}"
        ]
        return
    if row.is_text:
        too_long = "x" * (row.maximum + 1)
        assert parsed(v5(f'"{row.name}"="{too_long[1:]}"')) == {row.name: too_long[1:]}
        assert len(problems(v5(f'"{row.name}"="{too_long}"'))) == 1
        return
    for number in (row.minimum, row.maximum, *([0] if row.zero else [])):
        assert parsed(v5(f'"{row.name}"=dword:{number:x}')) == {row.name: number}
    for number in (row.minimum - 1, row.maximum + 1):
        if 0 <= number <= 0xFFFFFFFF and not (row.zero and number == 0):
            line = f'"{row.name}"=dword:{number:x}'
            assert problems(v5(line)) == [
                f"a.reg:4: {row.name}: {number} is not allowed: must be {row.range_text}"
            ]


# What is wrong.


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"MaxConnections"="2048"', 'is a text, must be a dword; write dword:0000000a'),
        ('"ErrorLoggingDir"=dword:1', 'is a dword, must be a text; write "text"'),
        ('"MaxConnections"=hex:00,08,00,00', "is REG_BINARY; write dword:0000000a"),
        ('"MaxConnections"=hex(b):00', "is REG_QWORD; write dword:0000000a"),
        ('"MaxConnections"=hex(fffff):00', "is of type 1048575; write dword:0000000a"),
        ('"MaxConnections"=hex(4):00,08', "hex(4) is a dword of 4 bytes, not 2"),
        ('"MaxConnections"=hex(4):00,08,000,00', "hex bytes are two digits each"),
        ('"MaxConnections"=hex(4):00,,00,00,00', "hex bytes are two digits each"),
        ('"MaxConnections"=hex(4):00,08,00,\\', r"'\\' stands behind the data"),
        ('"MaxConnections"=hex(4):00,08,00,\\\n"UserModeHops"=dword:2', "stands behind the data"),
        ('"MaxConnections"=dword:', "a dword has 1 to 8 hexadecimal digits, not 0"),
        ('"MaxConnections"=dword:000000800', "a dword has 1 to 8 hexadecimal digits, not 9"),
        ('"MaxConnections"=dword:0x800', "'x800' stands behind the data"),
        ('"MaxConnections"=dword:-1', "'-1' stands behind the data"),
        ('"MaxConnections"=dword:٣', "'٣' stands behind the data"),
        ('"MaxConnections"=2048', "'2048' is no data; write dword:0000000a, or - to delete it"),
        ('"MaxConnections"=', "no data; write dword:0000000a"),
        ('"MaxConnections"= ; none', "no data; write dword:0000000a"),
        ('"MaxConnections"=--', "'-' stands behind the data"),
        ('"ErrorLoggingDir"="C:\\logs"', r"write \\ for a backslash"),
        ('"ErrorLoggingDir"="C:\\\\logs\\"', "the text is not closed"),
        ('"ErrorLoggingDir"="a" b', "'b' stands behind the data"),
        ('"ErrorLoggingDir"="a\x1bb"', "is not allowed: must be a text"),
        ('"ErrorLoggingDir"=hex(1):41', "the hex bytes are not a text in UTF-16"),
        ('"ErrorLoggingDir"=hex(1):00,d8', "the hex bytes are not a text in UTF-16"),
        ('"ErrorLoggingDir"=hex(1):41,00,00,00,42,00', "is not allowed: must be a text"),
        ('"MaxConnections" dword:1', 'is neither [KEY] nor "NAME"=DATA nor ; COMMENT'),
        ('MaxConnections=dword:1', 'is neither [KEY] nor "NAME"=DATA nor ; COMMENT'),
        ('"MaxConnections=dword:1', 'is neither [KEY] nor "NAME"=DATA nor ; COMMENT'),
        ("[HKEY_LOCAL_MACHINE", "a key without its closing ]"),
        ('"Other"="never closed', "a text that is never closed"),
    ],
)  # fmt: skip
def test_problems(line: str, message: str) -> None:
    found = problems(v5(line))
    assert found[0].startswith("a.reg:4: ")
    assert message in found[0]


def test_all_problems_at_once_and_nothing_is_imported() -> None:
    lines = ('"MaxConnections"=dword:5', '"UserModeHops"=dword:2', "what?", '"FavorUTF8"="1"')
    assert [text.split(": ")[0] for text in problems(v5(*lines))] == [
        "a.reg:4",
        "a.reg:6",
        "a.reg:7",
    ]


def test_a_value_before_the_first_key() -> None:
    data = b'REGEDIT4\n"MaxConnections"=dword:800\n"UserModeHops"=dword:2\n'
    assert len(problems(data)) == 1
    assert problems(data)[0].startswith("a.reg:2: a value before the first key")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"[parameters]\nUserModeHops = 1\n",
        b"REGEDIT\n",
        b"REGEDIT5",
        b"Windows Registry Editor Version 6.00",
        OUR_KEY.encode(),
        "Windows Registry Editor Version 5.00".encode("utf-16-le"),  # no byte order mark
    ],
)
def test_not_a_registration_file(data: bytes) -> None:
    assert problems(data)[0].startswith("a.reg:1: not a registration file: the first line must be")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"REGEDIT4\r\n\r\n; \x81\xfc\r\n", "a.reg:3: byte 14 is not Windows-1252"),
        (b"Windows Registry Editor Version 5.00\n\xfc", "a.reg:2: byte 37 is not UTF-8"),
        (b"\xff\xfeR\0E", "a.reg:1: byte 2 is not UTF-16"),
        (b"\xff\xfeR\0\n\0\x00\xd8x\0", "a.reg:2: byte 4 is not UTF-16"),
    ],
)
def test_not_text(data: bytes, message: str) -> None:
    assert problems(data)[0].startswith(message)


def test_a_line_separator_of_unicode_does_not_end_a_line() -> None:
    data = f'REGEDIT4\n; a\u2028"UserModeHops"=dword:2\n{OUR_KEY}\n; b\x0c\x85"X"\n'
    assert parsed(data.encode()) == {}


@settings(max_examples=EXAMPLES, deadline=None)
@given(anything)
@example(v5('"ErrorLoggingDir"="' + "\\" * 9999))
@example(v5('"ErrorLoggingDir"="' + "a" * 99999))
@example(v5('"MaxConnections"=hex(' + "f" * 9999 + "):00"))
@example(v5('"MaxConnections"=hex(4):' + "00,\\\n" * 9999))
def test_arbitrary_bytes_raise_nothing_but_config_errors(data: bytes) -> None:
    try:
        found = parse_reg(data)
    except ConfigError:
        return
    rows = {row.name: row for row in PARAMETERS}
    for name, value in found.changes({}).items():
        assert value is None or rows[name].allows(value)
