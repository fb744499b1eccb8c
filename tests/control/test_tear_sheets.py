"""Tear sheets behind the judge's door: every sum is the verdict's own, told in parts."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from control_support import run_config
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_engine.api import open_market
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_protocol.config import Costs, Sizing
from maestro_protocol.messages.campaign import ORIGIN_TARGETS, Exhibits, Finalist, WindowPlan
from maestro_protocol.messages.tearsheet import TearSheets

STEP = 900_000
DAY = 86_400_000


def ruled(market: str, seed: int, costs: Costs, **what: object) -> tuple[tuple[Finalist, ...], Exhibits, TearSheets]:
    bars = simulate_bars(market, seed, 30 * 96, step_ms=STEP)
    judge = open_market(bars, WindowPlan(), ORIGIN_TARGETS, jobs=1, seed=seed).judge
    assert judge is not None
    runs = [
        config.model_copy(update={"costs": costs, **what})
        for config in (run_config("a"), run_config("b", atr_stop_mult=3.0, hard_tp_usd=900))
    ]
    verdict, exhibits = judge.open_and_rule(judge.assess(runs, runs, 2), 1)
    assert exhibits.tear_sheets is not None
    return verdict.finalists, exhibits, exhibits.tear_sheets


@settings(max_examples=12, deadline=None)
@given(
    market=st.sampled_from(["mean_reverting", "noise", "trending", "mixed"]),
    seed=st.integers(0, 500),
    costs=st.builds(Costs, maker_bps=st.sampled_from([0, 2]), taker_bps=st.sampled_from([0, 5]),
                    slippage_bps=st.sampled_from([0, 1, 7])),
)  # fmt: skip
def test_every_sum_is_the_verdicts_own(market: str, seed: int, costs: Costs) -> None:
    finalists, exhibits, told = ruled(market, seed, costs)
    for finalist, curve, sheet in zip(finalists, exhibits.curves, told.sheets, strict=True):
        assert finalist.holdout is not None
        for metrics, cost in zip((finalist.open_part, finalist.holdout), sheet.costs, strict=True):
            assert cost.net == metrics.total_pnl == cost.gross - cost.fees - cost.slippage - cost.funding
            assert cost.trades == metrics.n_trades
            assert (cost.slippage > 0) == (costs.slippage_bps > 0 and cost.trades > 0)
            assert (cost.fees > 0) == (costs.taker_bps > 0 and cost.trades > 0)
            for by in ("side", "exit"):
                groups = [g for g in sheet.groups if g.part == cost.part and g.by == by]
                assert sum((g.net for g in groups), Decimal(0)) == metrics.total_pnl
                assert sum(g.trades for g in groups) == metrics.n_trades
                assert sum(g.wins for g in groups) == metrics.wins
        trades = sum(cost.trades for cost in sheet.costs)
        assert sum(sheet.net.counts) == sum(sheet.held.counts) == trades
        assert sum(sheet.days) == pytest.approx(sum(curve.pnl), abs=0.01 * (len(sheet.days) + len(curve.pnl)))
        if sheet.drawdowns:
            deepest = sheet.drawdowns[0].depth
            assert deepest <= min(finalist.open_part.maxdd, finalist.holdout.maxdd) + Decimal("0.01")
            assert deepest >= finalist.open_part.maxdd + finalist.holdout.maxdd + min(Decimal(0), sheet.costs[0].net)
    first = told.first_day
    assert first % DAY == 0
    assert (told.sealed_day or 0) > first
    assert len(told.hold.days) == len(told.sheets[0].days)
    assert sum(told.hold.days) == pytest.approx(
        float(sum(r.net for r in told.hold.results)), abs=0.01 * len(told.hold.days)
    )


def test_the_deepest_fall_of_an_open_part_alone_is_the_kernels() -> None:
    bars = simulate_bars("mixed", 11, 30 * 96, step_ms=STEP)
    market = open_market(bars, WindowPlan(holdout_share=0), ORIGIN_TARGETS, jobs=1, seed=3)
    assert market.judge is not None
    run = run_config("a")
    verdict, exhibits = market.judge.open_and_rule(market.judge.assess([run], [run], 1), 1)
    assert exhibits.tear_sheets is not None
    sheet = exhibits.tear_sheets.sheets[0]
    assert float(sheet.drawdowns[0].depth) == pytest.approx(float(verdict.finalists[0].open_part.maxdd), abs=0.02)


def test_slippage_is_what_the_same_trades_make_more_of_without_it() -> None:
    """At a fixed quantity stops and targets stay where they are, so the trades are the same both times."""
    dear, free = Costs(maker_bps=0, taker_bps=0, slippage_bps=1), Costs(maker_bps=0, taker_bps=0, slippage_bps=0)
    quantity = {"sizing": Sizing(quantity=Decimal(1))}
    _, _, slipped = ruled("mixed", 5, dear, **quantity)
    _, _, aimed = ruled("mixed", 5, free, **quantity)
    for ours, theirs in zip(slipped.sheets, aimed.sheets, strict=True):
        for cost, without in zip(ours.costs, theirs.costs, strict=True):
            assert cost.trades == without.trades
            assert float(cost.gross) == pytest.approx(float(without.net), abs=float(cost.slippage) * 0.1)


def test_a_chart_shows_the_last_trades_and_the_prices_around_them() -> None:
    _, _, told = ruled("mixed", 5, Costs())
    for sheet in told.sheets:
        chart = sheet.chart
        assert chart is not None
        assert list(chart.times) == sorted(chart.times)
        lows, highs = np.array(chart.lows), np.array(chart.highs)
        assert (lows <= np.array(chart.closes)).all()
        assert (np.array(chart.closes) <= highs).all()
        for trade in chart.trades:
            assert chart.times[0] <= trade.entered_at <= trade.left_at
            assert lows.min() * 0.999 <= min(trade.entry, trade.left)
            assert max(trade.entry, trade.left) <= highs.max() * 1.001
