"""constraints.txt pins every package exactly, and every dependency of pyproject.toml is among them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = [
    line
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]
PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[0-9][A-Za-z0-9.+!]*)")
EXTRAS = [item for extra in PROJECT["optional-dependencies"].values() for item in extra]
WANTED = [item for item in map(Requirement, [*PROJECT["dependencies"], *EXTRAS]) if item.name != PROJECT["name"]]


def pins() -> dict[str, Version]:
    found = [PIN.fullmatch(line) for line in LINES]
    return {canonicalize_name(pin["name"]): Version(pin["version"]) for pin in found if pin}


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_one_exact_pin(line: str) -> None:
    assert PIN.fullmatch(line)


def test_every_package_is_pinned_once_and_in_order() -> None:
    assert len(pins()) == len(LINES)
    keys = [re.sub("[^a-z0-9]", "", name) for name in pins()]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_every_dependency_is_pinned_inside_what_is_asked_of_it(wanted: Requirement) -> None:
    assert wanted.specifier.contains(pins()[canonicalize_name(wanted.name)], prereleases=True)


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_every_dependency_has_a_floor_and_no_address(wanted: Requirement) -> None:
    assert wanted.url is None
    assert any(part.operator == ">=" for part in wanted.specifier)
