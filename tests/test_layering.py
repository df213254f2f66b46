"""What imports what: no circle of files, no folder that imports one above it, one name outside.

Every import counts, wherever it stands: `TYPE_CHECKING` hides one from Python, not from readers.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("config", "fastpath", "proxy", "bench")

# From the bottom to the top. A file belongs to the longest of these names that its path begins
# with, and may import its own folder and what stands before it here.
LAYERS = (
    "config",
    "config/reg",
    "config/document",
    "config/store",
    "fastpath/logs",
    "fastpath/net",
    "fastpath/tls",
    "fastpath/record",
    "fastpath/ipc",
    "fastpath/engines",
    "fastpath/filter",
    "fastpath/worker",
    "fastpath/verifier/rules",
    "fastpath/verifier/fetch",
    "fastpath/verifier",
    "proxy/http",
    "proxy/journal",
    "proxy/upstream",
    "proxy/frontend",
    "proxy/service",
    "proxy/trace",
    "proxy/demo",
    "bench",
    "proxy/cli",
)

# Circles that are still there. A file that has left its circle, or a circle that is gone, has to be
# taken out here too: the list only gets shorter.
KNOWN_CIRCLES: tuple[frozenset[str], ...] = (
    frozenset(
        f"proxy/frontend/{name}.py"
        for name in (
            "answering",
            "client",
            "exchange",
            "front",
            "http_connection",
            "request_side",
            "tunnel",
        )
    ),
)

# (who, whom): imports of a folder above. The list only gets shorter.
KNOWN_UPWARD: frozenset[tuple[str, str]] = frozenset()

Graph = Mapping[str, Set[str]]


def sources() -> dict[str, Path]:
    """Dotted name → file, of all modules of ours."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(("kssl", *path.relative_to(ROOT).with_suffix("").parts))
            found[name.removesuffix(".__init__")] = path
    return found


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield what a file imports: modules, or names in modules, dotted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph() -> dict[str, set[str]]:
    """File → files that it imports, both as paths below the root."""
    modules = sources()
    edges = {}
    for path in modules.values():
        targets = set()
        for name in imported(ast.parse(path.read_text("utf-8"))):
            while name and name not in modules:  # a class or a function of a module
                name = name.rpartition(".")[0]
            if name and modules[name] != path:
                targets.add(relative(modules[name]))
        edges[relative(path)] = targets
    return edges


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def layer(file: str) -> int:
    """Return the place of a file in `LAYERS`. A package's entry point stands above everything."""
    if file.endswith("/__main__.py"):
        return len(LAYERS)
    if file.count("/") == 1 and file.endswith("/__init__.py"):
        return -1  # holds nothing but the docstring: see below
    own = [folder for folder in LAYERS if file.startswith(f"{folder}/")]
    assert own, f"{file} is in no folder of LAYERS: give it a place there"
    return LAYERS.index(max(own, key=len))


def circles(edges: Graph) -> list[frozenset[str]]:
    """Return the strongly connected components of more than one file (Tarjan's algorithm)."""
    found: list[frozenset[str]] = []
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(file: str) -> None:
        number[file] = lowest[file] = len(number)
        stack.append(file)
        for other in sorted(edges.get(file, ())):
            if other not in number:
                visit(other)
                lowest[file] = min(lowest[file], lowest[other])
            elif other in stack:
                lowest[file] = min(lowest[file], number[other])
        if lowest[file] == number[file]:
            at = stack.index(file)
            component = frozenset(stack[at:])
            del stack[at:]
            if len(component) > 1:
                found.append(component)

    for file in sorted(edges):
        if file not in number:
            visit(file)
    return found


def upward(edges: Graph) -> set[tuple[str, str]]:
    return {
        (file, other)
        for file, others in edges.items()
        for other in others
        if layer(other) > layer(file)
    }


@pytest.fixture(scope="module")
def edges() -> dict[str, set[str]]:
    return graph()


def test_no_circle_of_files(edges: Graph) -> None:
    found, known = set(circles(edges)), set(KNOWN_CIRCLES)
    new = {
        f"{file} → {other}"
        for circle in found - known
        for file in circle
        for other in edges[file] & circle
    }
    assert not new, "files that import each other"
    assert not known - found, "no longer a circle: take it out of KNOWN_CIRCLES"


def test_no_folder_imports_one_above(edges: Graph) -> None:
    found = upward(edges)
    assert not found - KNOWN_UPWARD, "imports of a folder above"
    assert not KNOWN_UPWARD - found, "no longer imported: take it out of KNOWN_UPWARD"


def test_every_folder_of_the_list_is_there() -> None:
    assert [folder for folder in LAYERS if not (ROOT / folder).is_dir()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_themselves_hold_nothing(package: str) -> None:
    """Importing `kssl.fastpath.net` runs ``fastpath/__init__.py``: it must not import anything."""
    [docstring] = ast.parse((ROOT / package / "__init__.py").read_text("utf-8")).body
    assert isinstance(docstring, ast.Expr)


def test_the_checks_find_what_they_look_for() -> None:
    circle = {"a.py": {"b.py"}, "b.py": {"c.py"}, "c.py": {"a.py", "d.py"}, "d.py": set[str]()}
    assert circles(circle) == [frozenset({"a.py", "b.py", "c.py"})]
    up = {"proxy/http/x.py": {"proxy/frontend/y.py"}, "proxy/cli/z.py": {"proxy/http/x.py"}}
    assert upward(up) == {("proxy/http/x.py", "proxy/frontend/y.py")}
    hidden = "if TYPE_CHECKING:\n    from a.b import c\ndef f():\n    import d.e"
    assert set(imported(ast.parse(hidden))) == {"a.b.c", "d.e"}


# -- names ---------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [*PACKAGES, "tests"])
def test_nothing_is_imported_by_its_short_name(folder: str) -> None:
    """pytest puts the root on the path, where `config` would be a second copy of `kssl.config`."""
    for path in (ROOT / folder).rglob("*.py"):
        names = {name.split(".")[0] for name in imported(ast.parse(path.read_text("utf-8")))}
        assert not names & set(PACKAGES), relative(path)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel that is built from a copy, without network."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in (*PACKAGES, "src"):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=ignore)
    build = "from setuptools import build_meta; build_meta.build_wheel('wheel')"
    done = subprocess.run([sys.executable, "-c", build], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [file] = (copy / "wheel").glob("*.whl")
    return zipfile.ZipFile(file).namelist()


def test_the_wheel_installs_one_name(wheel: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    [metadata] = tops - {"kssl"}
    assert metadata.startswith("kssl-")
    assert metadata.endswith(".dist-info")


def test_the_wheel_holds_every_file_of_the_packages(wheel: list[str]) -> None:
    """Modules, and what they read: pages, styles, OpenSSL's configuration."""
    files = {
        f"kssl/{relative(path)}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(files) > 300
    expected = files | {"kssl/__init__.py", "kssl/py.typed"}
    assert {name for name in wheel if name.startswith("kssl/")} == expected
