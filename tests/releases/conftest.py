"""conftest owns a workspace of an earlier release, unpacked, and the commands that read it."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cli.calling import maestro as maestro

RELEASES = sorted(path.parent for path in Path(__file__).parent.glob("*/runs.tar.gz"))


class Release(NamedTuple):
    """A release's workspace, and what its own Maestro said of it."""

    version: str
    runs: Path
    expected: Mapping[str, Any]

    @property
    def searches(self) -> list[str]:
        """Its campaigns that are no chain of sessions."""
        return [row["campaign"] for row in self.expected["campaigns"] if row["verdict"] is not None]


@pytest.fixture(params=RELEASES, ids=lambda folder: folder.name)
def release(request: pytest.FixtureRequest, tmp_path: Path) -> Release:
    """Unpacked where the commands look for it: in ``runs`` below the folder that they run in."""
    with tarfile.open(request.param / "runs.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    expected = json.loads((request.param / "expected.json").read_text(encoding="utf-8"))
    return Release(request.param.name, tmp_path / "runs", expected)
