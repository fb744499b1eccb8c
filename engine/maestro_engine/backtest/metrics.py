"""metrics owns what a row of results means: hit, payoff, Sharpe and the rest, and one score against targets.

Undefined is None: a hit without trades, a payoff without wins or losses, a Sharpe of equity that never moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from maestro_engine.backtest.records import Records, Regime, Row
from maestro_protocol.errors import ConfigError

YEAR_MS = 365 * 86_400_000
"""These markets never close."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What a configuration is asked to reach."""

    hit: float = 0.52
    payoff: float = 1.25
    maxdd_micros: int = -2_000_000_000
    blunders_per_100: float = 2.0
    high_vol_share: float = 0.30

    def __post_init__(self) -> None:
        if min(self.hit, self.payoff, self.blunders_per_100, self.high_vol_share) <= 0 or self.maxdd_micros >= 0:
            raise ConfigError("targets: all must be above 0, and maxdd_micros below 0")


@dataclass(frozen=True, slots=True)
class Metrics:
    """One episode, phase or test, after all costs; amounts in micros (1e-6 USD)."""

    n_trades: int
    total_pnl_micros: int
    maxdd_micros: int
    """Deepest fall of equity below its peak at bar closes, open trades included; <= 0."""
    blunders: int
    hit: float | None
    """Winning trades over trades."""
    payoff: float | None
    """Mean win over mean absolute loss."""
    blunders_per_100: float | None
    profit_factor: float | None
    """Sum of wins over absolute sum of losses."""
    expectancy_micros: float | None
    """Mean profit of a trade."""
    exposure: float | None
    """Bars at whose close a position was open, over bars."""
    high_vol_share: float | None = None
    """Episodes of high volatility over those whose volatility is known; tests and phases only."""
    sharpe: float | None = None
    """Annualised, of mark-to-market profit per episode; tests and phases only."""


def of_episode(row: Row) -> Metrics:
    """Metrics of one EPISODE row."""
    return _metrics(row, None, None)


def of_summary(row: Row, episodes: Records, step_ms: int) -> Metrics:
    """Metrics of one SUMMARY row and its own *episodes* (of the test, or of the phase); bars are *step_ms* apart."""
    return _metrics(row, _over(row["high_vol"], row["known_vol"]), sharpe(episodes, step_ms))


def sharpe(episodes: Records, step_ms: int) -> float | None:
    """Mean over standard deviation (sample) of the episodes' mark-to-market profit, times sqrt(episodes a year).

    Every episode counts once, a shorter last one too; a year has as many as of their mean length fit into it.
    No riskless rate is taken off: positions are open for hours and both sides are traded.
    """
    pnl = episodes["mtm_micros"].astype(np.float64)
    if len(pnl) < 2 or not pnl.any() or float(np.ptp(pnl)) == 0.0:
        return None
    per_year = YEAR_MS / (step_ms * float(episodes["bars"].mean()))
    return float(pnl.mean() / pnl.std(ddof=1) * np.sqrt(per_year))


def regime(row: Row) -> str | None:
    """``low``, ``mid`` or ``high`` volatility of an EPISODE row, None where the ATR's z-score was not known."""
    value = Regime(int(row["regime"]))
    return None if value is Regime.UNKNOWN else value.name.lower()


def score(metrics: Metrics, targets: Targets) -> float | None:
    """How well the targets are met: 100 when each is exactly met, 0 .. 200.

    The mean of one component per defined metric, times 100. A component is 1 on target and held inside 0 .. 2:
    ``value / target`` for hit, payoff and (tests only) high-volatility share, where more is better;
    ``2 - value / target`` for maxdd and blunders per 100 trades, where less is. Without trades there is no score:
    equity that never moved would otherwise earn full marks for its drawdown.
    """
    parts = list(_components(metrics, targets)) if metrics.n_trades else []
    return 100.0 * sum(parts) / len(parts) if parts else None


def _components(metrics: Metrics, targets: Targets) -> Iterator[float]:
    pairs = (
        (metrics.hit, targets.hit, True),
        (metrics.payoff, targets.payoff, True),
        (metrics.high_vol_share, targets.high_vol_share, True),
        (metrics.maxdd_micros, targets.maxdd_micros, False),
        (metrics.blunders_per_100, targets.blunders_per_100, False),
    )
    for value, target, more_is_better in pairs:
        if value is not None:
            part = value / target if more_is_better else 2.0 - value / target
            yield min(max(part, 0.0), 2.0)


def _over(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole else None


def _metrics(row: Row, high_vol_share: float | None, annual_sharpe: float | None) -> Metrics:
    n_trades, pnl, blunders = int(row["n_trades"]), int(row["pnl_micros"]), int(row["blunders"])
    mean_win, mean_loss = _over(row["win_micros"], row["wins"]), _over(row["loss_micros"], row["losses"])
    return Metrics(
        n_trades=n_trades,
        total_pnl_micros=pnl,
        maxdd_micros=int(row["maxdd_micros"]),
        blunders=blunders,
        hit=_over(row["wins"], n_trades),
        payoff=None if mean_win is None or mean_loss is None else mean_win / -mean_loss,
        blunders_per_100=_over(100 * blunders, n_trades),
        profit_factor=_over(row["win_micros"], -row["loss_micros"]),
        expectancy_micros=_over(pnl, n_trades),
        exposure=_over(row["held_bars"], row["bars"]),
        high_vol_share=high_vol_share,
        sharpe=annual_sharpe,
    )
