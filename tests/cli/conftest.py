"""conftest owns a finished campaign and a file of bars for the commands to read."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaign_support import conducted, settings_in, small_config, small_file

from maestro.wiring.campaigns import CampaignRun
from tests.cli.calling import maestro as maestro


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> CampaignRun:
    """A small campaign that is over."""
    folder = tmp_path_factory.mktemp("finished")
    settings = settings_in(folder)
    return conducted(small_config(small_file(folder), settings), settings)


@pytest.fixture(scope="session")
def bars_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_file(tmp_path_factory.mktemp("bars"))
