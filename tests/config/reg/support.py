"""A file as regedit exports it, parameter sets, and inputs that are nearly right."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import strategies as st

from kssl.config.parameter import Parameter, Value
from kssl.config.table import PARAMETERS
from tests.examples import examples

EXPORT = Path(__file__).with_name("windows.reg")
"""Made by hand after what regedit of Windows Server writes for ``…\\Services\\HTTP``: UTF-16LE with
byte order mark, CRLF, hex values cut before column 80, a text with a line break as it is."""

EXPORTED: dict[str, Value] = {
    "EnableKernelSSL": 1,
    "EnableSslCloseNotify": 1,
    "MaxFieldLength": 65534,
    "MaxRequestBytes": 65536,
    "MaxConnections": 100000,
    "UrlSegmentMaxLength": 260,
    "AllowRestrictedChars": 0,
    "DisableServerHeader": 2,
    "ErrorLogFileTruncateSize": 10485760,
    "ErrorLoggingDir": "D:\\Protokolle für Netzwerk\\HTTP",
}
"""What `EXPORT` sets."""

EXAMPLES = int(os.environ.get("KSSL_FUZZ_EXAMPLES", examples(500)))

OUR_KEY = r"[HKEY_LOCAL_MACHINE\System\CurrentControlSet\Services\HTTP\Parameters]"


def v5(*lines: str) -> bytes:
    """A file of version 5.00 in UTF-8, LF, with `lines` below our key."""
    return "\n".join(["Windows Registry Editor Version 5.00", "", OUR_KEY, *lines, ""]).encode()


def values_of(row: Parameter) -> st.SearchStrategy[Value]:
    """Everything that `row` allows."""
    if row.words:
        return st.sampled_from(row.words)
    if row.is_text:
        character = st.characters(codec="utf-8").filter(str.isprintable)
        awkward = st.sampled_from('\\";[]=-@ü€')
        return st.text(character | awkward, max_size=row.maximum)
    numbers = st.integers(row.minimum, row.maximum)
    return st.just(0) | numbers if row.zero else numbers


parameter_sets: st.SearchStrategy[dict[str, Value | None]] = st.fixed_dictionaries(
    {}, optional={row.name: st.none() | values_of(row) for row in PARAMETERS}
)

_PIECES = [
    b"Windows Registry Editor Version 5.00\r\n", b"REGEDIT4\n", b"\xff\xfe", b"\xfe\xff",
    b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n", b"\0", b"\\", b'"', b"=", b"-", b"@", b";", b"[", b"]",
    OUR_KEY.encode() + b"\n", b"[-HKEY_LOCAL_MACHINE\\SYSTEM]", b"dword:", b"00000001", b"hex:",
    b"hex(2):", b"hex(4):", b"hex(", b"41,00,", b",\\\r\n  ", b'"MaxConnections"=dword:00000800\n',
    b'"ErrorLoggingDir"="', b'"MaxFieldLength"=', b"\xc3\xbc", b"\xfc", b"\x81", b"\xd8\x00",
]  # fmt: skip

pieces = st.lists(st.sampled_from(_PIECES) | st.binary(max_size=4), max_size=30).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """`EXPORT`, or another encoding of it, with pieces cut out, doubled and put in."""
    text = EXPORT.read_bytes().decode("utf-16")
    data = bytearray(
        draw(
            st.sampled_from(
                [
                    EXPORT.read_bytes(),
                    text.encode(),
                    text.replace("\r\n", "\n").replace("Windows Registry Editor Version 5.00",
                                                       "REGEDIT4").encode("cp1252"),
                ]
            )
        )
    )  # fmt: skip
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        data[start:end] = draw(st.sampled_from(_PIECES) | st.binary(max_size=8)) * draw(
            st.integers(0, 2)
        )
    return bytes(data)


anything = st.binary(max_size=200) | pieces | mutated()
