"""kssl.config.reg.render: byte for byte, and there and back."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kssl.config.errors import ConfigError
from kssl.config.parameter import Value
from kssl.config.reg.parse import parse_reg
from kssl.config.reg.render import Encoding, render_reg
from tests.config.reg.support import EXAMPLES, EXPORT, EXPORTED, parameter_sets

KEY = r"[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\HTTP\Parameters]"


def test_byte_for_byte() -> None:
    values: dict[str, Value | None] = {
        "errorloggingdir": 'D:\\"ü"', "EnableKernelSSL": 0, "MaxConnections": None,
    }  # fmt: skip
    body = f'{KEY}\r\n"EnableKernelSSL"=dword:00000000\r\n"MaxConnections"=-\r\n'
    text = '"ErrorLoggingDir"="D:\\\\\\"ü\\""\r\n\r\n'
    v5 = f"Windows Registry Editor Version 5.00\r\n\r\n{body}{text}"
    assert render_reg(values) == codecs.BOM_UTF16_LE + v5.encode("utf-16-le")
    assert render_reg(values, Encoding.UTF8) == v5.encode()
    ansi = '"ErrorLoggingDir"=hex(1):44,3a,5c,22,fc,22,00\r\n\r\n'
    v4 = f"REGEDIT4\r\n\r\n{body}{ansi}"
    assert render_reg(values, Encoding.REGEDIT4) == v4.encode("ascii")


def test_regedit4_says_what_it_cannot_hold() -> None:
    with pytest.raises(ConfigError, match=r"'→' is not in Windows-1252.*--encoding utf-16"):
        render_reg({"ErrorLoggingDir": "a→b"}, Encoding.REGEDIT4)


@pytest.mark.parametrize(
    "values", [{"MaxConnections": 5}, {"Nothing": 1}, {"ErrorLoggingDir": 'a"\r\n"b'}]
)
def test_bad_values_are_not_written(values: dict[str, Value | None]) -> None:
    with pytest.raises(ConfigError):
        render_reg(values)


@settings(max_examples=EXAMPLES, deadline=None)
@given(parameter_sets, st.sampled_from(Encoding))
@example({"ErrorLoggingDir": "Ã¼"}, Encoding.REGEDIT4)  # the Windows-1252 of it is "ü" in UTF-8
@example({"UrlRetrievalAllowed": "Ā"}, Encoding.REGEDIT4)
@example({"ErrorLoggingDir": "\\"}, Encoding.UTF16)
def test_export_and_import_is_identity(values: dict[str, Value | None], encoding: Encoding) -> None:
    try:
        data = render_reg(values, encoding)
    except ConfigError:  # only because of the one encoding that does not hold all characters
        assert encoding is Encoding.REGEDIT4
        with pytest.raises(UnicodeEncodeError):
            "".join(value for value in values.values() if isinstance(value, str)).encode("cp1252")
        return
    found = parse_reg(data)
    assert found.changes({}) == values
    assert (found.notes, found.cleared) == ((), 0)
    assert render_reg(found.changes({}), encoding) == data


@pytest.mark.parametrize("encoding", Encoding)
def test_an_export_of_windows_goes_there_and_back(encoding: Encoding) -> None:
    found = parse_reg(EXPORT.read_bytes()).changes({})
    assert parse_reg(render_reg(found, encoding)).changes({}) == EXPORTED
