"""calculator owns the step from the kernel's sums to the metrics that agents and people read, and their pooling.

The score of an episode or a test is ``100 x mean(c)`` over the targets that are defined for it, each component
bounded to 0 .. 2 and 1 exactly on target, so 100 is "every target exactly met":

- where more is better and the target is positive (hit, payoff, high-volatility share): ``c = x / target``
- where less is better, or the target is a loss (drawdown, blunders): ``c = 2 - x / target``
- where the target is 0, by which nothing can be divided: ``c = 1`` where it is met, else 0

Without trades there is no score. The high-volatility share counts for tests only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from maestro_engine.backtest import SUMMARY, BatchResult, Phase, Records
from maestro_engine.data.timeframes import DAY_MS
from maestro_engine.metrics.metric import Equity, Metric, values_of
from maestro_protocol.base import MICRO, money
from maestro_protocol.messages.plan import Target
from maestro_protocol.messages.report import Metrics

YEAR_MS = 365 * 86_400_000
Floats = npt.NDArray[np.float64]
TEST_ONLY = "high_vol_share"


@dataclass(frozen=True, slots=True)
class EpisodeRatios:
    """Ratios of a test's episodes, one each; null where undefined."""

    hit: list[float | None]
    payoff: list[float | None]
    score: list[float | None]


def _ratio(above: Floats, below: Floats) -> Floats:
    """Element by element, NaN where the divisor is 0."""
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)


def _nullable(values: Floats) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def _component(value: float, target: Target) -> float:
    if target.value == 0:
        return float(value >= 0 if target.op == ">=" else value <= 0)
    towards = value / target.value
    grows = target.op == ">=" and target.value > 0
    return min(max(towards if grows else 2.0 - towards, 0.0), 2.0)


def _components(values: Floats, target: Target) -> Floats:
    """As ``_component``, of many values; NaN of those that are."""
    if target.value == 0:
        met = values >= 0 if target.op == ">=" else values <= 0
        return np.where(np.isnan(values), np.nan, met)
    towards = values / target.value
    grows = target.op == ">=" and target.value > 0
    return np.clip(towards if grows else 2.0 - towards, 0.0, 2.0)


def _quotient(above: float, below: float) -> float | None:
    return above / below if below else None


class MetricsCalculator:
    """Metrics by the campaign's targets and the data's bar length, and those that it asks for beside the fixed."""

    def __init__(self, targets: Sequence[Target], step_ms: int, further: Sequence[tuple[str, Metric]] = ()) -> None:
        self._targets = tuple(targets)
        self._step_ms = step_ms
        self._further = tuple(further)

    @property
    def needs_trades(self) -> bool:
        """Whether a batch has to keep its trades to be measured."""
        return bool(self._further)

    def episode_ratios(self, rows: Records) -> EpisodeRatios:
        """Hit, payoff and score of each EPISODE row."""
        trades = rows["n_trades"].astype(np.float64)
        hit = _ratio(rows["wins"], trades)
        payoff = _ratio(_ratio(rows["win_micros"], rows["wins"]), -_ratio(rows["loss_micros"], rows["losses"]))
        values = {
            "hit": hit,
            "payoff": payoff,
            "maxdd": rows["maxdd_micros"] / 1e6,
            "blunders_per_100": _ratio(100.0 * rows["blunders"], trades),
        }
        return EpisodeRatios(_nullable(hit), _nullable(payoff), _nullable(self._scores(values, trades)))

    def _scores(self, values: dict[str, Floats], trades: Floats) -> Floats:
        total, defined = np.zeros(len(trades)), np.zeros(len(trades))
        for target in self._targets:
            if target.metric not in values:
                continue
            component = _components(values[target.metric], target)
            known = ~np.isnan(component)
            total += np.where(known, component, 0.0)
            defined += known
        score = _ratio(100.0 * total, defined)
        score[trades == 0] = np.nan
        return score

    def phase_metrics(self, result: BatchResult, place: int) -> tuple[Metrics, Metrics, Metrics]:
        """Train, validation and whole metrics of the *place*-th test."""
        rows = result.episodes(place)
        pnl = rows["mtm_micros"] / 1e6
        per_year = YEAR_MS / (self._step_ms * result.episode_bars)
        phases = result.phases[place]
        train, validation = rows["phase"] == Phase.TRAIN, rows["phase"] == Phase.VALIDATION
        trades = self._trades(result, place)
        parts = [
            None if trades is None else trades[trades["phase"] == phase] for phase in (Phase.TRAIN, Phase.VALIDATION)
        ]
        return (
            self.summary_metrics(phases[Phase.TRAIN], pnl[train], per_year, parts[0]),
            self.summary_metrics(phases[Phase.VALIDATION], pnl[validation], per_year, parts[1]),
            self.summary_metrics(result.totals[place], pnl, per_year, trades),
        )

    def window_metrics(self, result: BatchResult, place: int) -> Metrics:
        """Metrics of the *place*-th test over all of its window; the Sharpe is of the result's episodes."""
        pnl = result.episodes(place)["mtm_micros"] / 1e6
        per_year = YEAR_MS / (self._step_ms * result.episode_bars)
        return self.summary_metrics(result.totals[place], pnl, per_year, self._trades(result, place))

    def _trades(self, result: BatchResult, place: int) -> Records | None:
        return result.trades(place) if self._further else None

    def summary_metrics(self, row: np.void, pnl: Floats, per_year: float, trades: Records | None = None) -> Metrics:
        """Metrics of one SUMMARY row whose episodes changed equity by *pnl* USD, *per_year* of them a year.

        Further metrics are computed over the row's *trades*, and left out where they are not given.
        """
        told = dict(zip(SUMMARY.names or (), row.item(), strict=True))
        return self._metrics(
            n_trades=told["n_trades"],
            wins=told["wins"],
            losses=told["losses"],
            win=told["win_micros"],
            loss=told["loss_micros"],
            pnl=told["pnl_micros"],
            maxdd=told["maxdd_micros"],
            blunders=told["blunders"],
            high_vol_share=_quotient(told["high_vol"], told["known_vol"]),
            sharpe=_sharpe(pnl, per_year),
            exposure=_quotient(told["held_bars"], told["bars"]),
            extra={} if trades is None else self._extra(trades, pnl, told["maxdd_micros"], told["bars"]),
        )

    def _extra(self, trades: Records, pnl: Floats, maxdd: int, bars: int) -> dict[str, float | None]:
        """The further metrics of a phase; what they compute over can be read alone, whoever brings them."""
        trades, changes = trades.view(), pnl.view()
        trades.flags.writeable = changes.flags.writeable = False
        return values_of(self._further, trades, Equity(changes, maxdd / MICRO, bars * self._step_ms / DAY_MS))

    def pool(self, parts: Sequence[Metrics]) -> Metrics:
        """Several tests together: sums summed, ratios recomputed from them.

        Drawdown, Sharpe, exposure and further metrics are averaged over the tests in which they are defined.
        """

        def micros(read: Callable[[Metrics], Decimal]) -> int:
            return sum(int(read(part) * MICRO) for part in parts)

        def mean(read: Callable[[Metrics], float | None]) -> float | None:
            known = [value for value in map(read, parts) if value is not None]
            return math.fsum(known) / len(known) if known else None

        return self._metrics(
            n_trades=sum(part.n_trades for part in parts),
            wins=sum(part.wins for part in parts),
            losses=sum(part.losses for part in parts),
            win=micros(lambda part: part.gross_win),
            loss=micros(lambda part: part.gross_loss),
            pnl=micros(lambda part: part.total_pnl),
            maxdd=micros(lambda part: part.maxdd) // max(len(parts), 1),
            blunders=sum(part.blunders for part in parts),
            high_vol_share=mean(lambda part: part.high_vol_share),
            sharpe=mean(lambda part: part.sharpe),
            exposure=mean(lambda part: part.exposure),
            extra={name: mean(lambda part, name=name: part.extra.get(name)) for name, _ in self._further},
        )

    def _metrics(
        self,
        *,
        n_trades: int,
        wins: int,
        losses: int,
        win: int,
        loss: int,
        pnl: int,
        maxdd: int,
        blunders: int,
        high_vol_share: float | None,
        sharpe: float | None,
        exposure: float | None,
        extra: dict[str, float | None],
    ) -> Metrics:
        hit = _quotient(wins, n_trades)
        payoff = (win / wins) / (-loss / losses) if wins and losses else None
        per_100 = _quotient(100.0 * blunders, n_trades)
        values = {
            "hit": hit,
            "payoff": payoff,
            "maxdd": maxdd / 1e6,
            "blunders_per_100": per_100,
            TEST_ONLY: high_vol_share,
        }
        return Metrics(
            n_trades=n_trades,
            wins=wins,
            losses=losses,
            hit=hit,
            payoff=payoff,
            total_pnl=money(pnl),
            gross_win=money(win),
            gross_loss=money(loss),
            maxdd=money(maxdd),
            blunders=blunders,
            blunders_per_100=per_100,
            high_vol_share=high_vol_share,
            sharpe=sharpe,
            profit_factor=_quotient(win, -loss),
            expectancy=_quotient(pnl / 1e6, n_trades),
            exposure=exposure,
            score=self._score(values) if n_trades else None,
            extra=extra,
        )

    def _score(self, values: dict[str, float | None]) -> float | None:
        parts = [
            _component(value, target) for target in self._targets if (value := values.get(target.metric)) is not None
        ]
        return 100.0 * math.fsum(parts) / len(parts) if parts else None


def _sharpe(pnl: Floats, per_year: float) -> float | None:
    """Annualised Sharpe of PnL per episode, mark to market; null for fewer than two or without variation.

    No riskless rate is taken off: positions are open for hours and both sides are traded.
    """
    n = len(pnl)
    if n < 2 or pnl.max() == pnl.min():
        return None
    mean = float(pnl.sum()) / n
    centred = pnl - mean
    return mean / math.sqrt(float((centred * centred).sum()) / (n - 1)) * math.sqrt(per_year)
