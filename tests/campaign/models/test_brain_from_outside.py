"""A brain that somebody installed beside Maestro: found by name, paid and recorded like the built-in ones."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from campaign_support import begin, bodies, conducted, journal_of, resumed, retold, settings_in, small_config
from vendor_server import VendorServer

from maestro.cli.model_options import parse_brain
from maestro.settings import Settings
from maestro.wiring.brains import client_of, described
from maestro.wiring.campaigns import versions
from maestro_agents.api import BRAINS, brain_names
from maestro_protocol.errors import ConfigError, UnknownKey, UsageError
from maestro_protocol.messages.campaign import BrainChoice, BudgetPlan, CampaignConfig, ModelPrice
from maestro_protocol.messages.plan import ModelCalled, RoleFellBack

ORACLE = Path(__file__).parents[2] / "extensions" / "oracle"
LINE = "maestro.brains:oracle maestro-oracle 1.2.0"
CRITIC = BrainChoice(role="critic", brain="oracle", model="oracle-1")
PRICE = ModelPrice.model_validate({"model": "oracle-1", "input": 1, "output": 2})


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    BRAINS.reload()


@pytest.fixture
def oracle(installed: Callable[[Path], Path]) -> None:
    installed(ORACLE)
    BRAINS.reload()


def told(settings: Settings, data: Path) -> CampaignConfig:
    config = small_config(data, settings, budget=BudgetPlan(prices=(PRICE,)))
    others = tuple(choice for choice in config.brains if choice.role != "critic")
    config = config.model_copy(update={"brains": (*others, CRITIC)})
    return config.model_copy(update={"versions": versions(config.brains)})


def test_it_is_chosen_described_and_reached_by_what_its_adapter_declares(oracle: None, tmp_path: Path) -> None:
    choice = parse_brain("critic=oracle")
    assert described(choice).model == "oracle-1"
    vendors = {"ORACLE_API_KEY": "k" * 12, "ORACLE_BASE_URL": "http://127.0.0.1:1/v1"}
    settings = settings_in(tmp_path, vendors=vendors)
    client = client_of(choice, settings)
    assert client is not None
    assert (client.api_key.get_secret_value(), client.base_url) == tuple(vendors.values())
    assert "k" * 12 in settings.secrets()
    with pytest.raises(ConfigError, match="critic: the oracle brain needs ORACLE_API_KEY in the environment"):
        client_of(choice, settings_in(tmp_path, vendors={"ORACLE_BASE_URL": "http://127.0.0.1:1/v1"}))


def test_where_it_is_not_installed_the_nearest_known_brain_is_named() -> None:
    assert "oracle" not in brain_names()
    with pytest.raises(UsageError, match="with offline, anthropic or openai"):
        parse_brain("critic=oracle")
    with pytest.raises(UnknownKey, match=r"critic: brain: unknown key 'opena'; did you mean 'openai'\?"):
        described(BrainChoice(role="critic", brain="opena"))


def test_a_campaign_with_it_runs_and_is_told_again_where_it_is_not_installed(
    small_data: Path, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as path:
        path.syspath_prepend(str(ORACLE))
        BRAINS.reload()
        with VendorServer() as server:
            vendors = {"ORACLE_API_KEY": "a-made-up-key", "ORACLE_BASE_URL": server.openai_url}
            settings = settings_in(tmp_path, vendors=vendors)
            run = conducted(told(settings, small_data), settings)
            asked = len(server.requests)
    BRAINS.reload()
    assert "oracle" not in BRAINS
    journal = journal_of(run.folder)
    assert {call.brain for call in bodies(journal, ModelCalled)} == {"oracle"}
    assert len(bodies(journal, ModelCalled)) == asked > 2
    assert not bodies(journal, RoleFellBack)
    assert LINE in bodies(journal, CampaignConfig)[0].versions
    again = retold(run.folder, settings_in(tmp_path / "elsewhere"), small_data)
    assert again.difference is None
    assert again.same


def test_a_campaign_is_resumed_with_it_and_says_what_it_misses_without(
    small_data: Path, tmp_path: Path, installed: Callable[[Path], Path]
) -> None:
    with VendorServer() as server:
        vendors = {"ORACLE_API_KEY": "a-made-up-key", "ORACLE_BASE_URL": server.openai_url}
        settings = settings_in(tmp_path, vendors=vendors)
        installed(ORACLE)
        BRAINS.reload()
        config = told(settings, small_data)
        asyncio.run(begin(config, settings))
        with pytest.MonkeyPatch.context() as away:
            away.setattr("sys.path", [place for place in sys.path if place != str(ORACLE)])
            BRAINS.reload()
            with pytest.raises(ConfigError, match=f"ran with {LINE}: install that"):
                resumed(config.campaign, settings)
        BRAINS.reload()
        run = resumed(config.campaign, settings)
        assert server.requests
    assert run.finished.status == "finished"
