"""The study of searches, by its command and its results: equal budgets, the truth, resuming, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from maestro.cli.main import app
from maestro.wiring.yardstick import cells
from maestro.wiring.yardstick.arms import ARMS, run_arm
from maestro.wiring.yardstick.cells import Limit, Result, Study, limits_in, results_in, run_study
from maestro.wiring.yardstick.comparison import compare, interval, overall
from maestro.wiring.yardstick.objective import COSTS, Objective, observe, slippage, space_of, true_edges
from maestro.wiring.yardstick.page import write_study
from maestro_agents.search import Chance, Trial
from maestro_engine.backtest import BarWindow, TestSpec, TradeSize, simulate_batch
from maestro_engine.data.simulators.families import family_bars
from maestro_protocol.errors import StoreError, UsageError

METHODS = ("ema_crossover", "macd_trend", "trend_breakout")
SMALL = Study(("trend",), ("large",), (), 2, ("wide", "race"), METHODS, tests=60, bars=20_000, fresh=20_000, pool=30)
SEARCHES = [arm for arm in ARMS if arm.search is not None]


@pytest.mark.parametrize("arm", SEARCHES, ids=lambda arm: arm.name)
def test_every_search_spends_what_it_may_and_no_more_and_picks_the_same_again(arm: object) -> None:
    assert arm in SEARCHES
    if arm.name in ("tpe", "cma-es"):  # type: ignore[attr-defined]
        pytest.importorskip("optuna", reason="the extra `search` is not installed")
    bars = family_bars("trend", 0.0002, 1, 20_000)
    pick, again = (run_arm(arm, bars, METHODS, 60, 5) for _ in range(2))  # type: ignore[arg-type]
    assert pick.variant == again.variant is not None
    assert 48 <= pick.tests <= 60
    assert pick.first_seen is not None
    assert pick.first_seen <= pick.tests


def test_a_campaign_is_an_arm_with_every_backtest_counted() -> None:
    campaign = next(arm for arm in ARMS if arm.name == "campaign")
    pick = run_arm(campaign, family_bars("trend", 0.0002, 1, 20_000), METHODS, 20, 5)
    assert pick.tests >= 20
    assert pick.word is not None


def test_windows_share_no_bar_and_none_is_sealed() -> None:
    bars = family_bars("noise", 0.0, 1, 52_000)
    objective = Objective.of(bars)
    assert len(objective.windows) == 9
    assert len(objective.bars) == 41_600
    ends = [window.end for window in objective.windows]
    assert all(end <= window.first for end, window in zip(ends, objective.windows[1:], strict=False))


def test_an_observation_adds_up_to_the_kernels_own_books() -> None:
    bars = family_bars("trend", 0.0002, 1, 10_000)
    window = BarWindow(0, 200, 10_000, 10_000, 10_000)
    space, chance = space_of(METHODS, bars), Chance(1, "books")
    variants = [space.draw((METHODS[n % 3],), chance) for n in range(12)]
    tests = [TestSpec(n, window, v.methods, v.params) for n, v in enumerate(variants)]
    result = simulate_batch(bars, tests, COSTS, TradeSize(), episode_bars=10_000)
    days = 9_800 / 288
    for number, seen in enumerate(observe(bars, [Trial(v, 0) for v in variants], [window])):
        trades = result.trades(number)
        assert seen.trades == len(trades)
        assert seen.net * days == pytest.approx(float(trades["pnl"].sum()), abs=0.01)
        takers = len(trades) + int((trades["reason"] != 1).sum())
        assert seen.costs * days == pytest.approx(float(trades["fees"].sum()) + 10.0 * takers, rel=0.01)


def test_slippage_is_read_off_the_fees() -> None:
    entries, fees = np.array([10, 10]), np.array([10 * 50.0 + 10 * 20.0, 10 * 50.0 + 10 * 50.0])
    assert slippage(fees, entries, COSTS, 100_000.0).tolist() == [100.0, 200.0]


def test_a_study_goes_on_where_it_was_stopped_and_says_the_same(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert list(run_study(SMALL, whole, 1)) == [0, 2, 4]
    next(steps := run_study(SMALL, stopped, 1))
    next(steps)
    steps.close()
    kept = (stopped / "results.jsonl").read_text(encoding="utf-8")
    (stopped / "results.jsonl").write_text(kept + '{"market":"tr', encoding="utf-8")
    assert list(run_study(SMALL, stopped, 1)) == [2, 4]

    def told(folder: Path) -> list[Result]:
        return [r.model_copy(update={"seconds": 0.0}) for r in results_in(folder)]

    assert told(whole) == told(stopped)
    assert limits_in(whole) == limits_in(stopped)


def test_a_folder_holds_one_study(tmp_path: Path) -> None:
    list(run_study(replace(SMALL, seeds=1, arms=("wide",)), tmp_path, 1))
    with pytest.raises(StoreError, match="another --out"):
        next(run_study(replace(SMALL, tests=90), tmp_path, 1))
    (tmp_path / "results.jsonl").write_text("what is this\n", encoding="utf-8")
    with pytest.raises(StoreError, match="line 1 is damaged"):
        next(run_study(SMALL, tmp_path, 1))


def test_a_recorded_file_is_measured_on_its_sealed_share(tmp_path: Path, market_data: Path) -> None:
    file = market_data / "klines" / "binance_usdm_SOLUSDT_5m_2025-01_2025-03.parquet"
    study = replace(SMALL, families=(), files=(str(file),), seeds=1, arms=("wide",))
    assert list(run_study(study, tmp_path, 1)) == [0, 1]
    (result,) = results_in(tmp_path)
    assert (result.market, result.size) == (file.stem, "recorded")
    bars, _ = cells.read_bars(file)
    space = space_of(METHODS, bars)
    variant = space.variant(result.methods, dict(result.params))
    sealed = len(bars) - int(len(bars) * 0.2)
    assert true_edges(bars.slice(sealed - 200, len(bars)), [variant]) == pytest.approx([result.edge])


def result(arm: str, seed: int, edge: float | None, aside: bool = False) -> Result:
    return Result(
        market="trend", size="medium", seed=seed, arm=arm, methods=(), params=(), edge=edge, aside=aside, tests=500,
        first_seen=9, seconds=0.1, expected=None, word=None,
    )  # fmt: skip


def test_differences_are_paired_by_seed_and_standing_aside_earns_nothing() -> None:
    luck = [0.0, 900.0, -400.0, 3_000.0]
    results = [result("race", s, 400 + x, aside=x < 0) for s, x in enumerate(luck)]
    results += [result("wide", s, 300 + x) for s, x in enumerate(luck)]
    race, wide = compare(results, [Limit(market="trend", size="medium", edge=800.0)], "race")
    assert wide.over is not None
    assert (wide.over.mean, wide.over.low, wide.over.high) == pytest.approx((-100.0,) * 3)
    assert race.over is None
    assert race.edge is not None
    assert (race.aside, race.traded.mean) == (0.25, race.edge.mean)
    assert [(o.arm, o.percent) for o in overall([race, wide])] == [("race", 159.375), ("wide", 146.875)]


def test_an_interval_holds_its_mean_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    held = [(found := interval(list(random.normal(5, 3, 24)))).low <= 5 <= found.high for _ in range(200)]
    assert 0.88 <= sum(held) / 200 <= 0.99


@pytest.mark.parametrize(("option", "value"), [("--family", "tide"), ("--arm", "luck")])
def test_the_command_refuses_what_it_does_not_know(option: str, value: str, tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["study", "search", option, value, "--out", str(tmp_path)])
    assert ended.exit_code != 0
    assert isinstance(ended.exception, UsageError) or value in str(ended.exception)


@pytest.mark.slow
def test_the_command_answers_in_json(tmp_path: Path) -> None:
    asked = ["study", "search", "--quick", "--family", "trend", "--size", "large", "--arm", "wide", "--seeds", "1"]
    ended = CliRunner().invoke(app, [*asked, "--tests", "50", "--jobs", "1", "--out", str(tmp_path), "--json"])
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout)
    assert told["rows"][0]["arm"] == "wide"
    assert told["rows"][0]["limit"] > 0


def test_the_page_shows_every_market_every_search_and_each_answer_and_escapes_the_names_of_files(
    tmp_path: Path,
) -> None:
    market, words = "<script>alert(1)</script>", ("SURVIVES", "DOES NOT SURVIVE")
    results = [result("race", s, 400.0 + s).model_copy(update={"word": words[s % 2]}) for s in range(4)]
    results += [result("wide", s, None).model_copy(update={"market": market, "size": "recorded"}) for s in range(4)]
    rows = compare(results, [Limit(market="trend", size="medium", edge=800.0)], "race")
    page = write_study(tmp_path, SMALL, rows, overall(rows), "race").read_text(encoding="utf-8")
    assert "The picks of race are worth 50 % of the best in hindsight" in page
    assert page.count("<svg") == 4, "all markets together, each of two, and the answers"
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"https?:", page), "it asks nobody for anything"
    again = write_study(tmp_path, SMALL, rows, overall(rows), "race").read_text(encoding="utf-8")
    assert again == page
