"""calling owns the fixture by which tests call a command as the console would, in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from maestro import process
from maestro.cli import main as command_line


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Ended]


@pytest.fixture
def maestro(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Calls ``maestro`` with arguments, in an empty folder and without any variable of the environment's."""
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "MAESTRO_RUNS", "MAESTRO_DATABASE_URL", "MAESTRO_BUS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    for whole in ("spare", "leave"):  # they are of a command's own process, and this one is the tests'
        monkeypatch.setattr(process, whole, lambda: None)

    def call(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["maestro", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            command_line.run()
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        assert isinstance(code, int)
        return Ended(code, out, err)

    return call
