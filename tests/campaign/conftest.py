"""conftest owns the campaigns that tests of this room look at: run once, read by many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign_support import conducted, settings_in, small_config, small_file

from maestro.settings import Settings
from maestro.wiring.campaigns import CampaignRun
from maestro_engine.data import loading
from maestro_engine.data.bars import Bars
from maestro_engine.data.findings import CheckPolicy, DataReport


@pytest.fixture(scope="module", autouse=True)
def _read_in_this_process() -> Iterator[None]:
    """Bars are read where the campaign runs: a process for that costs as much as all the rest of a small campaign."""

    def here(
        path: Path, *, symbol: str | None = None, policy: CheckPolicy | None = None, apart: bool = False
    ) -> tuple[Bars, DataReport]:
        return read(path, symbol=symbol, policy=policy)

    read = loading.load_bars
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_bars", here)
        yield


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of made-up bars, small enough for a campaign in a third of a second."""
    return small_file(tmp_path_factory.mktemp("data"))


@pytest.fixture
def workspace_settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> CampaignRun:
    """A small campaign with patches that were applied and reverted; nobody disturbed it."""
    settings = settings_in(tmp_path_factory.mktemp("undisturbed"))
    return conducted(small_config(small_data, settings), settings)


@pytest.fixture
def vendor_server() -> Iterator[object]:
    """Both vendors on the loopback interface, answering as the offline rules would."""
    from vendor_server import VendorServer

    with VendorServer() as server:
        yield server
