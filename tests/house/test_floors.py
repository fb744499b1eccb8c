"""The floors of the house hold: import-linter's contracts, as they stand in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_rooms_import_only_what_their_floor_allows_and_never_in_a_circle() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert ended.returncode == 0, ended.stdout[-3_000:]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    assert f"{len(contracts)} kept, 0 broken" in ended.stdout


def test_every_source_package_is_under_contract() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    packages = settings["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(settings["importlinter"]["root_packages"]) == sorted(Path(path).name for path in packages)
