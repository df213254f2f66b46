"""Whatever a file holds, reading it gives a configuration or a ConfigError."""

from __future__ import annotations

import json
import random
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from kssl.config.document import keys
from kssl.config.document.keys import SECTIONS
from kssl.config.errors import ConfigError
from kssl.config.model import CERTIFICATE_FLAGS
from kssl.config.parameter import Profile
from kssl.config.table import PARAMETERS
from kssl.config.target import parse_target
from tests.config.document.support import FakeFiles, a_request, read

EXAMPLE = (Path(__file__).resolve().parents[3] / "docs" / "kssl.example.toml").read_text("utf-8")
# Without comments and blank lines, so that what is changed is mostly something that counts.
SHORT = "\n".join(line for line in EXAMPLE.split("\n") if line and not line.startswith("# "))
ACTIVE = [line for line in SHORT.split("\n") if not line.startswith("#")]
LINES = [line.removeprefix("#") for line in SHORT.split("\n")]

NAMES = sorted(
    {key.name for known in SECTIONS.values() for key in known}
    | {row.name for row in PARAMETERS}
    | {"x", "a b", ""}
)


def fuzz_settings(examples: int) -> settings:
    """Reproducible, without a database, and without a deadline on a busy machine."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


def check(text: str) -> None:
    """In all profiles by turns, and beside a command line or not."""
    turn = len(text)
    request = a_request(
        profile=(None, *Profile)[turn % 4],
        target=parse_target(("8000", "https://x")[turn % 2]) if turn % 3 == 0 else None,
        certificate=Path("a.pem") if turn % 5 == 0 else None,
        upstream_ca=Path("ca.pem") if turn % 13 == 0 else None,
        listen_given=turn % 2 == 0,
        path=None if turn % 7 == 0 else Path("/etc/kssl/kssl.toml"),
    )
    try:
        configuration = read(text, request, FakeFiles({"app.key"} if turn % 11 == 0 else ()))
    except ConfigError as error:
        assert str(error).isprintable()  # noqa: PT017 - that it is raised is not what is tested
        return
    assert configuration.sites
    assert all(site.upstreams and site.bindings for site in configuration.sites)
    for site in configuration.sites:
        asking = bool(site.ssl_flags & CERTIFICATE_FLAGS)
        assert asking == (site.client_certificates is not None) == (site.policy != "")


def _word(text: str) -> str:
    # JSON's escapes are TOML's too, but DEL must not stand there as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


WORDS = st.one_of(
    st.sampled_from(
        [
            "", "app.pem", "a.example.com", "*.example.com", "*.localhost", "localhost", "::1", "*",
            "[::1]:443", "[::]:443", "0.0.0.0:443", "http://0.0.0.0:80", "127.0.0.1:0", "*:443",
            "a.localhost:443", "http://", "https://x", "8000", "unix:/a", "unix:", "Ssl", "ssl128",
            "SslRequireCert", "native", "ws2008", "ws2003sp1", "stderr", "off", "a" * 300,
            "ab" * 32, "ab" * 20, "\0", "\u200eab", "a:b@c", "[", "]:1", "٣", "1" * 5000,
            "../..", "/", "~", "https://x:9443", "https://[::1]", "abort", "pass", "ca.pem",
            "10.0.0.7", "[::1]", "SslNegotiateCert", "page", "alert", "rfc9440", "all", "cas",
            "issuer:CN=CA", "http://127.0.0.1:81",
        ]
    ),
    st.text(max_size=8),
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-1, 2),
    st.sampled_from([64, 1024, 65535, 65536, 31536000, 1 << 31, 1 << 32, 1 << 63, -(1 << 63)]),
)
VALUES = st.recursive(
    st.one_of(
        WORDS.map(_word),
        NUMBERS.map(str),
        st.sampled_from(
            ["true", "false", "nan", "-inf", "1e400", "0x" + "f" * 5000, "9" * 5000, "07:32:00",
             "1979-05-27", "1979-05-27 07:32:00Z", "'''\n'''", '"""\n"""']
        ),
    ),
    lambda below: st.one_of(
        st.lists(below, max_size=3).map(lambda values: f"[{', '.join(values)}]"),
        st.dictionaries(st.sampled_from(NAMES).map(_word), below, max_size=3).map(
            lambda pairs: f"{{{', '.join(f'{key} = {value}' for key, value in pairs.items())}}}"
        ),
    ),
    max_leaves=4,
)  # fmt: skip
HEADERS = st.sampled_from(
    ["[parameters]", "[[site]]", "[[site]]", "[site.limits]", "[site.hsts]", "[[binding]]",
     "[logs]", "[site]", "[[parameters]]", "[x]"]
)  # fmt: skip
SITE_LINES = st.builds("{} = {}".format, st.sampled_from([key.name for key in keys.SITE]), VALUES)
PAIRS = st.builds("{} = {}".format, st.sampled_from(NAMES).map(_word), VALUES)
LIST_PAIRS = st.builds(
    "{} = [{}]".format,
    st.sampled_from(
        [
            "hostnames",
            "bindings",
            "upstreams",
            "sslFlags",
            "client_cert_allow",
            "client_cert_deny",
            "client_crls",
        ]
    ),
    st.lists(WORDS.map(_word), max_size=3).map(", ".join),
)

VALUES_IN_KEYS = st.lists(
    st.one_of(HEADERS, PAIRS, SITE_LINES, LIST_PAIRS, st.sampled_from(LINES)), max_size=8
).map("\n".join)

# One seed instead of many draws: hypothesis could not do a hundred thousand of them in minutes.
_MARKS = [*"\"'[]{}=,.#\\\n\r\t \0é-_:/*0aA", "[[", "]]", '"""', "'''", "\r\n", "\\u", "= "]


def mutated(seed: int) -> str:
    """The example after some accidents."""
    chance = random.Random(seed)
    whole = chance.random() < 0.5
    lines = list(ACTIVE if whole else LINES)
    for _ in range(chance.randint(0, 1 if whole else 3)):
        match chance.randrange(3):
            case 0:
                del lines[chance.randrange(len(lines))]
            case 1:
                lines.insert(chance.randrange(len(lines)), chance.choice(LINES))
            case _:
                one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
                lines[one], lines[other] = lines[other], lines[one]
    if not whole:
        start = chance.randrange(len(lines))
        lines = lines[start : start + chance.randint(1, 25)]
    text = "\n".join(lines)
    for _ in range(chance.randint(0, 2)):
        at = chance.randint(0, len(text))
        mark = chance.choice(_MARKS) if chance.random() < 0.7 else ""
        text = text[:at] + mark + text[at + chance.randint(0, 2) :]
    return text


MUTATED = st.integers(0, 1 << 62).map(mutated)
TEXTS = st.text(max_size=40) | st.lists(st.sampled_from(_MARKS), max_size=30).map("".join)
ALL = st.one_of(VALUES_IN_KEYS, MUTATED, TEXTS)
