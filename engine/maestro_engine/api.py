"""api owns the engine's one door: bars in; a runner, the statistics and a judge out.

The runner gets the open part of the data and nothing else; only the judge holds the sealed part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from maestro_engine.data.bars import Bars
from maestro_engine.data.timeframes import name_of
from maestro_engine.data.windows import Window, rolling_windows
from maestro_engine.inference.evaluation.judge import CampaignJudge
from maestro_engine.inference.evaluation.period import EvaluationPeriod, period_of
from maestro_engine.inference.port import EngineStatistics
from maestro_engine.metrics import further
from maestro_engine.metrics.calculator import MetricsCalculator
from maestro_engine.runner import BacktestRunner
from maestro_protocol.config import DataRef, Timeframe, WindowRef
from maestro_protocol.messages.campaign import DEFAULT_METHODS, WindowPlan
from maestro_protocol.messages.plan import Target
from maestro_protocol.ports import Judge


@dataclass(frozen=True)
class Market:
    """One data set, ready for a campaign."""

    runner: BacktestRunner
    statistics: EngineStatistics
    judge: Judge | None
    """None where nothing is sealed: what goes on as time goes by."""


def open_market(
    bars: Bars,
    plan: WindowPlan,
    targets: Sequence[Target],
    *,
    jobs: int = 1,
    seed: int = 0,
    methods: Sequence[str] = DEFAULT_METHODS,
    metrics: Sequence[str] = (),
) -> Market:
    """Cut *bars* into windows and seal their last share. Raises DataError where there are too few of them."""
    windows, sealed = rolling_windows(len(bars), bars.step_ms, plan)
    data = data_ref(bars)
    figures = MetricsCalculator(targets, bars.step_ms, further.chosen(metrics))
    opened = bars.slice(0, sealed.start if len(sealed) else len(bars))
    refs = [_window_ref(index, window, bars) for index, window in enumerate(windows)]
    runner = BacktestRunner(opened, data, refs, figures, jobs, methods)
    return Market(runner, EngineStatistics(), _judge(bars, sealed, plan.warmup_bars, figures, jobs, seed))


def _judge(bars: Bars, sealed: range, warmup: int, figures: MetricsCalculator, jobs: int, seed: int) -> CampaignJudge:
    end = sealed.start if len(sealed) else len(bars)
    period = period_of(len(sealed) or end, bars.step_ms)
    opened = EvaluationPeriod(bars.slice(0, end), 0, warmup, end, period, jobs)
    hidden = EvaluationPeriod(bars, end - warmup, end, len(bars), period, jobs) if len(sealed) else None
    return CampaignJudge(opened, hidden, figures, seed)


def data_ref(bars: Bars) -> DataRef:
    """What a config says of the data: enough to notice that it has changed."""
    return DataRef(
        source=bars.source[:300],
        symbol=bars.symbol,
        timeframe=cast("Timeframe", name_of(bars.step_ms)),
        bars=len(bars),
        digest=bars.digest,
        first_ms=int(bars.open_time[0]),
        last_ms=int(bars.open_time[-1]),
        simulated=bars.simulated,
        has_taker_volume=bars.taker_buy_volume is not None,
    )


def _window_ref(index: int, window: Window, bars: Bars) -> WindowRef:
    return WindowRef(
        index=index,
        start=window.start,
        first=window.first,
        train_end=window.train_end,
        val_start=window.val_start,
        end=window.end,
        first_ms=int(bars.open_time[window.first]),
        end_ms=int(bars.open_time[window.end - 1]) + bars.step_ms,
    )
