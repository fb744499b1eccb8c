"""Studies: the verdict's error rate on markets without an edge, and what the debate is worth."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from campaign_support import bodies, journal_of, settings_in, small_config, small_file
from vendor_server import VendorServer

from maestro.wiring import markets
from maestro.wiring.campaigns import CampaignRequest, resolve
from maestro.wiring.studies import ARMS, Cell, ablate, calibrate, tell, whole_table, wilson
from maestro_engine.data.digest import sealed
from maestro_engine.data.simulators.regimes import shuffle_bars, simulate_bars
from maestro_protocol.messages.campaign import BrainChoice, BudgetPlan
from maestro_protocol.messages.plan import ModelCalled


def test_wilsons_interval_against_published_values() -> None:
    """Brown, Cai and DasGupta (2001) and the closed form at 0 hits: z^2 / (n + z^2)."""
    low, high = wilson(0, 200)
    assert (low, high) == (0.0, pytest.approx(1.959964**2 / (200 + 1.959964**2)))
    assert wilson(15, 50) == (pytest.approx(0.19103, abs=2e-5), pytest.approx(0.43750, abs=2e-5))


@pytest.mark.slow
def test_campaigns_on_noise_are_counted_and_none_survives_by_these_seeds() -> None:
    """Six seeds, told exactly: the study of two hundred is ``maestro study calibration``."""
    tallies = list(calibrate(Cell("noise"), campaigns=6, tests=25, jobs=2))
    assert [tally.campaigns for tally in tallies] == list(range(1, 7))
    last = tallies[-1]
    assert last.survives.count + last.not_enough.count + last.does_not.count == 6
    assert last.survives.count == 0
    for rate in (last.survives, last.not_enough, last.does_not):
        assert rate.low <= rate.share <= rate.high


def test_the_whole_table_has_markets_without_an_edge_and_edges_of_four_sizes(tmp_path: Path) -> None:
    cells = whole_table(small_file(tmp_path))
    assert [cell.market for cell in cells if cell.edge is None] == ["noise", "volatility_clusters", "shuffled"]
    assert len({cell.edge for cell in cells if cell.market == "planted"}) >= 4
    assert [cell.market for cell in whole_table(None)].count("shuffled") == 0


def test_shuffled_bars_keep_their_moves_and_lose_their_order() -> None:
    bars = simulate_bars("trending", 3, 4_000)
    mixed = shuffle_bars(bars, 5)
    for one, other in (
        (bars.high / bars.low, mixed.high / mixed.low),
        (bars.close / bars.open, mixed.close / mixed.open),
    ):
        np.testing.assert_allclose(np.sort(one), np.sort(other), rtol=1e-8)
    assert (mixed.high >= np.maximum(mixed.open, mixed.close)).all()
    assert (mixed.low <= np.minimum(mixed.open, mixed.close)).all()
    assert mixed.close[-1] == pytest.approx(bars.close[-1])
    assert mixed.simulated
    assert mixed.digest != bars.digest


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
def test_an_edge_in_the_sealed_part_alone_never_survives(seed: int, tmp_path: Path) -> None:
    """Noise, and a drift of +-0.0006 a bar in stretches of mean length 150 in the last fifth alone."""
    bars, dice = simulate_bars("noise", seed, 52_000), np.random.default_rng(seed)
    begin, drift, sign = int(len(bars) * 0.8), np.zeros(len(bars)), 1.0
    for place in range(begin, len(bars)):
        sign = -sign if dice.random() < 1 / 150 else sign
        drift[place] = 0.0006 * sign
    bend = np.exp(np.cumsum(drift))
    opens = np.exp(np.cumsum(drift) - drift)
    bent = {"open": bars.open * opens, "close": bars.close * bend}
    bent["high"] = np.maximum(bars.high * bend, np.maximum(bent["open"], bent["close"]))
    bent["low"] = np.minimum(bars.low * opens, np.minimum(bent["open"], bent["close"]))
    late = sealed(replace(bars, **bent))
    config = resolve(CampaignRequest(market="noise", tests=500, seed=seed), late, settings_in(tmp_path))
    told = asyncio.run(tell(config, markets.market_of(config, late, jobs=1)))
    assert told.word != "SURVIVES", told.sentence


@pytest.mark.slow
def test_an_ablation_compares_the_same_windows_in_every_arm(tmp_path: Path) -> None:
    data = small_file(tmp_path, days=40)
    request = CampaignRequest(data=data, tests=40, segments=4, seed=5)
    said: list[str] = []
    arms = ablate(request, settings_in(tmp_path), 1, said.append)
    assert [arm.name for arm in arms] == ["full", *ARMS]
    assert (arms[0].difference, arms[0].p_value) == (None, None)
    assert len(said) == len(arms)
    for arm in arms[1:]:
        assert arm.difference is not None
        assert arm.difference == pytest.approx(arms[0].validation_per_day - arm.validation_per_day)


def test_lots_are_drawn_from_the_seed_and_stay_inside_their_bounds(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    data = small_file(tmp_path)
    cast = tuple(
        BrainChoice(
            role=role, brain="random" if role == "strategist" else "silent" if role == "critic" else "offline"
        )
        for role in ("maestro", "strategist", "critic", "implementer")
    )
    config = small_config(data, settings, brains=cast)
    market = markets.market_of(config, markets.bars_again(config, data), jobs=1)
    one, again = (asyncio.run(tell(config, market)) for _ in range(2))
    other = asyncio.run(tell(config.model_copy(update={"seed": 4}), market))
    assert one == again
    assert [test.params for test in one.tests] != [test.params for test in other.tests]
    for test in one.tests:
        market.runner.space(test.methods).resolve({item.name: item.value for item in test.params})


@pytest.mark.slow
def test_an_ablation_with_models_pays_each_arm_within_its_budget_and_never_twice(tmp_path: Path) -> None:
    data = small_file(tmp_path, days=40)
    critic = BrainChoice(role="critic", brain="anthropic", model="claude-sonnet-5-5")
    strategist = BrainChoice(role="strategist", brain="anthropic", model="claude-sonnet-5-5")
    budget = BudgetPlan(requests=200, when_exhausted="offline")
    request = CampaignRequest(data=data, tests=16, segments=4, seed=5, brains=(critic, strategist), budget=budget)
    with VendorServer() as server:
        settings = settings_in(tmp_path, anthropic_api_key="canary-sk-ant", anthropic_base_url=server.anthropic_url)
        arms = ablate(request, settings, 1, lambda text: None)
        asked = Counter(_of_role(received.system) for received in server.requests)
        again = ablate(request, settings, 1, lambda text: None)
        assert len(server.requests) == sum(asked.values()), "the same ablation again costs nothing"
    assert [arm.name for arm in arms] == ["full", *ARMS]
    assert again == arms
    folders = sorted(path.name for path in settings.runs.iterdir() if (path / "journal.jsonl").is_file())
    assert [name.split("-", 4)[-1] for name in folders] == ["full", "random-proposals", "single-analyst"]
    calls = {
        name.split("-", 4)[-1]: Counter(call.role for call in bodies(journal_of(settings.runs / name), ModelCalled))
        for name in folders
    }
    assert set(calls["full"]) == {"critic", "strategist"}
    assert set(calls["single-analyst"]) == {"strategist"}, "there is no critic to ask"
    assert calls["random-proposals"] == Counter(), "nobody is left who asks a model"
    assert sum((sum(count.values()) for count in calls.values()), 0) == sum(asked.values())
    rules = ablate(request.model_copy(update={"brains": (), "budget": BudgetPlan()}), settings, 1, lambda text: None)
    by_lot = ["random" in arm.name for arm in arms].index(True)
    assert rules[by_lot].validation_per_day == arms[by_lot].validation_per_day, "no model has a part in it"


def _of_role(system: str) -> str:
    return next(role for role in ("critic", "strategist") if role in system[:200].lower())
