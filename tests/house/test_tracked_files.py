"""What is kept in the repository tells no machine's paths, nor where packages were fetched from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# written so that the patterns do not match themselves
MACHINE = re.compile(r"/roo[t]/|/hom[e]/\w+|/User[s]/\w+|[A-Z]:\\+User[s]\\", re.ASCII)
REGISTRY = re.compile(
    r"https?://[^\s\"')>]*(?:/simpl[e]\b|pythonhosted|registry\.|artifactory|nexus|/pypi/)|-index-ur[l]|index-ur[l]\s*=",
    re.IGNORECASE,
)
LOCKS = re.compile(r"(?:\.lock|-lock\.(?:json|yaml)|\.lockb)$")


@pytest.fixture(scope="module")
def tracked() -> dict[str, str]:
    """Text of every tracked file by its path; a skip where this is no checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files are tracked is unknown")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60)
    paths = [ROOT / path for path in listed.stdout.decode().split("\0") if path]
    texts = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths if path.is_file()}
    return {path: data.decode("utf-8", "replace") for path, data in texts.items() if b"\0" not in data}


def found(pattern: re.Pattern[str], texts: dict[str, str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:160]}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def beside() -> re.Pattern[str] | None:
    """Paths of what lies beside this checkout, itself too; null where it lies at the top, beside /usr and /tmp."""
    folder = ROOT.parent
    if folder == Path(folder.anchor):
        return None
    names = "|".join(sorted(re.escape(path.name) for path in folder.iterdir() if not path.name.startswith(".")))
    return re.compile(rf"(?<![\w.]){re.escape(str(folder))}/(?:{names})(?![\w.-])")


def test_no_file_names_a_path_of_a_machine(tracked: dict[str, str]) -> None:
    assert found(MACHINE, tracked) == []


def test_no_file_names_a_path_of_this_machine(tracked: dict[str, str]) -> None:
    pattern = beside()
    if pattern is None:
        pytest.skip("the checkout lies at the top: what lies beside it are common words")
    assert pattern.search(f"see {ROOT}/README.md")
    assert found(pattern, tracked) == []


def test_no_file_names_the_address_of_a_package_registry(tracked: dict[str, str]) -> None:
    assert found(REGISTRY, tracked) == []


def test_no_lock_file_records_addresses(tracked: dict[str, str]) -> None:
    assert [path for path, text in tracked.items() if LOCKS.search(path) and "://" in text] == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (MACHINE, "/roo" + "t/project/x.py"),
        (MACHINE, "cd /hom" + "e/ana/maestro"),
        (MACHINE, "C:\\User" + "s\\ana"),
        (REGISTRY, "https://pypi.example/simpl" + "e/numba/"),
        (REGISTRY, "pip install --extra-index-ur" + "l x"),
        (LOCKS, "uv.lock"),
        (LOCKS, "package-lock.json"),
    ],
)
def test_the_search_finds_what_it_looks_for(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)
