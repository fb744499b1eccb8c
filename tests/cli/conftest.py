"""conftest owns how tests call a command as the console would, in this process, and a finished campaign."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "campaign"))

from campaign_support import conducted, settings_in, small_config, small_file

from maestro import process
from maestro.cli import main as command_line
from maestro.wiring.campaigns import CampaignRun


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


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> CampaignRun:
    """A small campaign that is over."""
    folder = tmp_path_factory.mktemp("finished")
    settings = settings_in(folder)
    return conducted(small_config(small_file(folder), settings), settings)


@pytest.fixture(scope="session")
def bars_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_file(tmp_path_factory.mktemp("bars"))
