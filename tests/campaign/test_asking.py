"""What is asked of a campaign: options over a file, a file over the defaults, or an earlier campaign once more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import yaml

from maestro.control.record.campaign_folder import CampaignFolder
from maestro.settings import Settings
from maestro.wiring import markets, workspace
from maestro.wiring.campaigns import CampaignRequest, resolve
from maestro.wiring.request import request_of
from maestro_protocol.config import Sizing
from maestro_protocol.errors import ConfigError, UnknownKey, UsageError
from maestro_protocol.messages.campaign import CampaignConfig

EXAMPLES = sorted((Path(__file__).parents[2] / "runs" / "examples").glob("*.yaml"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(runs=tmp_path / "runs")


def written(folder: Path, text: str) -> Path:
    path = folder / "asked.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_said_is_the_products_defaults(settings: Settings) -> None:
    assert request_of(None, {}, settings) == CampaignRequest()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_can_be_asked_for(path: Path, settings: Settings) -> None:
    request = request_of(path, {}, settings)
    assert request != CampaignRequest()
    resolve(request, markets.simulated_bars("noise", request.seed), settings)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


def test_what_is_said_wins_over_the_file_key_by_key(tmp_path: Path, settings: Settings) -> None:
    path = written(
        tmp_path,
        "seed: 3\ntests: 40\ndata: bars.csv\ncosts: {maker_bps: 1, taker_bps: 4, slippage_bps: 0}\n"
        "brains: [{role: critic, brain: openai, temperature: 0.5}, {role: strategist, brain: anthropic}]\n",
    )
    said = {"tests": 60, "costs": {"taker_bps": 9}, "brains": [{"role": "critic", "brain": "offline"}]}
    request = request_of(path, said, settings)
    assert (request.seed, request.tests, request.data) == (3, 60, tmp_path / "bars.csv")
    assert (request.costs.maker_bps, request.costs.taker_bps) == (1, 9)
    assert {choice.role: choice.brain for choice in request.brains} == {
        "critic": "offline",
        "strategist": "anthropic",
    }
    kept = request_of(path, {}, settings)
    assert next(choice for choice in kept.brains if choice.role == "critic").temperature == 0.5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sed: 3", "unknown key 'sed'; did you mean 'seed'"),
        ("costs: {taker: 3}", "unknown key 'taker'"),
        ("tests: many", "asked.yaml: tests:"),
        ("[1, 2]", "asked.yaml"),
        ("a: [", "is not YAML"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
        ("brains: [{role: king}]", "brains.0.role"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_place(
    tmp_path: Path, settings: Settings, text: str, reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        request_of(written(tmp_path, text), {}, settings)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_key_is_named_with_the_nearest(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(UnknownKey, match="budget"):
        request_of(written(tmp_path, "budgets: {usd: 3}"), {}, settings)


def test_an_earlier_campaign_is_asked_for_again(tmp_path: Path, settings: Settings) -> None:
    sizing = Sizing(notional_usd=Decimal(5_000))
    first = CampaignRequest(market="noise", tests=30, seed=11, segments=2, sizing=sizing)
    config = resolve(first, markets.simulated_bars("noise", 11), settings)
    CampaignFolder(tmp_path / config.campaign).campaign(config)
    path = tmp_path / config.campaign / "campaign.yaml"
    again = request_of(path, {}, settings)
    assert resolve(again, markets.simulated_bars("noise", 11), settings) == config
    assert request_of(path, {"seed": 12}, settings).seed == 12


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("targets", 0, "value"), 0.61),
        (("rules", "rules"), []),
        (("policies", "policies", "sequential", "alpha"), 0.01),
        (("gates", "classes", "low", "needs"), 1),
        (("batch",), 7),
        (("windows", "window_days"), 16.0),
        (("blind",), True),
        (("costs", "taker_bps"), 9.0),
        (("only_segment",), 1),
    ],
)
def test_what_is_edited_in_an_earlier_campaign_counts(
    tmp_path: Path, settings: Settings, place: tuple[Any, ...], value: Any
) -> None:
    bars = markets.simulated_bars("noise", 11)
    config = resolve(CampaignRequest(market="noise", seed=11), bars, settings)
    told: Any = config.model_dump(mode="json")
    part = told
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    path = written(tmp_path, yaml.safe_dump(told))
    edited = CampaignConfig.model_validate(told)
    again = resolve(request_of(path, {}, settings), bars, settings)
    assert edited != config
    assert again == edited.model_copy(update={"campaign": again.campaign})
    assert again.campaign != config.campaign


@pytest.mark.parametrize("line", ["bars", "first_ms", "symbol", "timeframe", "has_taker_volume", "source"])
def test_data_that_an_earlier_campaign_did_not_have_is_refused_by_name(
    tmp_path: Path, settings: Settings, line: str
) -> None:
    bars = markets.simulated_bars("noise", 11)
    told = resolve(CampaignRequest(market="noise", seed=11), bars, settings).model_dump(mode="json")
    other = {"symbol": "ETHUSDT", "timeframe": "1h", "source": "simulated:noise:seed=12", "has_taker_volume": False}
    told["data"][line] = other.get(line, told["data"][line] - 1 if line in ("bars", "first_ms") else None)
    request = request_of(written(tmp_path, yaml.safe_dump(told)), {}, settings)
    with pytest.raises(UsageError, match=rf"data\.{line}: the file says"):
        markets.check_expected(request.expected, resolve(request, bars, settings).data)
    other_seed = request_of(tmp_path / "asked.yaml", {"seed": 12}, settings)
    assert other_seed.expected is None


def test_an_earlier_campaigns_data_is_found_by_its_digest(tmp_path: Path, settings: Settings) -> None:
    bars = markets.simulated_bars("noise", 11)
    config = resolve(CampaignRequest(), bars, settings)
    recorded = config.data.model_copy(update={"source": "bars.csv", "simulated": False})
    CampaignFolder(tmp_path).campaign(config.model_copy(update={"data": recorded}))
    path = tmp_path / "campaign.yaml"
    with pytest.raises(UsageError, match=r"bars\.csv.*--data"):
        request_of(path, {}, settings)
    data = written(tmp_path, "x")
    assert request_of(path, {"data": data}, settings).data == data
    workspace.remember_data(settings, config.data.digest, data)
    assert request_of(path, {}, settings).data == data.resolve()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tests: 999999999999", "tests: "),
        ("seed: -1", "seed: "),
        ("segments: 0", "segments: "),
        ("brains: [{role: critic, brain: offline}, {role: critic, brain: openai}]", "critic is given twice"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_its_name(
    text: str, words: str, tmp_path: Path, settings: Settings
) -> None:
    with pytest.raises(UsageError) as refused:
        resolve(request_of(written(tmp_path, text), {}, settings), markets.simulated_bars("noise", 1), settings)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_campaigns_that_begin_at_once_all_note_where_their_data_is(tmp_path: Path, settings: Settings) -> None:
    files = {f"{number:064}": tmp_path / f"{number}.csv" for number in range(200)}
    for path in files.values():
        path.touch()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(workspace.remember_data, repeat(settings), files, files.values()))
    assert {digest: workspace.known_data(settings, digest) for digest in files} == files
