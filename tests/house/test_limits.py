"""Limits of size, and marks of exception. Every allowance below is a debt: it may shrink or go, never grow."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = [ROOT / path for path in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
FILE_LINES, FUNCTION_LINES, FOLDER_FILES = 400, 60, 12

LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}
FULL_FOLDERS: dict[str, int] = {}


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from package.rglob("*.py")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def hold(found: Mapping[str, int], limit: int, allowed: Mapping[str, int]) -> None:
    """Nothing is over *limit* but what is allowed, and no allowance is larger than its debt."""
    over = {where: size for where, size in found.items() if size > limit}
    assert {where: size for where, size in over.items() if size > allowed.get(where, limit)} == {}
    assert {where: size for where, size in allowed.items() if over.get(where) != size} == {}, (
        "the debt shrank: so must this"
    )


def test_files_end_before_they_are_two_things() -> None:
    hold(
        {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}, FILE_LINES, LONG_FILES
    )


def test_functions_fit_on_a_page() -> None:
    lengths = {
        f"{name(path)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    hold(lengths, FUNCTION_LINES, LONG_FUNCTIONS)


def test_a_folder_is_read_at_a_glance() -> None:
    folders = {path.parent for path in modules()}
    sizes = {name(folder): sum(path.name != "__init__.py" for path in folder.glob("*.py")) for folder in folders}
    hold(sizes, FOLDER_FILES, FULL_FOLDERS)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_source_root_holds_its_package_and_nothing_else(package: Path) -> None:
    told = {
        path.name for path in package.parent.iterdir() if path.name != "__pycache__" and path.suffix != ".egg-info"
    }
    assert told == {package.name}
    assert (package / "__init__.py").is_file()
    assert (package / "py.typed").is_file()


def test_every_module_says_first_what_it_owns() -> None:
    said = {path: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in modules()}
    owned = {path: text.partition(" owns ")[0] for path, text in said.items() if path.name != "__init__.py"}
    assert [name(path) for path, word in owned.items() if not word or not path.stem.startswith(word)] == []


NOQA = re.compile(r"#\s*noqa(?P<codes>:\s*[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*)?(?P<reason>.*)$", re.IGNORECASE)
IGNORE = re.compile(r"#\s*(?:type:\s*ignore|pyright:\s*ignore)(?P<codes>\[[^\]]+\])?(?P<reason>.*)$")


def test_every_exception_from_a_rule_names_the_rule_and_its_reason() -> None:
    marks = [
        (found, f"{name(path)}:{number}: {line.strip()}")
        for path in modules()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (found := NOQA.search(line) or IGNORE.search(line))
    ]
    assert [where for found, where in marks if not found["codes"]] == [], "which rule?"
    assert [where for found, where in marks if not re.search(r"[^\W\d_]{4}", found["reason"])] == [], "why?"


def test_clock_chance_and_environment_are_used_only_where_it_says_so_in_the_line() -> None:
    ruff = Path(sys.executable).with_name("ruff")
    asked = [
        ruff,
        "check",
        "--select",
        "TID251",
        "--ignore-noqa",
        "--no-cache",
        "--output-format",
        "json",
        "--exit-zero",
    ]
    ended = subprocess.run([*asked, *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True, timeout=100)
    uses = [(Path(use["filename"]), int(use["location"]["row"])) for use in json.loads(ended.stdout)]
    assert uses, "the injected clock itself reads the time: if nothing is found, nothing was looked at"
    lines = {f"{name(path)}:{row}": path.read_text(encoding="utf-8").splitlines()[row - 1] for path, row in uses}
    assert {where: line for where, line in lines.items() if "noqa: TID251" not in line} == {}


def test_the_banned_names_are_still_banned() -> None:
    banned = set(PYPROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"])
    assert banned >= {
        "time.time",
        "time.time_ns",
        "datetime.datetime.now",
        "random",
        "uuid",
        "os.environ",
        "os.getenv",
    }
    assert PYPROJECT["tool"]["ruff"]["lint"]["mccabe"]["max-complexity"] <= 10
