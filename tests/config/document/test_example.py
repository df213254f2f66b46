"""docs/kssl.example.toml, docs/configuration.md and docs/kssl.schema.json against the reader."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kssl.config.client_certificates import ClientCertificates, Headers
from kssl.config.document.keys import SECTIONS
from kssl.config.document.read import Request, read_configuration
from kssl.config.document.schema import as_json, as_schema
from kssl.config.errors import ProblemsError
from kssl.config.table import PARAMETERS
from kssl.config.target import UpstreamTls
from tests.config.document.support import a_request, read

DOCS = Path(__file__).resolve().parents[3] / "docs"
EXAMPLE = (DOCS / "kssl.example.toml").read_text("utf-8")
PAGE = (DOCS / "configuration.md").read_text("utf-8")
BLOCKS = [re.sub(r"(?m)^    ", "", block) for block in re.findall(r"(?m)(?:^    .+\n)+", PAGE)]
# A key that is switched off: "#" without a space behind it.
EVERYTHING = re.sub(r"(?m)^#(?=\w+ = )", "", EXAMPLE)
FILES = (
    "app.pem", "app.key", "other.pem", "other.key", "upstream-ca.pem", "client.pem", "client.key",
    "clients.pem", "between.pem", "clients.crl",
)  # fmt: skip


def read_in(folder: Path, text: str) -> Any:
    store = folder / "state" / "certificates"
    store.mkdir(parents=True, exist_ok=True)
    certhash = re.search(r'certhash = "(\w+)"', text)
    assert certhash is not None
    for path in (*(folder / name for name in FILES), *(
        store / f"{certhash[1]}.{end}" for end in ("pem", "key")
    )):  # fmt: skip
        path.touch(0o600)
    path = folder / "kssl.toml"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return read_configuration(Request(path=path, state_dir=folder / "state"))


def test_it_reads_without_a_problem(tmp_path: Path) -> None:
    configuration = read_in(tmp_path, EXAMPLE)
    assert configuration.warnings == ()
    assert [site.name for site in configuration.sites] == ["app", "test.localhost", "partners"]


def test_what_is_switched_off_is_right_too(tmp_path: Path) -> None:
    assert read_in(tmp_path, EVERYTHING).warnings == ()


def test_each_value_that_is_switched_off_is_the_default(tmp_path: Path) -> None:
    shown = tomllib.loads(EVERYTHING)["parameters"]
    assert shown == {row.name: row.default for row in PARAMETERS}
    assert read_in(tmp_path, EVERYTHING).sites == read_in(tmp_path, EXAMPLE).sites


def tables(value: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Each key of a document, as (section, key)."""
    for key, below in value.items():
        yield path, key
        for each in below if isinstance(below, list) else [below]:
            if isinstance(each, dict):
                yield from tables(each, f"{path}.{key}".lstrip("."))


def test_it_shows_every_key_and_no_other() -> None:
    shown = {pair for pair in tables(tomllib.loads(EVERYTHING)) if pair[0] != "parameters"}
    assert shown == {(path, key.name) for path, known in SECTIONS.items() for key in known}


def test_every_key_has_a_comment() -> None:
    blocks = [block for block in EXAMPLE.split("\n\n") if re.search(r"(?m)^#?\w+ = ", block)]
    assert len(blocks) > len(PARAMETERS)
    for block in blocks:
        assert block.startswith("# "), block


def test_the_page_names_every_key() -> None:
    for known in SECTIONS.values():
        for key in known:
            assert re.search(rf"\b{key.name}\b", PAGE), key.name


def test_the_first_file_of_the_page_works(tmp_path: Path) -> None:
    text = BLOCKS[0]
    assert len(text.strip().split("\n")) == 3
    path = tmp_path / "kssl.toml"
    path.write_text(text, "utf-8")
    configuration = read_configuration(Request(path=path, state_dir=tmp_path))
    assert configuration.warnings == ()
    assert str(configuration.sites[0].bindings[0]) == "https://127.0.0.1:8443"


def test_the_https_upstreams_of_the_page_work(tmp_path: Path) -> None:
    (text,) = (block for block in BLOCKS if "upstream_ca" in block)
    (tmp_path / "internal-ca.pem").touch(0o600)
    path = tmp_path / "kssl.toml"
    path.write_text(text, "utf-8")
    configuration = read_configuration(Request(path=path, state_dir=tmp_path))
    assert configuration.warnings == ()
    tls = UpstreamTls("app.internal", ca=tmp_path / "internal-ca.pem")
    assert [target.tls for target in configuration.sites[0].upstreams] == [tls, tls]


def test_the_client_certificates_of_the_page_work(tmp_path: Path) -> None:
    (text,) = (block for block in BLOCKS if "client_ca" in block)
    for name in ("clients.pem", "clients.crl"):
        (tmp_path / name).touch(0o600)
    path = tmp_path / "kssl.toml"
    path.write_text(text, "utf-8")
    configuration = read_configuration(Request(path=path, state_dir=tmp_path))
    assert configuration.warnings == ()
    assert configuration.sites[0].client_certificates == ClientCertificates(
        required=True,
        ca=tmp_path / "clients.pem",
        headers=Headers.ALL,
        revocation=True,
        crls=(tmp_path / "clients.crl",),
        allow=("email:*@example.org",),
    )


def test_problems_look_as_the_page_says() -> None:
    text = """\
[parameters]

EnableKernelSSL = 3

[[site]]
name = "app"


hostname = ["app.localhost"]
bindings = ["0.0.0.0:443"]
upstreams = ["8000"]
[[site]]
upstreams = ["8000"]
bindings = ["http://1.2.3.4:443"]
"""
    with pytest.raises(ProblemsError) as caught:
        read(text, a_request(path=Path("kssl.toml")))
    assert [str(problem) for problem in caught.value.problems] == BLOCKS[-1].strip().split("\n")


# The schema


def test_the_schema_is_made_from_the_tables() -> None:
    made = (DOCS / "kssl.schema.json").read_text("utf-8")
    assert made == as_json(), "run: python -m kssl.config schema > docs/kssl.schema.json"


def problems(value: Any, schema: Any, path: str = "") -> list[str]:
    """What of `value` is against `schema`: the few words of JSON schema that we use."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        schema = {**as_schema()["$defs"][name], **schema}
    found: list[str] = []
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if "type" in schema and type(value) is not kinds[schema["type"]]:
        return [f"{path}: no {schema['type']}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: none of {schema['enum']}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{path}: not {schema['const']}")
    if "anyOf" in schema and all(problems(value, each) for each in schema["anyOf"]):
        found.append(f"{path}: nothing of anyOf")
    if "oneOf" in schema and sum(not problems(value, each) for each in schema["oneOf"]) != 1:
        found.append(f"{path}: not one of oneOf")
    for each in schema.get("allOf", ()):
        found += problems(value, each, path)
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        missing = [key for key in schema.get("required", ()) if key not in value]
        found += [f"{path}: {key} missing" for key in missing]
        for key, each in value.items():
            if key in properties:
                found += problems(each, properties[key], f"{path}.{key}")
            elif not schema.get("additionalProperties", True):
                found.append(f"{path}.{key}: unknown")
    elif isinstance(value, list):
        found += ["too few"] if len(value) < schema.get("minItems", 0) else []
        for each in value:
            found += problems(each, schema.get("items", {}), f"{path}[]")
    elif isinstance(value, str):
        fits = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        found += [] if fits else [f"{path}: length"]
    elif isinstance(value, int):
        fits = schema.get("minimum", value) <= value <= schema.get("maximum", value)
        found += [] if fits else [f"{path}: range"]
    return found


def test_the_example_is_valid() -> None:
    assert problems(tomllib.loads(EXAMPLE), as_schema()) == []
    assert problems(tomllib.loads(EVERYTHING), as_schema()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1", ".a: unknown"),
        ('profile = "x"', ".profile: none of ['native', 'ws2008', 'ws2003sp1']"),
        ("[parameters]\nMaxConnections = 5", ".parameters.MaxConnections: nothing of anyOf"),
        ("[parameters]\nEnableKernelSSL = 2", ".parameters.EnableKernelSSL: range"),
        ("[[site]]", ".site[]: upstreams missing"),
        ('[[site]]\nupstreams = ["1"]\nhsts = -1', ".site[].hsts: nothing of anyOf"),
        ('[[site]]\nupstreams = ["1"]\nclient_crls = []', "too few"),
        (
            '[[site]]\nupstreams = ["1"]\nclient_cert_allow = [""]',
            ".site[].client_cert_allow[]: length",
        ),
        (
            '[[site]]\nupstreams = ["1"]\nclient_cert_failure = "x"',
            ".site[].client_cert_failure: none of ['page', 'alert', 'pass']",
        ),
        ('[[binding]]\nipport = "*:1"', ".binding[]: not one of oneOf"),
    ],
)
def test_the_schema_refuses(text: str, said: str) -> None:
    assert problems(tomllib.loads(text), as_schema()) == [said]


def test_the_schema_takes_the_zero_that_is_unlimited() -> None:
    assert problems({"parameters": {"MaxConnections": 0}}, as_schema()) == []


def test_every_object_of_the_schema_is_closed_and_described() -> None:
    schema = as_schema()
    for name, table in schema["$defs"].items():
        assert table["additionalProperties"] is False, name
        for key, each in table["properties"].items():
            assert each["description"], (name, key)
    assert json.loads(as_json()) == schema


@pytest.mark.parametrize("page", ["schema", "parameters", ""])
def test_the_command_prints_the_pages(page: str) -> None:
    command = [sys.executable, "-m", "kssl.config", *([page] if page else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    file = "kssl.schema.json" if page == "schema" else "parameters.md"
    assert done.stdout == (DOCS / file).read_text("utf-8")
