"""The URL parameters: what a path may look like, and that every head that comes is judged."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kssl.config.parameter import Profile
from kssl.config.parameters import Parameters
from kssl.proxy.http.codec import Codec
from kssl.proxy.http.forward import ClientInfo
from kssl.proxy.http.memo import RequestMemo
from kssl.proxy.http.messages import HttpError, Limits
from kssl.proxy.http.url import UrlRules
from tests.proxy.http.drive import CODEC_IDS, CODECS

WINDOWS = UrlRules()
UNLIMITED = UrlRules(segment_max_length=0, segment_max_count=0)
E_ACUTE = b"%C3%A9"  # one character, two bytes
LATIN = b"%E9"  # not UTF-8


def refusal(rules: UrlRules, target: bytes) -> str:
    """The detail, or "" when the target may pass."""
    try:
        rules.check(target)
    except HttpError as error:
        return error.detail if (error.status, error.reason) == (400, "URL") else str(error)
    return ""


def test_the_defaults_are_those_of_the_parameters() -> None:
    assert UrlRules.of(Parameters.of({}, Profile.WS2008)) == WINDOWS == Limits().url


def test_each_parameter_is_taken_over() -> None:
    other = UrlRules.of(
        Parameters(
            url_segment_max_length=7,
            url_segment_max_count=8,
            allow_restricted_chars=1,
            percent_u_allowed=0,
            enable_non_utf8=0,
            favor_utf8=0,
        )
    )
    assert other == UrlRules(7, 8, True, False, False, False)
    assert len([field for field in fields(UrlRules) if field.init]) == 6


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"*",
        b"/a/b/c?x=1",
        b"/%20%2F%zz%%4",
        b"/%",
        b"/%a",
        b"/?" + b"x" * 10000,
        b"/?%00%u0000%u",
        b"/?/" + b"/" * 1000,
        b"/" + b"x" * 260,
        b"/" + b"x" * 260 + b"/" + b"y" * 260 + b"?" + b"z" * 300,
        b"/" * 255,
        b"/" + E_ACUTE * 260,
        b"/" + b"%u0041" * 260,
        b"/" + b"%41" * 260,
        b"/%u0041%U00e9%uD83D%uDE00",
        b"/%C3%9F",  # ß, whose second byte is that of a control character in Latin-1
        b"/%E4%B8%80",
        b"/" + LATIN,
        b"/%C2%A0",
        b"/%83%65%83%58%83%67",  # Shift-JIS
        b"/a%80b%9F",
        b"/%25u00",  # an escaped percent sign: nobody decodes twice
        b"/%2500",
    ],
)
def test_passes_with_the_defaults(target: bytes) -> None:
    assert refusal(WINDOWS, target) == ""


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (b"/" + b"x" * 261, "UrlSegmentMaxLength (260)"),
        (b"/a/" + b"x" * 261 + b"/b?y", "UrlSegmentMaxLength (260)"),
        (b"/" + E_ACUTE * 261, "UrlSegmentMaxLength (260)"),
        (b"/" + LATIN * 261, "UrlSegmentMaxLength (260)"),
        (b"/" + b"%u0041" * 261, "UrlSegmentMaxLength (260)"),
        (b"/" + b"%2F" * 261, "UrlSegmentMaxLength (260)"),
        (b"/" * 256, "UrlSegmentMaxCount (255)"),
        (b"/a" * 256, "UrlSegmentMaxCount (255)"),
        (b"/%u", "%u"),
        (b"/%u12", "%u"),
        (b"/%u12g4?x", "%u"),
        (b"/%u0041%U", "%u"),
        *(
            (b"/a%" + escape + b"b", "AllowRestrictedChars")
            for escape in (
                b"00", b"0A", b"0d", b"1F", b"1f", b"7F", b"7f", b"C2%80", b"c2%9f",
                b"u0000", b"U001f", b"u007F", b"u0080", b"u009f", b"FF%00",
            )
        ),
    ],
)  # fmt: skip
def test_is_refused_with_the_defaults(target: bytes, names: str) -> None:
    assert names in refusal(WINDOWS, target)


@pytest.mark.parametrize(
    "escape", [b"%00", b"%1F", b"%7F", b"%C2%80", b"%C2%9F", b"%u0000", b"%u009F"]
)
def test_restricted_characters_can_be_allowed(escape: bytes) -> None:
    allowing = replace(WINDOWS, allow_restricted_chars=True)
    assert refusal(allowing, b"/" + escape) == ""
    assert "AllowRestrictedChars" in refusal(WINDOWS, b"/" + escape)


def test_percent_u_can_be_forbidden() -> None:
    strict = replace(WINDOWS, percent_u_allowed=False)
    assert "PercentUAllowed" in refusal(strict, b"/%u0041")
    assert refusal(strict, b"/%41?%u0041") == ""
    assert refusal(strict, b"/%25u0041") == ""


def test_paths_that_are_not_utf8_can_be_forbidden() -> None:
    strict = replace(WINDOWS, enable_non_utf8=False)
    for bad in (LATIN, b"%C3", b"%C3/%A9", b"%C3%u0041%A9", b"%C0%AF", b"%ED%A0%80", b"%FF"):
        assert "EnableNonUTF8" in refusal(strict, b"/" + bad)
    assert refusal(strict, b"/" + E_ACUTE + b"?" + LATIN) == ""


def test_what_a_character_is() -> None:
    bytewise = UrlRules(segment_max_length=3, favor_utf8=False)
    assert refusal(bytewise, b"/" + E_ACUTE + b"x") == ""
    assert "UrlSegmentMaxLength (3)" in refusal(bytewise, b"/" + E_ACUTE * 2)
    assert refusal(replace(bytewise, favor_utf8=True), b"/" + E_ACUTE * 3) == ""
    assert refusal(replace(bytewise, enable_non_utf8=False), b"/" + E_ACUTE * 3) == ""


@pytest.mark.parametrize(
    ("length", "count"),
    [
        (1, 1), (2, 3), (3, 2), (32766, 3), (3, 16383),
        pytest.param(32766, 16383, marks=pytest.mark.acceptance),  # half a gigabyte
    ],
)  # fmt: skip
def test_both_numbers_at_their_bounds(length: int, count: int) -> None:
    rules = UrlRules(segment_max_length=length, segment_max_count=count)
    path = (b"/" + b"x" * length) * count
    assert refusal(rules, path) == ""
    assert f"UrlSegmentMaxLength ({length})" in refusal(rules, path + b"x")
    assert f"UrlSegmentMaxCount ({count})" in refusal(rules, path + b"/")


def test_zero_is_unlimited() -> None:
    assert refusal(UNLIMITED, b"/" + b"x" * 100_000 + b"/x" * 20_000 + b"%20") == ""
    assert "UrlSegmentMaxCount" in refusal(UrlRules(segment_max_length=0), b"/x" * 256)
    assert "UrlSegmentMaxLength" in refusal(UrlRules(segment_max_count=0), b"/" + b"x" * 261)


def slow(rules: UrlRules, target: bytes) -> bool:
    """Whether the target may pass, character by character and without any short cut."""
    path = target.partition(b"?")[0].decode("ascii")
    segments: list[list[int]] = [[]]  # each of bytes, or of 256 + code unit
    units: list[int] = []
    position = 0
    while position < len(path):
        rest = path[position:]
        unit = re.match("%[uU]([0-9A-Fa-f]{4})", rest)
        octet = re.match("%([0-9A-Fa-f]{2})", rest)
        if unit:
            units.append(int(unit[1], 16))
            segments[-1].append(ord("x"))
            position += 6
        elif rest[:2].lower() == "%u":
            return False
        elif octet:
            segments[-1].append(int(octet[1], 16))
            position += 3
        else:
            if rest[0] == "/":
                segments.append([])
            else:
                segments[-1].append(ord(rest[0]))
            position += 1
    if units and not rules.percent_u_allowed:
        return False
    raw = [bytes(segment) for segment in segments]
    try:
        texts = [segment.decode() for segment in raw]
    except UnicodeDecodeError:
        if not rules.enable_non_utf8:
            return False
        texts = [segment.decode("latin-1") for segment in raw]
        points = units + [octet for segment in raw for octet in segment if octet < 0x80]
    else:
        points = units + [ord(char) for text in texts for char in text]
    if not rules.allow_restricted_chars and any(p < 0x20 or 0x7F <= p < 0xA0 for p in points):
        return False
    if not rules.favor_utf8 and rules.enable_non_utf8:
        texts = [segment.decode("latin-1") for segment in raw]
    if rules.segment_max_length and max(map(len, texts)) > rules.segment_max_length:
        return False
    return not 0 < rules.segment_max_count < len(texts) - 1


PIECES = st.sampled_from(
    ["/", "/", "a", "bc", "?", "%", "%u", "%U", "%u0041", "%u0000", "%41", "%2F", "%25", "%00",
     "%7f", "%C3", "%A9", "%C3%A9", "%C2", "%80", "%zz", "u", "0", "4"]
)  # fmt: skip


@given(
    st.builds(UrlRules, st.integers(0, 4), st.integers(0, 4), *(st.booleans() for _ in range(4))),
    st.lists(PIECES, max_size=12),
)
@example(UrlRules(1, 1), ["%", "%u0041", "1"])
@example(UrlRules(3, 1), ["%4", "%u0041", "1"])
def test_short_cuts_change_no_verdict(rules: UrlRules, pieces: list[str]) -> None:
    target = ("/" + "".join(pieces)).encode()
    assert (refusal(rules, target) == "") is slow(rules, target)


CLIENT = ClientInfo("192.0.2.1", 1234)
BLOCK = b"Host: a\r\nX: y\r\n\r\n"


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize(
    "line",
    [
        b"GET /%00 HTTP/1.1",
        b"GET http://a/%00 HTTP/1.1",
        b"GET /%00 HTTP/1.0",
        b"POST /a?b HTTP/1.1\r\nContent-Length: 3".replace(b"/a", b"/%00"),
    ],
)
def test_every_head_is_judged(codec: Codec, line: bytes) -> None:
    """Also one whose fields are remembered, and again when it is repeated."""
    for warm in (False, True):
        memo = RequestMemo(codec, Limits(), CLIENT, b"")
        if warm:
            memo.parse(b"GET / HTTP/1.1\r\n" + BLOCK)
        for _ in range(2):
            with pytest.raises(HttpError, match="AllowRestrictedChars"):
                memo.parse(line + b"\r\n" + BLOCK)
        lax = RequestMemo(codec, Limits(url=UrlRules(allow_restricted_chars=True)), CLIENT, b"")
        if warm:
            lax.parse(b"GET / HTTP/1.1\r\n" + BLOCK)
        for _ in range(2):
            assert lax.parse(line + b"\r\n" + BLOCK)[0].target.startswith(b"/%00")


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_a_refused_path_is_not_remembered(codec: Codec) -> None:
    memo = RequestMemo(codec, Limits(), CLIENT, b"")
    good = b"GET /good HTTP/1.1\r\n" + BLOCK
    expected = memo.parse(good)
    with pytest.raises(HttpError):
        memo.parse(b"GET /%00 HTTP/1.1\r\n" + BLOCK)
    assert memo.parse(good) == expected
