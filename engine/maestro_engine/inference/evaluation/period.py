"""period owns runs over one long stretch of bars: PnL per period of the calendar, for statistics."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maestro_engine.backtest import (
    BarWindow,
    BatchResult,
    FillCosts,
    FixedEntries,
    Records,
    TestSpec,
    TradeSize,
    simulate_batch,
)
from maestro_engine.data.bars import Bars, Floats
from maestro_engine.inference.statistics.null import random_entries
from maestro_engine.runner import sizing_of
from maestro_protocol.config import RunConfig, WindowRef

HOUR_MS = 3_600_000
PERIODS_MS = tuple(hours * HOUR_MS for hours in (24, 8, 4, 2, 1))
WANTED_PERIODS = 60
"""Periods that the sealed part should at least have; the longest period that gives as many is taken."""

AT_ONCE = 50
"""Random agents that are simulated together: the signals of 200 would be the most memory a campaign ever holds."""


@dataclass(frozen=True, eq=False)
class EvaluationPeriod:
    """Bars ``first`` to ``end`` of *bars*, with the history before ``first`` for the indicators."""

    bars: Bars
    start: int
    first: int
    end: int
    period_bars: int
    jobs: int = 1

    @property
    def periods(self) -> int:
        return -(-(self.end - self.first) // self.period_bars)

    def run(self, configs: Sequence[RunConfig], keep_trades: bool = False) -> BatchResult:
        """Every config over the whole stretch, those of engine ``session`` as one session each."""
        return self._simulate(configs[0], [self._spec(config, self._made(config)) for config in configs], keep_trades)

    def pnl(self, result: BatchResult) -> Floats:
        """Mark-to-market PnL in USD, shape ``(periods, tests)``."""
        columns = [result.episodes(place)["mtm_micros"] for place in range(len(result))]
        return np.stack(columns, axis=1) / 1e6

    def random(self, config: RunConfig, trades: Records, draws: int, seed: int) -> Floats:
        """PnL of *draws* random agents with *config*'s exits and the entries of *trades* at random bars.

        Shape ``(periods, draws)``: as many trades, on the same sides, with room for as long a hold.
        """
        rng = np.random.default_rng(seed)
        entries, sides = random_entries(
            rng, draws, self.first + 1, self.end, trades["side"], np.maximum(trades["bars_held"], 1)
        )
        specs = [self._spec(config, FixedEntries(bars - 1, side)) for bars, side in zip(entries, sides, strict=True)]
        parts = [specs[at : at + AT_ONCE] for at in range(0, draws, AT_ONCE)]
        return np.hstack([self.pnl(self._simulate(config, part, keep_trades=False)) for part in parts])

    def _made(self, config: RunConfig) -> FixedEntries | None:
        if config.engine == "backtest":
            return None
        from maestro_engine.session.runs import entries_made  # heavy, and most campaigns have no sessions

        with tempfile.TemporaryDirectory(prefix="maestro-session-") as passing:
            return entries_made(self._here(config), self.bars, Path(passing) / "run").entries

    def _here(self, config: RunConfig) -> RunConfig:
        """*config* with the stretch as its window."""
        times = self.bars.open_time
        window = WindowRef(
            index=0,
            start=self.start,
            first=self.first,
            train_end=self.end,
            val_start=self.end,
            end=self.end,
            first_ms=int(times[self.first]),
            end_ms=int(times[self.end - 1]) + self.bars.step_ms,
        )
        return config.model_copy(update={"window": window})

    def _sizing(self, config: RunConfig) -> TradeSize:
        if config.engine == "backtest":
            return sizing_of(config)
        from maestro_engine.session.runs import quantity_of

        return TradeSize.fixed(float(quantity_of(self._here(config), self.bars)))

    def _spec(self, config: RunConfig, forced: FixedEntries | None = None) -> TestSpec:
        window = BarWindow(self.start, self.first, self.end, self.end, self.end)
        return TestSpec(config.run_id, window, config.methods, config.values(), forced, config.sizing.factors())

    def _simulate(self, config: RunConfig, specs: Sequence[TestSpec], keep_trades: bool) -> BatchResult:
        costs = FillCosts(config.costs.taker_bps, config.costs.maker_bps, config.costs.slippage_bps)
        return simulate_batch(
            self.bars,
            specs,
            costs,
            self._sizing(config),
            episode_bars=self.period_bars,
            jobs=self.jobs,
            keep_trades=keep_trades,
        )


def period_of(sealed_bars: int, step_ms: int) -> int:
    """Bars in the period that statistics count by: a day where the sealed part has enough of them, else less."""
    for period_ms in PERIODS_MS:
        if sealed_bars * step_ms >= WANTED_PERIODS * period_ms:
            return max(period_ms // step_ms, 1)
    return max(PERIODS_MS[-1] // step_ms, 1)
