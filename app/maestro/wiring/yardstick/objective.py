"""objective owns what a search may ask of a market, one-window backtests, and what it may not: the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maestro_agents.search import Observation, SearchSpace, Trial, Variant
from maestro_engine import methods as registry
from maestro_engine.backtest import BarWindow, FillCosts, TestSpec, TradeSize, simulate_batch
from maestro_engine.data.bars import Bars
from maestro_engine.data.timeframes import DAY_MS
from maestro_engine.data.windows import rolling_windows
from maestro_engine.metrics.slippage import slippage
from maestro_protocol.messages.campaign import WindowPlan

MICROS = 1e6
NOTIONAL_USD = 100_000.0
COSTS = FillCosts()
SIZING = TradeSize(notional_usd=NOTIONAL_USD)
WARMUP_BARS = 200
ONE_EPISODE = 10**9
"""Bars: an episode as long as any window, for nothing is asked of episodes here."""


def space_of(methods: Sequence[str], bars: Bars) -> SearchSpace:
    """What may be searched with *methods* on *bars*."""
    lacking = frozenset({"taker_volume"}) if bars.taker_buy_volume is None else frozenset[str]()
    return SearchSpace(registry.space_for(tuple(methods)).specs, methods, lacking)


@dataclass
class Objective:
    """The open part of a market, cut into common windows that do not overlap; every backtest is counted."""

    bars: Bars
    windows: tuple[BarWindow, ...]
    count: int = 0
    """One-window backtests that were run so far."""

    @classmethod
    def of(cls, bars: Bars) -> Objective:
        """*bars* with the product's windows and its sealed share taken off, every window after the one before."""
        cut, sealed = rolling_windows(len(bars), bars.step_ms, WindowPlan(step_days=15, warmup_bars=WARMUP_BARS))
        windows = tuple(BarWindow(w.start, w.first, w.train_end, w.val_start, w.end) for w in cut)
        return cls(bars.slice(0, sealed.start), windows)

    def run(self, trials: Sequence[Trial]) -> list[Observation]:
        """What each trial earned. Raises what the kernel raises for a variant outside its bounds."""
        self.count += len(trials)
        return observe(self.bars, trials, self.windows)


def observe(bars: Bars, trials: Sequence[Trial], windows: Sequence[BarWindow]) -> list[Observation]:
    """One observation of each trial, in their order."""
    tests = [
        TestSpec(number, windows[t.window], t.variant.methods, t.variant.params) for number, t in enumerate(trials)
    ]
    totals = simulate_batch(bars, tests, COSTS, SIZING, episode_bars=ONE_EPISODE, keep_trades=False).totals
    fees = totals["fees_micros"] / MICROS
    costs = fees + slippage(fees, totals["n_trades"], COSTS, NOTIONAL_USD) + totals["funding_micros"] / MICROS
    net = totals["pnl_micros"] / MICROS
    days = totals["bars"] * bars.step_ms / DAY_MS
    exposure = totals["held_bars"] / totals["bars"]
    columns = zip(
        trials,
        ((net + costs) / days).tolist(),
        (costs / days).tolist(),
        exposure.tolist(),
        totals["n_trades"].tolist(),
        days.tolist(),
        strict=True,
    )
    return [Observation(t.variant, t.window, *figures) for t, *figures in columns]


def true_edges(bars: Bars, variants: Sequence[Variant], first: int = WARMUP_BARS) -> list[float]:
    """What each variant earns after costs on *bars* from bar *first* on, USD a day, as one run without a break."""
    end = len(bars)
    whole = BarWindow(0, first, end, end, end)
    return [o.net for o in observe(bars, [Trial(variant, 0) for variant in variants], [whole])]
